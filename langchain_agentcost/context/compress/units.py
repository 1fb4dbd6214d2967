"""What an extract is made of: sentences and lines of a text, each a span of it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

Piece = tuple[int, int]
"""Where a span of a text starts, and the place behind its end."""


@dataclass(frozen=True, slots=True)
class Unit:
    """A span of a text that is kept or dropped as one, where there is room.

    Args:
        start: Where it starts in its text.
        end: The place behind it.
        section: Which part of the text it belongs to; neighbours in one section are about the same.
        title: What its part of the text is headed by.
        lead: The blanks before it.
    """

    start: int
    end: int
    section: int = 0
    title: str = ""
    lead: str = ""

    @property
    def piece(self) -> Piece:
        """All of it."""
        return self.start, self.end


class Layout(Protocol):
    """A text in units, and how it is written with some of them."""

    @property
    def text(self) -> str:
        """The text."""
        ...

    @property
    def units(self) -> Sequence[Unit]:
        """Its units, in order."""
        ...

    @property
    def ordered(self) -> bool:
        """Whether the first and last units say most, where nothing is asked: so with logs and records, not prose."""
        ...

    def written(self, kept: Mapping[int, Piece]) -> str:
        """Write the text with what is kept: for the number of a unit, the span of it."""
        ...

    def cuts(self, unit: Unit) -> Iterator[int]:
        """Give the places at which a unit may end early, from the first on."""
        ...

    def said(self, piece: Piece) -> str:
        """Give what stands for a unit that ends early."""
        ...


class TextLayout:
    """A text in sentences and lines.

    A line that starts with `#` heads what follows; an empty line starts a section.

    Args:
        text: Any text.
        title: What it is headed by as a whole.
        omission: Stands wherever something was left out; the blanks of the text do where it is empty.

    Example:
        >>> layout = TextLayout("It rained. We sailed at noon. Then it cleared.")
        >>> layout.written({0: layout.units[0].piece, 2: layout.units[2].piece})
        'It rained. Then it cleared.'
    """

    def __init__(self, text: str, *, title: str = "", omission: str = "") -> None:
        self.text = text
        self.units = tuple(_units(text, title))
        lines = text.count("\n") + 1
        self.ordered = len(self.units) < 1.5 * lines and lines > 1
        self._omission = omission

    def written(self, kept: Mapping[int, Piece]) -> str:
        """Write the kept spans in their order, with the blanks that stood before them."""
        parts: list[str] = []
        last = -1  # the unit that was written in full before
        for number in sorted(kept):
            unit, (start, end) = self.units[number], kept[number]
            if last != number - 1:
                parts.append(self._omission)
            if any(parts):
                parts.append(unit.lead if last == number - 1 else unit.lead or " ")
            parts.append(self.text[start:end])
            last = number if end == unit.end else -1
        if last != len(self.units) - 1 and parts:
            parts.append(self._omission)
        return "".join(parts)

    def cuts(self, unit: Unit) -> Iterator[int]:
        """Give the ends of its words; where no blanks are written, of its characters."""
        blanks = " " in self.text[unit.start : unit.end].strip()
        for found in (_WORD if blanks else _CHARACTER).finditer(self.text, unit.start, unit.end):
            yield found.end()

    def said(self, piece: Piece) -> str:
        """Give the span as it is."""
        return self.text[piece[0] : piece[1]]


_MOST_CHARS = 800
"""A longer sentence is several units: lists, tables and texts without punctuation."""

_LINE = re.compile(r"[^\n]+")
_SENTENCE_END = re.compile(
    r"""(?<=[.!?])["')\]\u2019\u201d\u00bb]*\s+(?=["'(\[\u2018\u201c\u00ab]?[^\W_a-z\u00df-\u00ff])"""
    r"""|(?<=[\u3002\uff01\uff1f])["'\u2019\u201d\u300d\u300f\uff09]*\s*"""
)
"""Behind a full stop with what closes a quote, before what may start a sentence; in Chinese and Japanese anywhere."""

_HEADING = re.compile(r"#{1,6}\s+(.*)")
_WORD = re.compile(r"\S+")
_CHARACTER = re.compile(r"\S")


def _units(text: str, title: str) -> Iterator[Unit]:
    section, heading, before = 0, title, 0
    for line in _LINE.finditer(text):
        blank = not line[0].strip()
        if blank or "\n\n" in text[before : line.start()]:
            section += 1
        if blank:
            continue
        headed = _HEADING.match(line[0])
        heading = f"{title} {headed[1]}".strip() if headed else heading
        for start, end in _sentences(text, line.start(), line.end()):
            yield Unit(start, end, section, heading, text[before:start])
            before = end


def _sentences(text: str, start: int, end: int) -> Iterator[Piece]:
    """The sentences of a line, without the blanks around them; long ones in pieces."""
    at = start
    for found in (*_SENTENCE_END.finditer(text, start, end), None):
        stop = found.end() if found else end
        yield from _pieces(text, at, stop)
        at = stop


def _pieces(text: str, start: int, end: int) -> Iterator[Piece]:
    while start < end:
        stop = end
        if end - start > _MOST_CHARS:
            blank = text.rfind(" ", start + _MOST_CHARS // 2, start + _MOST_CHARS)
            stop = blank if blank > 0 else start + _MOST_CHARS
        said = text[start:stop].rstrip()
        indent = 0 if text[start - 1 : start] in ("", "\n") else len(said) - len(said.lstrip())
        if said.strip():
            yield start + indent, start + len(said)
        start = stop
