"""What the verifier looks at: a few figures on how two texts differ."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from langchain_agentcost.caching.matching.alignment import Alignment, aligned
from langchain_agentcost.caching.matching.text import Text, parsed

SIGNS: dict[str, int] = {
    "similarity": 1,
    "letters": -1,
    "slots": -1,
    "extra": -1,
    "qualifiers": -1,
    "names": -1,
    "asks": -1,
}
"""Names of the figures, in order, and whether more of it makes the same answer more (1) or less (-1) likely.

`letters` is negative: of two pairs that the encoder finds equally alike, the one that is spelt alike is the likelier to
be one sentence with a word exchanged, and the other to be one question in two wordings.
"""

_LIGHT = 0.25
"""What a generic word weighs beside one with a topic."""
_CHANCE = 0.45
"""Share of trigrams up to which two English texts on one subject are alike by chance."""
_OPEN = frozenset(("what", "which", "how", "where", "whose", "whom"))
"""Question words that are often put for one another: they ask for nothing in particular."""
_NARROWING = frozenset(
    ("for", "in", "at", "under", "without", "within", "during", "on", "as", "by", "with", "from", "if")
)
_MOST_EXTRA = 4.0
_MOST = 2


def features(a: str, b: str, similarity: float) -> tuple[float, ...]:
    """Give the figures of a pair, in the order of `SIGNS`. They do not depend on which text comes first.

    Args:
        a: One text.
        b: The other.
        similarity: The cosine of their embeddings, from -1 to 1.

    Returns:
        One number for each name in `SIGNS`.

    Example:
        >>> found = dict(zip(SIGNS, features("Does the flat have a bath?", "Does the flat have a bed?", 0.8)))
        >>> found["slots"], found["extra"], found["asks"]
        (1.0, 0.0, 0.0)
    """
    first, second = parsed(a), parsed(b)
    found = aligned(first, second)
    lone = [first.words[i] for i in found.lone_a] + [second.words[j] for j in found.lone_b]
    return (
        similarity,
        max(_CHANCE, _dice(_trigrams(first.plain), _trigrams(second.plain))) - _CHANCE,
        float(min(_slots(first, second, found), _MOST)),
        min(abs(_weight(first, found.lone_a) - _weight(second, found.lone_b)), _MOST_EXTRA),
        float(min(_qualifiers(first, found.lone_a) + _qualifiers(second, found.lone_b), _MOST + 1)),
        float(min(sum(word.name for word in lone), _MOST)),
        _asks(first, second),
    )


def _weight(text: Text, lone: Iterable[int]) -> float:
    return sum(_LIGHT if text.words[at].light else 1.0 for at in lone)


@lru_cache(maxsize=1024)
def _trigrams(text: str) -> frozenset[str]:
    padded = f" {text} "
    return frozenset(padded[at : at + 3] for at in range(len(padded) - 2))


def _dice(a: frozenset[str], b: frozenset[str]) -> float:
    return 2 * len(a & b) / (len(a) + len(b)) if a or b else 1.0


def _slots(a: Text, b: Text, found: Alignment) -> int:
    """Count lone words that stand between the same words as a lone word of the other text: one slot, two fillings."""
    there = dict(found.pairs)
    back = {j: i for i, j in found.pairs}
    return max(
        _filled(found.lone_a, set(found.lone_b), {-1: -1, len(a.words): len(b.words), **there}),
        _filled(found.lone_b, set(found.lone_a), {-1: -1, len(b.words): len(a.words), **back}),
    )


def _filled(lone: tuple[int, ...], other: set[int], across: dict[int, int]) -> int:
    last = max(across)
    return sum(_fills(at, last, across, other) for at in lone)


def _fills(i: int, last: int, to_b: dict[int, int], lone_b: set[int]) -> bool:
    before, after = to_b.get(i - 1), to_b.get(i + 1)
    follows = before is not None and before + 1 in lone_b
    leads = after is not None and after - 1 in lone_b
    return (follows and (leads or i + 1 == last)) or (leads and i == 0)


def _qualifiers(text: Text, lone: tuple[int, ...]) -> int:
    """Count lone words that narrow what is meant: before a noun that both have, or after a preposition."""
    count = 0
    for at in lone:
        word = text.words[at]
        followed = at + 1 < len(text.words) and not text.words[at + 1].marker and at + 1 not in lone
        count += not word.light and (word.marker in _NARROWING or followed)
    return count


def _asks(a: Text, b: Text) -> float:
    """Give 1 where both ask for something in particular and not the same, 0.5 where one does."""
    first, second = a.asks - _OPEN, b.asks - _OPEN
    if first == second:
        return 0.0
    return 1.0 if first and second and not first & second else 0.5
