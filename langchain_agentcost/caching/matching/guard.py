"""The rules that forbid one answer for two texts, whatever a score says."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection

from langchain_agentcost.caching.matching.alignment import Alignment, aligned
from langchain_agentcost.caching.matching.lexicon import lexicon
from langchain_agentcost.caching.matching.readable import readable
from langchain_agentcost.caching.matching.text import Text, Word, parsed

__all__ = ["Text", "guard", "parsed"]

_NEAR = 0.6
"""Share of equal words from which on two texts are variants of one sentence: there each difference counts."""
_BRIEF = 8
"""So few words leave no room for a detail that does not matter."""
_TERSE = 5
"""In a text of so few words, any word before a noun tells which one is meant."""
_RUN = re.compile(r"[^\W\d_]+|\d+")
_CONNECTIVES = ("before", "after")
_NARROWING = frozenset(("for", "in", "at", "under", "without", "within", "during", "on", "as", "by", "with", "from"))
_ADJECTIVES = (
    "al",
    "ic",
    "ous",
    "ful",
    "less",
    "ive",
    "able",
    "ible",
    "ary",
    "ant",
    "ent",
    "ing",
    "ed",
    "ish",
    "ern",
    "ese",
)


def guard(a: str, b: str) -> str | None:
    """Name the rule that forbids to answer b with the answer to a, or None where none does.

    The rules know English: a text of another language passes with its equal only, see `readable`. A text of more
    than 2,000 characters passes with its equal only.

    Args:
        a: The text that was answered before.
        b: The text that is asked now.

    Returns:
        The rule ("number", "date", "unit", "id", "negation", "polarity", "entity", "scope", "role", "order",
        "temporal", "language"), or None.

    Example:
        >>> guard("Cancel order 12", "Cancel order 13")
        'number'
        >>> (
        ...     guard("Does Ann trust Bob?", "Is Bob trusted by Ann?"),
        ...     guard("Does Ann trust Bob?", "Is Ann trusted by Bob?"),
        ... )
        (None, 'role')
    """
    if a == b:
        return None
    first, second = parsed(a), parsed(b)
    if first.cut or second.cut:
        return "scope"
    if first.plain == second.plain and first.plain and first.ids == second.ids:
        return None
    found = aligned(first, second)
    forbidden = next((name for name, forbids in _RULES if forbids(first, second, found)), None)
    return forbidden or (None if readable(a) and readable(b) else "language")


def _differ(first: Collection[str], second: Collection[str], near: bool) -> bool:
    """Tell whether each side has what the other has not, or one has more and the texts are otherwise alike."""
    if first == second:
        return False
    more, less = Counter(first) - Counter(second), Counter(second) - Counter(first)
    return bool(more and less) or (near and bool(more or less))


def _number(a: Text, b: Text, found: Alignment) -> bool:
    return _differ(a.numbers, b.numbers, _near(a, b, found))


def _unit(a: Text, b: Text, _: Alignment) -> bool:
    """Tell whether the numbers are equal and only what they count differs."""
    bare_a, bare_b = sorted(n.split()[0] for n in a.numbers), sorted(n.split()[0] for n in b.numbers)
    return a.numbers != b.numbers and bare_a == bare_b and all(" " in n for n in a.numbers + b.numbers)


def _date(a: Text, b: Text, found: Alignment) -> bool:
    return _differ(a.dates, b.dates, _near(a, b, found))


def _id(a: Text, b: Text, found: Alignment) -> bool:
    """Tell whether codes differ, or signs: C++ is not C#."""
    near = _near(a, b, found)
    return _differ(_bare(a.ids), _bare(b.ids), near) or (near and a.signs != b.signs)


def _near(a: Text, b: Text, found: Alignment) -> bool:
    return max(len(a.words), len(b.words)) <= _BRIEF or _share(a, b, found) >= _NEAR


def _bare(ids: frozenset[str]) -> set[str]:
    """Let AB-17 and AB17 be one, and not A1-23 and A12-3; an address is as it is written."""
    return {one if "/" in one or "@" in one else " ".join(_RUN.findall(one)) or one for one in ids}


def _temporal(a: Text, b: Text, found: Alignment) -> bool:
    """Tell whether before became after, or what is became what was or will be."""
    if not _near(a, b, found):
        return False
    if a.tense != b.tense and found.pairs:
        return True
    before, after = a.connective[0], b.connective[0]
    if not before or not after:
        return False
    turned = _sides_turned(a, b, found)
    return (before != after) != turned


def _sides_turned(a: Text, b: Text, found: Alignment) -> bool:
    """Tell whether words changed sides of before or after, some one way and some the other."""
    ways = {(_is_after(a, i), _is_after(b, j)) for i, j in found.pairs if a.words[i].text not in _CONNECTIVES}
    return (True, False) in ways and (False, True) in ways


def _is_after(text: Text, place: int) -> bool:
    at = text.connective[1]
    return place < -at if at < 0 else place >= at


def _polarity(a: Text, b: Text, found: Alignment) -> bool:
    """Tell whether an odd number of turns lies between the texts: words of contrary sense, and negations."""
    turns = _contraries(a, b, found)
    return bool(turns) and _turned(a, b, turns, found)


def _negation(a: Text, b: Text, found: Alignment) -> bool:
    return not _contraries(a, b, found) and _turned(a, b, 0, found)


def _contraries(a: Text, b: Text, found: Alignment) -> int:
    """Count lone words of contrary sense; before and after have a rule of their own."""
    if a.connective[0] and b.connective[0]:
        return sum(a.words[i].text not in _CONNECTIVES for i, _ in found.opposites)
    return len(found.opposites)


def _turned(a: Text, b: Text, turns: int, found: Alignment) -> bool:
    turns += a.negations + b.negations + _refusals(a, found.lone_a) + _refusals(b, found.lone_b)
    return turns % 2 == 1 and _near(a, b, found)


def _refusals(text: Text, lone: tuple[int, ...]) -> int:
    return sum(text.words[at].key in lexicon().refusals for at in lone)


def _share(a: Text, b: Text, found: Alignment) -> float:
    return 2 * len(found.pairs) / max(1, len(a.words) + len(b.words))


def _entity(a: Text, b: Text, found: Alignment) -> bool:
    """Tell whether each side has a name that the other has not."""
    return any(a.words[i].name for i in found.lone_a) and any(b.words[j].name for j in found.lone_b)


def _scope(a: Text, b: Text, found: Alignment) -> bool:
    """Tell whether one text is narrower: an only, an or for an and, or a qualifier more while all else is the same."""
    if _share(a, b, found) >= _NEAR and (a.scope != b.scope or _choice_differs(a, b)):
        return True
    if bool(found.lone_a) == bool(found.lone_b) or found.flipped or _share(a, b, found) < _NEAR:
        return False
    text, lone = (a, found.lone_a) if found.lone_a else (b, found.lone_b)
    return any(_narrows(text, at) for at in lone)


def _choice_differs(a: Text, b: Text) -> bool:
    return bool(a.choice and b.choice) and a.choice != b.choice


def _narrows(text: Text, at: int) -> bool:
    """Tell whether a word says which one is meant: a name, a qualifier before its noun, or after a preposition."""
    word = text.words[at]
    if word.light or word.text.endswith("ly"):
        return False
    before_noun = at + 1 < len(text.words) and not text.words[at + 1].marker
    qualifies = before_noun and (word.text.endswith(_ADJECTIVES) or len(text.words) <= _TERSE)
    return word.name or word.marker in _NARROWING or qualifies


def _role(a: Text, b: Text, found: Alignment) -> bool:
    """Tell whether two things changed parts: from and to, who does it and whom it is done to."""
    if {a.wanted, b.wanted} == {"subject", "object"} and _near(a, b, found):
        return True
    if any(_redirected(a.words[i], b.words[j]) for i, j in found.pairs):
        return True
    return any(_exchanged(a, b, found, x, y) for x, y in found.flipped)


def _redirected(a: Word, b: Word) -> bool:
    lex = lexicon()
    there = a.marker in lex.directions_to and b.marker in lex.directions_from
    return there or (a.marker in lex.directions_from and b.marker in lex.directions_to)


def _exchanged(a: Text, b: Text, found: Alignment, x: int, y: int) -> bool:
    """Tell whether two words that changed places took over each other's part in the sentence."""
    (i, j), (k, m) = found.pairs[x], found.pairs[y]
    first, second = (a.words[i], a.words[k]), (b.words[j], b.words[m])
    if _listed(first, second) or _is_symmetric(a, b) or _one_phrase(first, k - i, j - m):
        return False
    marks = first[0].marker, first[1].marker
    if marks[0] != marks[1]:
        return (second[1].marker, second[0].marker) == marks
    return all(word.name for word in first + second) and second[0].marker == second[1].marker == marks[0]


def _one_phrase(words: tuple[Word, Word], apart_a: int, apart_b: int) -> bool:
    """Tell whether a noun and its qualifier only changed order: "a float that is green" for "a green float"."""
    return apart_a == 1 == abs(apart_b) and not words[1].marker and not all(word.name for word in words)


def _listed(first: tuple[Word, Word], second: tuple[Word, Word]) -> bool:
    """Tell whether both are joined by and, or, or a comma in both texts."""
    return any(word.joined for word in first) and any(word.joined for word in second)


def _is_symmetric(a: Text, b: Text) -> bool:
    return any(word.key in lexicon().symmetric and not word.joined for word in a.words if word.key in b.keys)


def _order(a: Text, b: Text, found: Alignment) -> bool:
    """Tell whether the very same bare words stand in another order."""
    if found.lone_a or found.lone_b or a.relative or b.relative or _is_symmetric(a, b):
        return False
    if a.connective[0] and b.connective[0]:
        return False
    involved = {at for pair in found.flipped for at in pair}
    words = [a.words[found.pairs[at][0]] for at in involved] + [b.words[found.pairs[at][1]] for at in involved]
    return bool(words) and not any(word.marker or word.joined for word in words)


_RULES: tuple[tuple[str, Callable[[Text, Text, Alignment], bool]], ...] = (
    ("unit", _unit),
    ("number", _number),
    ("date", _date),
    ("id", _id),
    ("temporal", _temporal),
    ("polarity", _polarity),
    ("negation", _negation),
    ("entity", _entity),
    ("role", _role),
    ("order", _order),
    ("scope", _scope),
)
