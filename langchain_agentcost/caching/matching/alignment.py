"""Two texts side by side: which words they share, which stand alone, and what changed places."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeVar

from langchain_agentcost.caching.matching.text import Text, Word

_K = TypeVar("_K")

_SUFFIXES = frozenset(
    (
        *("", "ation", "ition", "ion", "tion", "ment", "al", "i", "er", "or", "ing", "iv", "anc", "enc", "iti", "ness"),
        *("ed", "ful", "ar", "ic", "ical", "at", "s", "es", "en", "ian", "an", "ist", "eri", "ier", "li", "ant", "ent"),
        *("ur", "z"),
    )
)
"""What two words of one family may end in, as stems."""
_FAMILY = 0.55
"""Words of one family share at least this much of the longer one."""
_LEAST = 4
_TYPO_LENGTH = 5
_MOST_LONE = 40
"""Of each side: looking for relatives is quadratic, and texts that differ more than that do not match anyway."""


@dataclass(frozen=True, slots=True)
class Alignment:
    """What two texts share and what they do not.

    Attributes:
        pairs: Places of equal words in a and in b, by place in a.
        fuzzy: How many of the pairs are alike, not equal: a typo, or one word family.
        swapped: How many of the pairs are synonyms.
        lone_a: Places in a of words that b has not.
        lone_b: Places in b of words that a has not.
        opposites: Pairs of lone words that say the contrary.
        flipped: Pairs of pairs whose order differs, as places in `pairs`.
    """

    pairs: tuple[tuple[int, int], ...]
    fuzzy: int
    swapped: int
    lone_a: tuple[int, ...]
    lone_b: tuple[int, ...]
    opposites: tuple[tuple[int, int], ...]
    flipped: tuple[tuple[int, int], ...]


@lru_cache(maxsize=256)
def aligned(a: Text, b: Text) -> Alignment:
    """Set two texts side by side: equal stems first, then synonyms, families and typos, then opposites.

    Kept for the last few pairs, since the guard and the verifier ask for the same one in turn.

    Example:
        >>> from langchain_agentcost.caching.matching.text import parsed
        >>> found = aligned(parsed("Buy a large car"), parsed("Sell a big car"))
        >>> len(found.pairs), found.swapped, found.opposites
        (2, 1, ((0, 0),))
    """
    pairs = _equal(a.words, b.words)
    lone_a, lone_b = _rest(a, [i for i, _ in pairs]), _rest(b, [j for _, j in pairs])
    synonyms = _synonyms(a, b, lone_a, lone_b)
    fuzzy = _relatives(a, b, lone_a, lone_b)
    opposites = _contraries(a, b, lone_a, lone_b)
    pairs = sorted(pairs + synonyms + fuzzy)
    return Alignment(
        pairs=tuple(pairs),
        fuzzy=len(fuzzy),
        swapped=len(synonyms),
        lone_a=tuple(lone_a),
        lone_b=tuple(lone_b),
        opposites=tuple(opposites),
        flipped=_flipped(pairs, a.words),
    )


def _equal(a: tuple[Word, ...], b: tuple[Word, ...]) -> list[tuple[int, int]]:
    places: dict[str, list[int]] = {}
    for j in range(len(b) - 1, -1, -1):
        places.setdefault(b[j].key, []).append(j)
    return [(i, places[word.key].pop()) for i, word in enumerate(a) if places.get(word.key)]


def _rest(text: Text, taken: list[int]) -> list[int]:
    return sorted(set(range(len(text.words))) - set(taken))


def _synonyms(a: Text, b: Text, lone_a: list[int], lone_b: list[int]) -> list[tuple[int, int]]:
    """Pair lone words that share a group."""
    index = _index(lone_b, lambda j: b.words[j].groups)
    return _paired(lone_a, lone_b, lambda i: (j for group in a.words[i].groups for j in index.get(group, ())))


def _relatives(a: Text, b: Text, lone_a: list[int], lone_b: list[int]) -> list[tuple[int, int]]:
    """Pair lone words that are of one family, run together differently, or a slip of the pen apart."""
    index = _index(lone_b[:_MOST_LONE], lambda j: (b.words[j].key[:2],))
    return _paired(
        lone_a,
        lone_b,
        lambda i: (j for j in index.get(a.words[i].key[:2], ()) if _alike(a.words[i], b.words[j])),
    )


def _contraries(a: Text, b: Text, lone_a: list[int], lone_b: list[int]) -> list[tuple[int, int]]:
    """Pair lone words that say the contrary, by the list or by a negating prefix."""
    keys = _index(lone_b, lambda j: (b.words[j].key,))
    bare = _index(lone_b, lambda j: (b.words[j].bare,))

    def offered(i: int) -> Iterator[int]:
        word = a.words[i]
        for key in (*word.opposites, word.bare):
            yield from keys.get(key, ())
        yield from bare.get(word.key, ())

    return _paired(lone_a, lone_b, offered)


def _index(places: list[int], names: Callable[[int], Iterable[_K]]) -> dict[_K, list[int]]:
    index: dict[_K, list[int]] = {}
    for j in places:
        for name in names(j):
            index.setdefault(name, []).append(j)
    return index


def _paired(lone_a: list[int], lone_b: list[int], offered: Callable[[int], Iterable[int]]) -> list[tuple[int, int]]:
    """Pair each lone word with the first free one that is offered, and take both out of the lists."""
    found: list[tuple[int, int]] = []
    free = set(lone_b)
    for i in lone_a[:_MOST_LONE]:
        j = next((j for j in offered(i) if j in free), None)
        if j is not None:
            found.append((i, j))
            free.remove(j)
    if found:
        taken = {i for i, _ in found}
        lone_a[:] = [i for i in lone_a if i not in taken]
        lone_b[:] = [j for j in lone_b if j in free]
    return found


def _alike(a: Word, b: Word) -> bool:
    if (a.name and b.name) or not (a.key[0].isalpha() and b.key[0].isalpha()):
        return False
    if a.text.replace("-", "") == b.text.replace("-", ""):
        return True
    return _family(a.key, b.key) or _typo(a.text, b.text)


def _family(a: str, b: str) -> bool:
    shared = next((at for at, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
    if shared < max(_LEAST, _FAMILY * max(len(a), len(b))):
        return False
    return a[shared:] in _SUFFIXES and b[shared:] in _SUFFIXES


def _typo(a: str, b: str) -> bool:
    """Tell whether one slip makes one of the other: a letter more, less, other, or two changed places."""
    if min(len(a), len(b)) < _TYPO_LENGTH or abs(len(a) - len(b)) > 1 or a[-1] != b[-1]:
        return False
    start = next((at for at, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
    x, y = a[start:], b[start:]
    if len(x) == len(y):
        return x[1:] == y[1:] or (x[1::-1] == y[:2] and x[2:] == y[2:])
    return x[1:] == y if len(x) > len(y) else y[1:] == x


def _flipped(pairs: list[tuple[int, int]], words: tuple[Word, ...]) -> tuple[tuple[int, int], ...]:
    topical = [(at, j) for at, (i, j) in enumerate(pairs[:_MOST_LONE]) if not words[i].light]
    return tuple((x, y) for n, (x, jx) in enumerate(topical) for y, jy in topical[n + 1 :] if jy < jx)
