"""An instruction as sentences: what can be compared, and what cannot because it is code or a table."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from langchain_agentcost.context.lint.values import LOOKED_AT_CHARS

LEAST_WORDS = 6
"""A shorter sentence that comes again is a phrase, not a repeated instruction."""


class Sentence(NamedTuple):
    """A sentence.

    Args:
        text: The sentence.
        start: Where it begins.
        end: Where it ends.
        line: Its line, from 1.
        section: The number of the heading that it stands under: under another one, the same words rule something else.
    """

    text: str
    start: int
    end: int
    line: int
    section: int


def sentences(text: str) -> Iterator[Sentence]:
    """Give the sentences of prose that are long enough to be instructions.

    What is fenced as code, stands in a table, or is quoted or tagged as an example is left out: there, the same words
    again may be the point.

    Args:
        text: An instruction, in Markdown or plain.
    """
    fenced, at, section = False, 0, 0
    for number, line in enumerate(text[:LOOKED_AT_CHARS].split("\n"), 1):
        if _FENCE.match(line):
            fenced = not fenced
        elif not fenced and _HEADING.match(line):
            section += 1
        elif not fenced and not _NO_PROSE.match(line):
            for match in _SENTENCE.finditer(line):
                if len(words(match[0])) >= LEAST_WORDS:
                    yield Sentence(match[0].strip(), at + match.start(), at + match.end(), number, section)
        at += len(line) + 1


def words(text: str) -> list[str]:
    """Give the words of a text in small letters; of scripts that write no spaces, the characters.

    Example:
        >>> words("Never ship BEFORE 12:00."), words("今日は")
        (['never', 'ship', 'before', '12', '00'], ['今', '日', 'は'])
    """
    return _WORD.findall(text.casefold())


_FENCE = re.compile(r"\s*(?:```|~~~)")
_HEADING = re.compile(
    r"\s*(?:#{1,6}\s|</?\w[^>]*>\s*$|(?:\*\*|__)[^\n]{1,80}(?:\*\*|__)[:.]?\s*$|[=*~_─━═-]{3,}\s*$|.{1,200}:\s*$)"
)
"""What opens another section: a heading, a tag, a line in bold or under a rule, and what ends in a colon."""

_NO_PROSE = re.compile(r"\s*(?:\||>|(?:user|human|assistant|agent|customer|ai|q|a)\s*:)", re.IGNORECASE)
_SENTENCE = re.compile(r"[^\s].*?(?:[.!?。\uff01\uff1f](?=\s|$|[^\x00-\x7f])|$)")
_WORD = re.compile(r"[぀-ヿ㐀-鿿가-힣]|[^\W_]+")
