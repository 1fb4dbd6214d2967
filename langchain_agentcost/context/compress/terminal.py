"""What a terminal shows: without its control codes, what it has overwritten, and lines that only repeat."""

from __future__ import annotations

import re


def plain(text: str) -> str | None:
    r"""Drop the codes that colour a text, write links as `[text](address)`; no word is lost by it (ECMA-48, OSC 8).

    Returns:
        The shorter text; None where there are none.

    Example:
        >>> plain("\x1b[31mfailed\x1b[0m: \x1b]8;;https://ci.example/7\x07the log\x1b]8;;\x07")
        'failed: [the log](https://ci.example/7)'
    """
    if "\x1b" not in text:
        return None
    said = _linked(text)
    return _shorter(text, (_FORM if _BACK.search(said) else _FORM_OR_REST).sub("", said))


def unmoved(text: str) -> str | None:
    r"""Drop the other codes: those that move the cursor, erase what was shown, or name the window.

    What they had overwritten or erased stays, where it was written: a terminal would show less, or in another order.

    Returns:
        The shorter text; None where there are none.

    Example:
        >>> unmoved("load 5 %\x1b[1K\x1b[1Gload 6 %")
        'load 5 %load 6 %'
    """
    return _shorter(text, _CODE.sub("", text)) if "\x1b" in text else None


def line_feeds(text: str) -> str | None:
    r"""End lines by a line feed alone, not by a carriage return before it.

    Example:
        >>> line_feeds("a\r\nb\r\n")
        'a\nb\n'
    """
    return _shorter(text, _RETURNS.sub("\n", text)) if "\r\n" in text else None


def as_shown(text: str) -> str | None:
    r"""Drop what a carriage return let the terminal overwrite: of a progress bar only its last state is left.

    In a text without line feeds a carriage return ends a line, as on old machines, and nothing is overwritten.

    Returns:
        The shorter text; None where there is no such carriage return.

    Example:
        >>> as_shown("10 %\r70 %\r100 %\ndone\r\n")
        '100 %\ndone\n'
    """
    if "\r" not in text or "\n" not in text:
        return None
    lines = (line.rstrip("\r").rpartition("\r")[2] for line in text.split("\n"))
    return _shorter(text, "\n".join(lines))


def without_trailing_blanks(text: str) -> str | None:
    r"""Drop blanks at the ends of lines, and all but one of several empty lines.

    Returns:
        The shorter text; None where there are none.

    Example:
        >>> without_trailing_blanks("a  \n\n\n\nb\n")
        'a\n\nb\n'
    """
    return _shorter(text, _EMPTY_LINES.sub("\n\n", _BLANKS.sub("", text)))


def folded(text: str) -> str | None:
    r"""Write lines that repeat at once, one by one or up to five together, only once, with how often they come.

    Returns:
        The shorter text; None where none repeats, or a line of the text looks like our note.

    Example:
        >>> folded("start\nretry after 5 s\nretry after 5 s\nretry after 5 s\nretry after 5 s\nstop")
        'start\nretry after 5 s\n[line above 3 more times]\nstop'
    """
    lines = text.split("\n")
    if not any(a == b for n in _PERIODS for a, b in zip(lines, lines[n:], strict=False)) or _NOTE.search(text):
        return None
    made: list[str] = []
    at = 0
    while at < len(lines):
        size, times = _repeats(lines, at)
        made += lines[at : at + size]
        if times:
            what = "line" if size == 1 else f"{size} lines"
            made.append(f"[{what} above {times} more time{'s' if times > 1 else ''}]")
        at += size * (times + 1)
    return _shorter(text, "\n".join(made))


def unfolded(text: str) -> str:
    r"""Bring back the text that `folded` was given.

    Example:
        >>> unfolded("a\n[line above 2 more times]\nb")
        'a\na\na\nb'
    """
    lines: list[str] = []
    for line in text.split("\n"):
        note = _NOTE.fullmatch(line)
        lines += lines[-int(note[1] or 1) :] * int(note[2]) if note else [line]
    return "\n".join(lines)


_CODE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[ -/]*[0-Z\\^-~])")
_FORMS = r"\x1b(?:\[[0-?]*(?:m|(?<=\d)[hl])|[()*+][0-9A-Z]|[=>])"
_FORM = re.compile(_FORMS)
"""Colours, modes (the cursor is hidden, a paste is bracketed), character sets and the keypad."""

_FORM_OR_REST = re.compile(_FORMS + r"|\x1b\[0?K")
"""And "erase the rest of the line", as grep and gcc write it: where nothing goes back, there is no rest."""

_BACK = re.compile(r"\x1b\[[0-?]*[ -/]*[@A-JL-Zadefsu`]|\x1b[78DEMc]|\r(?!\n)|\x08")
_LINK = re.compile(r"\x1b\]8;[^;\x07\x1b]*;([^\x07\x1b]*)(?:\x07|\x1b\\)")
_RETURNS = re.compile(r"(?<!\r)\r+\n")
_BLANKS = re.compile(r"(?<![ \t])[ \t]+$", re.MULTILINE)  # without the first part, quadratic on blanks inside a line
_EMPTY_LINES = re.compile(r"\n{3,}")
_PERIODS = (1, 2, 3, 4, 5)
_NOTE = re.compile(r"^\[(?:line|(\d) lines) above (\d+) more times?\]$", re.MULTILINE)
_NOTE_CHARS = len("[line above 10 more times]")


def _linked(text: str) -> str:
    """A text with its links written out; one that is not ended goes on to the end, as terminals have it."""
    before, *rest = _LINK.split(text)
    parts = [before]
    for address, said in zip(rest[::2], rest[1::2], strict=True):
        shown = _FORM_OR_REST.sub("", said)
        parts.append(said if not address or shown.strip() == address else f"[{said}]({address})" if shown else address)
    return "".join(parts)


def _repeats(lines: list[str], at: int) -> tuple[int, int]:
    """How many lines repeat from a place on, and how often they come again; (1, 0) where the note would be longer."""
    best, saved = (1, 0), _NOTE_CHARS
    for size in _PERIODS:
        if at + size >= len(lines) or lines[at] != lines[at + size]:
            continue
        unit = lines[at : at + size]
        times = 0
        while lines[at + size * (times + 1) : at + size * (times + 2)] == unit:
            times += 1
        if times and (chars := times * (sum(map(len, unit)) + size)) > saved:
            best, saved = (size, times), chars
    return best


def _shorter(text: str, made: str) -> str | None:
    return made if len(made) < len(text) else None
