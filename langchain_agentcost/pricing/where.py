"""Where in a price file a value stands, so that an error can name its line.

tomllib and json give values without positions. This looks a path up in the text: good enough for a message, never used
to read a value.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

Path = Sequence[str | int]

_STRING_OR_BRACKET = re.compile(r'"(?:\\.|[^"\\\n])*"|\'[^\'\n]*\'|#[^\n]*|[\[\]{},]')


def line_of(text: str, path: Path) -> int | None:
    r"""Give the line, from 1, on which a value of a TOML or JSON text stands.

    Args:
        text: The text.
        path: The keys and list positions that lead to the value.

    Returns:
        The line of the last piece of the path that was found; None where nothing was.

    Example:
        >>> line_of('[tools]\na = 1\n[[models]]\nmodel = "m"\ninput = -1', ("models", 0, "input"))
        5
    """
    position, found = 0, False
    for depth, piece in enumerate(path):
        if isinstance(piece, int):
            place = _item(text, position, piece, name=path[depth - 1])
        else:
            place = _key(text, position, piece)
        if place is None:
            break
        position, found = place, True
    return text.count("\n", 0, position) + 1 if found else None


def _key(text: str, start: int, key: str) -> int | None:
    """Where a key stands: at the start of a line, in an inline table, in a header, or as a JSON name."""
    name = re.escape(key)
    quoted = rf"(?:\"{name}\"|'{name}'|{name})"
    shapes = (rf"(?:^|[{{,.])[ \t]*(?P<key>{quoted})[ \t]*[=:]", rf"^[ \t]*\[\[?[^\n\]]*?(?P<key>{quoted})[^\n]*\]")
    found = [match.start("key") for shape in shapes if (match := re.compile(shape, re.MULTILINE).search(text, start))]
    return min(found, default=None)


def _item(text: str, start: int, number: int, *, name: str | int) -> int | None:
    """Where an item of a list stands: after the n-th `[[name]]` header, or the n-th item inside brackets."""
    headers = [match.end() for match in re.finditer(rf"^[ \t]*\[\[\s*{re.escape(str(name))}\s*\]\]", text, re.M)]
    if headers:
        return headers[number] if number < len(headers) else None
    opening = text.find("[", start)
    return _nth_inside(text, opening, number) if opening >= 0 else None


def _nth_inside(text: str, opening: int, number: int) -> int | None:
    depth, seen = 0, 0
    for match in _STRING_OR_BRACKET.finditer(text, opening):
        mark = match[0]
        if depth == 1 and seen == number and mark in ("[", "{"):
            return match.end()
        if mark == "," and depth == 1:
            seen += 1
        depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(mark, 0)
        if not depth:
            return None
    return None
