"""What an agent reads of a text that was put aside: all, some lines, what answers a question, or a part of its JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence

from langchain_agentcost.context.ranking import Bm25, Ranker
from langchain_agentcost.context.references.jsonpath import find
from langchain_agentcost.context.references.outline import parsed

Count = Callable[[str], int]

LINE_CHARS = 1_000
"""A longer line is read in pieces, each with a number of its own: JSON is often one line."""

PASSAGE_CHARS = 600
"""How much is scored at once when a question is asked."""

_LINES = re.compile(r"\s*[lL]?(\d{0,9})\s*(?:(?:-|:|\.\.|to)\s*[lL]?(\d{0,9}))?\s*")


class Reader:
    r"""Reads a text, never more of it than allowed.

    Args:
        count: Counts tokens.
        most_tokens: How much is given at once.
        ranker: Finds what answers a question.

    Example:
        >>> reader = Reader(count=lambda text: len(text.split()), most_tokens=4)
        >>> print(reader.read("one\ntwo\nthree\nfour\nfive\nsix"))
        one
        two
        [lines 1-2 of 6; the next are lines="3-6"]
    """

    def __init__(self, *, count: Count, most_tokens: int, ranker: Ranker | None = None) -> None:
        self._count, self._most, self._ranker = count, most_tokens, ranker or Bm25()

    def read(
        self, text: str, *, query: str | None = None, lines: str | None = None, jsonpath: str | None = None
    ) -> str:
        """Read.

        A path comes first, so lines and questions are about what it leads to.

        Args:
            text: The text.
            query: What is looked for; the passages that answer it best are given, in their order.
            lines: Such as "10-40", "10-" or "7"; the first line is 1.
            jsonpath: Where in JSON; see `jsonpath.find`.

        Returns:
            What was asked for, with a last line that says how to read on where that is not all; or, where it cannot
            be given, a sentence that says why.
        """
        if jsonpath and jsonpath.strip() not in ("", "$"):
            value = parsed(text)
            if value is None:
                return "It is no JSON, so there is no jsonpath in it. Use lines or query."
            try:
                found = find(value, jsonpath)
            except ValueError as error:
                return f"jsonpath: {error}"
            if not found:
                return f"There is nothing at {jsonpath}."
            text = _written(found)
        pieces = numbered(text)
        if lines and lines.strip():
            return self._lines(pieces, lines)
        return self._answering(pieces, query) if query and query.strip() else self._from(pieces, 1, len(pieces))

    def _lines(self, pieces: Sequence[str], lines: str) -> str:
        match = _LINES.fullmatch(lines)
        if match is None or not (match[1] or match[2]):
            return f'lines is a range such as "10-40", not {lines!r}.'
        first = max(1, int(match[1] or 1))
        last = first if match[2] is None else min(int(match[2] or len(pieces)), len(pieces))
        if first > len(pieces) or last < first:
            return f"There are no lines {lines}: it has {len(pieces)}."
        return self._from(pieces, first, last)

    def _from(self, pieces: Sequence[str], first: int, last: int) -> str:
        """Lines one after the other, as many as may be, and at least one."""
        end, left = first, self._most - self._count(pieces[first - 1])
        while end < last and (left := left - self._count(pieces[end]) - 1) >= 0:
            end += 1
        said = "\n".join(pieces[first - 1 : end])
        if (first, end) == (1, len(pieces)):
            return said
        more = f'; the next are lines="{end + 1}-{last}"' if end < last else ""
        return f"{said}\n[lines {first}-{end} of {len(pieces)}{more}]"

    def _answering(self, pieces: Sequence[str], query: str) -> str:
        passages = _passages(pieces)
        scores = self._ranker.scores(query, ["\n".join(pieces[start:end]) for start, end in passages])
        best = sorted((at for at in range(len(passages)) if scores[at] > 0), key=lambda at: -scores[at])
        left = self._most
        chosen: list[tuple[int, int]] = []
        for at in best:
            start, end = passages[at]
            left -= self._count("\n".join(pieces[start:end])) + _NOTE_TOKENS
            if left < 0 and chosen:
                break
            chosen.append(passages[at])
        if not chosen:
            return f"Nothing in its {len(pieces)} lines has a word of {query!r}. Use lines to read on."
        return self._told(pieces, sorted(chosen))

    def _told(self, pieces: Sequence[str], chosen: Sequence[tuple[int, int]]) -> str:
        said = [f"[lines {start + 1}-{end}]\n" + "\n".join(pieces[start:end]) for start, end in chosen]
        return "\n".join([*said, f"[of {len(pieces)} lines]"])


_NOTE_TOKENS = 8


def numbered(text: str) -> list[str]:
    r"""Give the lines of a text, long ones in pieces; an empty text has one.

    Example:
        >>> [len(line) for line in numbered("short\n" + "x" * 2_500)]
        [5, 1000, 1000, 500]
    """
    lines = text.splitlines() or [""]
    return [line[at : at + LINE_CHARS] for line in lines for at in range(0, len(line) or 1, LINE_CHARS)]


def _passages(pieces: Sequence[str]) -> list[tuple[int, int]]:
    """Neighbouring lines that are scored as one."""
    passages, start, length = [], 0, 0
    for at, line in enumerate(pieces):
        if at > start and (length + len(line) > PASSAGE_CHARS or (not line.strip() and length > PASSAGE_CHARS // 2)):
            passages.append((start, at))
            start, length = at, 0
        length += len(line) + 1
    passages.append((start, len(pieces)))
    return passages


def _written(found: Sequence[object]) -> str:
    """What a path found: a text as it is, anything else as JSON, one item a line."""
    return "\n".join(
        one if isinstance(one, str) else json.dumps(one, ensure_ascii=False, separators=(",", ":")) for one in found
    )
