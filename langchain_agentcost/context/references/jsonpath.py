"""The part of JSONPath (RFC 9535) that an agent needs: names, places, slices and all, and nothing that computes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

MAX_FOUND = 10_000

_STEP = re.compile(
    r"""
      (?P<deep>\.\.)?  (?: (?<=\.\.)|\. ) (?P<name>[\w$-]+|\*)
    | (?P<all_below>\.\.)? \[ \s* (?:
          (?P<quoted>'(?:[^'\\]|\\.)*' | "(?:[^"\\]|\\.)*")
        | (?P<slice>(?:-?\d{1,9})?\s*:\s*(?:-?\d{1,9})?)
        | (?P<place>-?\d{1,9})
        | (?P<star>\*)
      ) \s* \]
    """,
    re.VERBOSE,
)


def find(value: Any, path: str) -> list[Any]:
    """Give what a path leads to.

    Args:
        value: JSON, as Python reads it.
        path: Such as "$.orders[0].id", "$.orders[*].id", "$..id", "$['odd name'][-2:]".

    Returns:
        All that is there, in the order of the value; none where nothing is.

    Raises:
        ValueError: If it is no path of this kind; the message says where.

    Example:
        >>> find({"orders": [{"id": 1}, {"id": 2}]}, "$.orders[*].id")
        [1, 2]
    """
    found = [value]
    for deep, step in _steps(path):
        below = [one for item in found for one in _below(item)] if deep else found
        found = [one for item in below for one in _taken(item, step)][:MAX_FOUND]
    return found


def _steps(path: str) -> Iterator[tuple[bool, str | int | slice]]:
    path = path.strip()
    at = 1 if path.startswith("$") else 0
    if not at and path[:1] not in (".", "["):
        path = f".{path}"
    while at < len(path):
        match = _STEP.match(path, at)
        if match is None:
            raise ValueError(f"{path[at:]!r} is not understood: use .name, ['name'], [0], [1:3], [*] or ..name.")
        yield bool(match["deep"] or match["all_below"]), _step(match)
        at = match.end()


def _step(match: re.Match[str]) -> str | int | slice:
    if match["quoted"]:
        return re.sub(r"\\(.)", r"\1", match["quoted"][1:-1])
    if match["slice"]:
        start, end = (int(part) if part.strip() else None for part in match["slice"].split(":"))
        return slice(start, end)
    if match["place"]:
        return int(match["place"])
    return slice(None) if match["star"] or match["name"] == "*" else match["name"]


def _taken(value: Any, step: str | int | slice) -> list[Any]:
    if isinstance(value, dict):
        if isinstance(step, str):
            return [value[step]] if step in value else []
        return list(value.values()) if step == slice(None) else []
    if not isinstance(value, list) or isinstance(step, str):
        return []
    if isinstance(step, slice):
        return value[step]
    return [value[step]] if -len(value) <= step < len(value) else []


def _below(value: Any) -> Iterator[Any]:
    """A value and all that is in it, from the outside in."""
    waiting = [value]
    while waiting:
        item = waiting.pop()
        yield item
        inside = item.values() if isinstance(item, dict) else item if isinstance(item, list) else ()
        waiting.extend(reversed(list(inside)))
