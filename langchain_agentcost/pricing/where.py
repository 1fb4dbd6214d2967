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
    place, found = (0, len(text)), False
    for depth, piece in enumerate(path):
        inside = _item(text, place, piece, path[depth - 1]) if isinstance(piece, int) else _key(text, place, piece)
        if inside is None:
            break
        place, found = inside, True
    return text.count("\n", 0, place[0]) + 1 if found else None


_Place = tuple[int, int]
"""Where a value starts in the text, and where it surely has ended."""


def _key(text: str, within: _Place, key: str) -> _Place | None:
    """A key at the start of a line, in an inline table, in a header, or as a JSON name; and its value."""
    name = re.escape(key)
    quoted = rf"(?:\"{name}\"|'{name}'|{name})"
    shapes = (
        rf"(?:^|[{{,.])\s*(?P<key>{quoted})[ \t]*[=:][ \t]*(?P<open>[\[{{]?)",
        rf"(?:^[ \t]*\[\[?[ \t]*|\.)(?P<key>{quoted})[ \t]*[\].](?P<open>)",
    )
    matches = [re.compile(shape, re.MULTILINE).search(text, *within) for shape in shapes]
    found = min((match for match in matches if match), key=lambda match: match.start("key"), default=None)
    if found is None:
        return None
    start = found.start("key")
    if found["open"]:
        return start, _end(text, found.start("open"))
    header = found.re.pattern == shapes[1]
    return start, _next_header(text, start, f"{key}.") if header and len(text) == within[1] else within[1]


def _item(text: str, within: _Place, number: int, name: str | int) -> _Place | None:
    """An item of a list: under the n-th `[[name]]` header, or the n-th item inside brackets."""
    title = re.escape(str(name))
    headers = [match.end() for match in re.finditer(rf"^[ \t]*\[\[\s*{title}\s*\]\]", text, re.MULTILINE)]
    if headers:
        return (headers[number], _next_header(text, headers[number], f"{name}.")) if number < len(headers) else None
    opening = text.find("[", *within)
    return _nth_inside(text, opening, number) if opening >= 0 else None


def _next_header(text: str, start: int, own: str) -> int:
    """Where the next table of a TOML text starts that does not belong to this one."""
    for match in re.compile(r"^[ \t]*\[+[ \t]*(?P<name>[^\]\n]*)", re.MULTILINE).finditer(text, start):
        if match.start() > start and not match["name"].startswith(own):
            return match.start()
    return len(text)


def _nth_inside(text: str, opening: int, number: int) -> _Place | None:
    """The n-th table or list directly inside the bracket that opens here."""
    depth, seen = 0, 0
    for match in _STRING_OR_BRACKET.finditer(text, opening):
        mark = match[0]
        if depth == 1 and seen == number and mark in _STEPS and _STEPS[mark] > 0:
            return match.end(), _end(text, match.start())
        if mark == "," and depth == 1:
            seen += 1
        depth += _STEPS.get(mark, 0)
        if not depth:
            return None
    return None


def _end(text: str, opening: int) -> int:
    """Where the bracket closes that opens here."""
    depth = 0
    for match in _STRING_OR_BRACKET.finditer(text, opening):
        depth += _STEPS.get(match[0], 0)
        if not depth:
            return match.end()
    return len(text)


_STEPS = {"[": 1, "{": 1, "]": -1, "}": -1}
