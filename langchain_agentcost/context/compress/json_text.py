"""JSON in fewer characters: without the blanks between its parts, and with letters in place of their escapes."""

from __future__ import annotations

import json
import re


def minified(text: str) -> str | None:
    """Write a JSON text without the blanks between its parts; strings and numbers stay as they are.

    Args:
        text: Any text.

    Returns:
        The shorter text; None where it is not JSON, or has no such blanks.

    Example:
        >>> minified('{"id": 7, "price": 1.10}'), minified("plain text")
        ('{"id":7,"price":1.10}', None)
    """
    if text.lstrip()[:1] not in ("{", "["):
        return None
    try:
        value = json.loads(text)
        ascii_ = text.isascii()
        small = json.dumps(value, separators=(",", ":"), ensure_ascii=ascii_)
        as_written = small == text or json.dumps(value, ensure_ascii=ascii_) == text
    except (ValueError, RecursionError):
        return None
    if not as_written:  # by Python, which is the fast way to be sure that nothing else has changed
        small = _STRING_OR_BLANKS.sub(r"\1", text)
    return small if len(small) < len(text) else None


def minified_lines(text: str) -> str | None:
    r"""Write each line of JSON Lines without such blanks.

    Example:
        >>> minified_lines('{"id": 7}\n{"id": 8}\n')
        '{"id":7}\n{"id":8}\n'
    """
    small = "\n".join(minified(line) or line for line in text.split("\n"))
    return small if len(small) < len(text) else None


def unescaped(text: str) -> str | None:
    r"""Write the letters of a JSON text as such where they are escaped: a text in Chinese is a third as long.

    What cannot be printed, and half of a pair, stays escaped. Every string keeps its value.

    Args:
        text: A JSON text, or JSON Lines.

    Returns:
        The shorter text; None where no letter is escaped.

    Example:
        >>> unescaped('{"city":"K\\u00f6ln","bell":"\\u0007"}')
        '{"city":"Köln","bell":"\\u0007"}'
    """
    if "\\u" not in text:
        return None
    small = _ESCAPE.sub(_letter, text)
    return small if len(small) < len(text) else None


def is_json(text: str) -> bool:
    """Tell whether a text is one JSON object or array.

    Example:
        >>> is_json(" [1, 2]"), is_json("[1, 2"), is_json("12")
        (True, False, False)
    """
    if text.lstrip()[:1] not in ("{", "["):
        return False
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


_STRING_OR_BLANKS = re.compile(r'("[^"\\]*(?:\\.[^"\\]*)*")|\s+')
_ESCAPE = re.compile(r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\u[0-9a-fA-F]{4}|\\.")


def _letter(found: re.Match[str]) -> str:
    escape = found[0]
    if escape[1] != "u":
        return escape
    letter: str = json.loads(f'"{escape}"')
    return letter if letter.isprintable() and not letter.isascii() else escape
