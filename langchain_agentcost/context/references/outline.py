"""An outline of a text: what there is in it and how much, in a line or two."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

MAX_PARSED_CHARS = 5_000_000
"""JSON that is longer is outlined as text: to parse it takes longer than anybody wants to wait."""

MAX_HEADINGS = 12


def outline(text: str, *, chars: int = 400) -> str:
    r"""Say what is in a text: the keys and lengths of JSON, or the number of lines and the headings of anything else.

    Args:
        text: Any text.
        chars: How long the outline may be.

    Example:
        >>> outline('{"orders": [{"id": 1, "items": ["a"]}, {"id": 2, "items": []}], "total": 2}')
        'JSON {orders: [2 of {id, items: [1 of text]}], total}'
        >>> outline("# Fruit\nApples.\n# Nuts\nNone.")
        '4 lines; # Fruit; # Nuts'
    """
    value = parsed(text)
    if isinstance(value, dict | list):
        return next((told for depth in (4, 3, 2, 1) if len(told := f"JSON {_shape(value, depth)}") <= chars), "JSON")
    lines = text.splitlines()
    said = f"{len(lines):,} line{'' if len(lines) == 1 else 's'}"
    for heading in _headings(lines):
        if len(said) + len(heading) + 2 > chars:
            break
        said += f"; {heading}"
    return said


def parsed(text: str) -> Any:
    """Give what a text is as JSON; None where it is none, or too long."""
    start = text[:200].lstrip()[:1]
    if start not in ("{", "[") or not start or len(text) > MAX_PARSED_CHARS:
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _shape(value: Any, depth: int) -> str:
    if isinstance(value, Mapping):
        return _keys(value, depth)
    if isinstance(value, str):
        return "text"
    if not isinstance(value, Sequence):
        return {bool: "yes or no", type(None): "null"}.get(type(value), "number")
    if not value:
        return "[]"
    fullest = max(value[:_LOOKED_AT], key=_fullness)
    return f"[{len(value):,} of {_shape(fullest, depth - 1)}]" if depth > 0 else f"[{len(value):,}]"


def _keys(value: Mapping[str, Any], depth: int) -> str:
    if depth <= 0:
        return f"{{{len(value):,} keys}}"
    if len(value) > _ALIKE and len({_form(one) for one in value.values()}) == 1:
        first, one = next(iter(value.items()))
        return f"{{{len(value):,} keys such as {first}: {_shape(one, depth - 1)}}}"
    shown = [f"{key}: {_shape(one, depth - 1)}" if _nested(one) else key for key, one in list(value.items())[:_KEYS]]
    more = [f"{len(value) - _KEYS:,} more"] if len(value) > _KEYS else []
    return f"{{{', '.join(shown + more)}}}"


def _form(value: Any) -> tuple[object, ...]:
    """Equal for values that look alike: of one type, with the same keys."""
    return (type(value), *value) if isinstance(value, dict) else (type(value),)


def _nested(value: Any) -> bool:
    return isinstance(value, dict | list)


def _fullness(value: Any) -> int:
    """How much an item shows of what the items of its list are like."""
    return sum(bool(one) for one in value.values()) if isinstance(value, dict) else 0


_LOOKED_AT = 20
_ALIKE = 5
_KEYS = 20

_HEADING = re.compile(
    r"""
      \#{1,6}\s+\S                                              # Markdown
    | (?:async\s+)?(?:def|class|func|fn|function|interface|struct|enum|trait|impl)\s+\w    # code
    | (?:export|public|private|static)\s+\w
    | diff\s--git\s | ===+\s\S | ---\s\S
    """,
    re.VERBOSE,
)


def _headings(lines: Sequence[str]) -> list[str]:
    """The lines that say what follows them, the first ones, each cut to a few words."""
    found: list[str] = []
    for line in lines:
        if _HEADING.match(line):
            found.append(line.strip()[:60].rstrip())
            if len(found) == MAX_HEADINGS:
                break
    return found
