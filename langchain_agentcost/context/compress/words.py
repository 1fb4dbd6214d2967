"""Words that a reader can do without, dropped until a text fits: by choice only, as it costs the text its grammar."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right

from langchain_agentcost.context.compress.lossless import Count
from langchain_agentcost.context.ranking import words


def without_fillers(text: str, query: str, *, target_tokens: int, count: Count) -> tuple[str, tuple[str, ...]]:
    """Drop English function words, those that say least first, until a text fits.

    Whatever may be a literal stays: words with digits, capitals or marks in them, quoted ones, and those of the
    question; so do all words that are not on the list, and so all of other languages.

    Args:
        text: Any text but JSON.
        query: The question; empty where there is none.
        target_tokens: When to stop.
        count: Counts tokens.

    Returns:
        The text, and the words that were dropped. It may still have more tokens than the target.

    Example:
        >>> def count(text):
        ...     return len(text.split())
        >>> without_fillers("The pier is at the end of the road.", "", target_tokens=7, count=count)
        ('pier is at end of the road.', ('The', 'the'))
    """
    asked = frozenset(words(query))
    quoted = [found.span() for found in _QUOTED.finditer(text)]
    places = [found for found in _FILLER.finditer(text) if _droppable(found[0], asked) and not _within(quoted, found)]
    places.sort(key=lambda found: _LEVEL[found[0].lower()])
    enough = bisect_left(range(len(places) + 1), -target_tokens, key=lambda n: -count(_without(text, places[:n])))
    dropped = sorted(places[:enough], key=lambda found: found.start())
    return _without(text, dropped), tuple(found[0] for found in dropped)


_LEVELS = (
    ("a", "an", "the"),
    ("very", "really", "quite", "just", "also", "simply", "actually", "basically", "certainly", "please", "then", "so"),
    ("is", "are", "was", "were", "be", "been", "being", "am", "has", "have", "had", "do", "does", "did", "will"),
    ("that", "which", "this", "these", "those", "there", "it", "its", "such", "some", "any", "each", "own"),
    ("of", "in", "to", "at", "on", "for", "as", "by", "with", "from", "into", "and"),
    ("i", "you", "he", "she", "we", "they", "him", "her", "them", "his", "their", "our", "your", "my", "would", "can"),
)
"""Function words by how little is missed without them. Negations, quantities and conditions are not among them."""

_LEVEL = {word: rank for rank, level in enumerate(_LEVELS) for word in level}
_FILLER = re.compile(rf"(?<![^\s(])(?:{'|'.join(sorted(_LEVEL, key=len, reverse=True))})(?=\s)", re.IGNORECASE)
_QUOTED = re.compile(r"\"[^\"\n]*\"|`[^`\n]*`|(?<!\w)'[^'\n]*'(?!\w)")


def _droppable(word: str, asked: frozenset[str]) -> bool:
    """Whether a word is none of the question's, and no name: "IT", "US" and "WITH" may be."""
    return not (word.isupper() and len(word) > 1) and asked.isdisjoint(words(word))


def _within(spans: list[tuple[int, int]], found: re.Match[str]) -> bool:
    """Whether a word stands in one of some spans, which are in order."""
    at = bisect_right(spans, found.start(), key=lambda span: span[0])
    return at > 0 and found.start() < spans[at - 1][1]


def _without(text: str, dropped: list[re.Match[str]]) -> str:
    parts, at = [], 0
    for found in sorted(dropped, key=lambda found: found.start()):
        parts.append(text[at : found.start()])
        at = found.end() + (text[found.end()] in " \t")
    return "".join([*parts, text[at:]])
