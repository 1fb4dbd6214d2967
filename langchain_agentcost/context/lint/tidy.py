"""A system message in fewer tokens with the same information: short rules, no needless blanks, nothing said twice."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from langchain_agentcost.context.lint.instructions import sentences, words
from langchain_agentcost.context.lint.values import LOOKED_AT_CHARS


class Waste(NamedTuple):
    """A kind of markup that a model reads and learns nothing from.

    Args:
        name: What it is, in the plural.
        pattern: How it looks.
        instead: What is left of it.
        safe: Whether it can go without a change of what is said.
    """

    name: str
    pattern: re.Pattern[str]
    instead: str
    safe: bool


_RULE = r"[ \t]*([-=*_~#+.─━═•])(?:[ \t]?\{0}){{4,}}[ \t]*"
_LINE_START = r"(?:(?<=\n)|\A)"

WASTE: tuple[Waste, ...] = (
    Waste(
        "drawn headings",
        re.compile(
            rf"{_LINE_START}(?:{_RULE.format(1)}\n)?(?<=\n)?([^\n]{{1,80}}(?<![\s.,;:]))\n{_RULE.format(3)}(?=\n|\Z)"
        ),
        r"# \2",
        safe=True,
    ),
    Waste("long rules", re.compile(rf"{_LINE_START}{_RULE.format(1)}(?=\n|\Z)"), "---", safe=True),
    Waste("blanks at line ends", re.compile(r"(?<![ \t])[ \t]+(?=\n|\Z)"), "", safe=True),
    Waste("blank lines in a row", re.compile(r"\n{3,}"), "\n\n", safe=True),
    Waste("spaces in a row", re.compile(r"(?<=[.!?:;,]) {2,}(?=\S)"), " ", safe=True),
    Waste("HTML spaces and breaks", re.compile(r"&nbsp;|<br\s*/?>", re.IGNORECASE), " ", safe=False),
    Waste(
        "HTML for looks",
        re.compile(r"</?(?:b|i|u|em|strong|font|span|div|center|p|hr)\b[^>\n]{0,200}>", re.IGNORECASE),
        "",
        safe=False,
    ),
    Waste("HTML comments", re.compile(r"<!--.*?-->", re.DOTALL), "", safe=False),
)
"""In the order in which they are taken out.

A rule parts what stands on its sides, so a short one stays. Tags with names of their own structure a prompt: no waste.
"""


def tidied(text: str) -> str:
    r"""Write a system message without waste, and no sentence twice under one heading. Code stays as it is.

    Args:
        text: The message. One of more than `LOOKED_AT_CHARS` characters is data, and comes back as it is.

    Returns:
        The message, never longer: the same sentences, in the same order.

    Example:
        >>> tidied("======\nRules\n======\n\n\n\nNever ship before the customer paid.  \n")
        '# Rules\n\nNever ship before the customer paid.'
    """
    if len(text) > LOOKED_AT_CHARS:
        return text
    return "".join(part if code else _tidied(part) for code, part in _parts(_said_once(text))).strip("\n")


def waste_of(text: str) -> Iterator[tuple[Waste, int, str]]:
    """Give each kind of waste in a text, how often it is there, and the text without it; in the order of `WASTE`."""
    if len(text) > LOOKED_AT_CHARS:
        return
    for waste in WASTE:
        count, made = 0, []
        for code, part in _parts(text):
            without, times = (part, 0) if code else waste.pattern.subn(waste.instead, part)
            made.append(without)
            count += times
        if count:
            text = "".join(made)
            yield waste, count, text


def _tidied(text: str) -> str:
    for waste in WASTE:
        if waste.safe:
            text = waste.pattern.sub(waste.instead, text)
    return text


def _parts(text: str) -> Iterator[tuple[bool, str]]:
    """A text as pieces that are code, or not."""
    at = 0
    for match in _CODE.finditer(text):
        yield False, text[at : match.start()]
        yield True, match[0]
        at = match.end()
    yield False, text[at:]


_CODE = re.compile(
    r"(?:(?<=\n)|\A)[ \t]*(```|~~~).*?(?:\n[ \t]*\1[^\n]*|\Z)|^(?: {4,}|\t)[^\n]+$|^[ \t]*\|[^\n]*$", re.S | re.M
)


def _said_once(text: str) -> str:
    """A text without the sentences that it has said before under the same heading, word for word."""
    seen: set[tuple[object, ...]] = set()
    parts, at = [], 0
    for one in sentences(text):
        key = (one.section, *words(one.text))
        if key in seen and _alone(text, one.start, one.end):
            parts.append(text[at : _line_start(text, one.start)])
            at = min(len(text), text.find("\n", one.end) + 1 or len(text))
        elif key in seen:
            parts.append(text[at : one.start])
            at = one.end
        seen.add(key)
    return "".join([*parts, text[at:]])


def _line_start(text: str, at: int) -> int:
    return text.rfind("\n", 0, at) + 1


def _alone(text: str, start: int, end: int) -> bool:
    """Whether a sentence has its line for itself, beside the mark of a list."""
    stop = text.find("\n", end)
    before, after = text[_line_start(text, start) : start], text[end : stop if stop >= 0 else len(text)]
    return not after.strip() and re.fullmatch(r"[\s*+•-]*|\s*\d+[.)]\s*", before) is not None
