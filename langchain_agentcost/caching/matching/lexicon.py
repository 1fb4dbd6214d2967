"""The word lists of the guard and of the verifier: general English, read from `lexicon.toml` when first used."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from pathlib import Path

_FILE = Path(__file__).with_name("lexicon.toml")
_SUFFIXES = ("ation", "ment", "ness", "ing", "ed", "ly", "es", "s")
_NEGATING = ("un", "in", "im", "il", "ir", "non-", "non", "dis", "mis", "anti-")
_LEAST = 3
"""A stem keeps at least three letters: less says nothing."""


@dataclass(frozen=True, slots=True)
class Lexicon:
    """Word lists, stemmed. Sets of words, and tables from a word to what it stands for."""

    function: frozenset[str]
    filler: frozenset[str]
    light: frozenset[str]
    negations: frozenset[str]
    refusals: frozenset[str]
    symmetric: frozenset[str]
    quantifiers: frozenset[str]
    prepositions: frozenset[str]
    participles: frozenset[str]
    foreign: frozenset[str]
    directions_from: frozenset[str]
    directions_to: frozenset[str]
    weekdays: frozenset[str]
    months: frozenset[str]
    days: frozenset[str]
    periods: frozenset[str]
    relative: frozenset[str]
    synonyms: Mapping[str, frozenset[int]]
    opposites: Mapping[str, frozenset[str]]
    numbers: Mapping[str, int]
    tenses: Mapping[str, str]
    units: Mapping[str, tuple[str, Decimal]]
    irregular: Mapping[str, str]
    phrases: Mapping[str, tuple[tuple[tuple[str, ...], tuple[str, ...]], ...]]


@lru_cache(maxsize=1)
def lexicon() -> Lexicon:
    """Read the word lists, once.

    Example:
        >>> "not" in lexicon().negations, lexicon().opposites["befor"]
        (True, frozenset({'after'}))
    """
    raw: dict[str, str] = tomllib.loads(_FILE.read_text(encoding="utf-8"))
    irregular = _table(raw["irregular"])
    plain = ("function", "filler", "negations", "prepositions", "participles", "foreign")
    directions = ("directions_from", "directions_to")
    stemmed = ("light", "refusals", "symmetric", "quantifiers", "weekdays", "months", "days", "periods", "relative")
    return Lexicon(
        **{name: frozenset(raw[name].split()) for name in plain + directions},
        **{name: frozenset(stem(word, irregular) for word in raw[name].split()) for name in stemmed},
        synonyms=_groups(raw["synonyms"], irregular),
        opposites=_both_ways(raw["opposites"], irregular),
        numbers={word: int(value) for word, value in _table(raw["numbers"]).items()},
        tenses=_table(raw["tenses"]),
        units={word: _unit(value) for word, value in _table(raw["units"]).items()},
        irregular=irregular,
        phrases=_phrases(raw["phrases"]),
    )


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """What the lists say of one word.

    Attributes:
        key: Its stem.
        light: Whether it is generic.
        topical: Whether it is neither a function word, nor a filler, nor a negation.
        groups: Numbers of the synonym groups it is in.
        opposites: Stems of words that say the contrary.
        bare: The stem of what a negating prefix stands before, or "".
    """

    key: str
    light: bool
    topical: bool
    groups: frozenset[int]
    opposites: frozenset[str]
    bare: str


@lru_cache(maxsize=8192)
def entry(word: str) -> Entry:
    """Look a word up; the last few thousand are kept, since texts of one partition share their words.

    Example:
        >>> entry("unsafe").bare, entry("the").topical
        ('saf', False)
    """
    lists = lexicon()
    key, bare = stem(word, lists.irregular), unprefixed(word)
    return Entry(
        key=key,
        light=key in lists.light,
        topical=not (word in lists.function or word in lists.filler or word in lists.negations),
        groups=lists.synonyms.get(key, frozenset()),
        opposites=lists.opposites.get(key, frozenset()),
        bare=stem(bare, lists.irregular) if bare else "",
    )


def stem(word: str, irregular: Mapping[str, str]) -> str:
    """Strip what English hangs on the end of a word, roughly: both forms of a word should come out alike.

    Example:
        >>> [stem(word, {}) for word in ("cancelling", "cancelled", "cancellation", "prices", "quickly", "boss")]
        ['cancel', 'cancel', 'cancel', 'pric', 'quick', 'boss']
    """
    word = irregular.get(word, word)
    if len(word) <= _LEAST or not word.isalpha():
        return word
    if word.endswith("ies"):
        return word[:-3] + "i"
    for suffix in _SUFFIXES:
        if word.endswith(suffix) and len(word) - len(suffix) >= _LEAST and not _is_root(word, suffix):
            return _trimmed(word[: -len(suffix)])
    return _trimmed(word)


def _is_root(word: str, suffix: str) -> bool:
    """Tell whether the letters belong to the word: boss, virus, analysis, bring, need."""
    rest = word[: -len(suffix)]
    if suffix == "s":
        return rest.endswith(("s", "u", "i"))
    if suffix == "es":
        return not rest.endswith(("s", "x", "z", "ch", "sh", "o"))
    return not any(vowel in rest for vowel in "aeiouy") or rest.endswith("e")


def _trimmed(word: str) -> str:
    """Undo a doubled consonant and a mute e, and let y and i be one."""
    if len(word) > _LEAST and word[-1] == word[-2] and word[-1] not in "sz":
        word = word[:-1]
    if len(word) > _LEAST and word[-1] == "e":
        word = word[:-1]
    return word[:-1] + "i" if len(word) > _LEAST and word[-1] == "y" else word


def unprefixed(word: str) -> str:
    """Give the word without its negating prefix, or "" where it has none.

    Example:
        >>> unprefixed("unsafe"), unprefixed("non-refundable"), unprefixed("happy")
        ('safe', 'refundable', '')
    """
    for prefix in _NEGATING:
        if word.startswith(prefix) and len(word) - len(prefix) >= _LEAST:
            return word[len(prefix) :]
    return ""


def _table(text: str) -> dict[str, str]:
    return dict(entry.split("=", 1) for entry in text.split())


def _unit(value: str) -> tuple[str, Decimal]:
    name, _, factor = value.partition("*")
    return name, Decimal(factor)


def _groups(text: str, irregular: Mapping[str, str]) -> dict[str, frozenset[int]]:
    """Map each word to the numbers of the groups it is in; two words of one group say the same."""
    groups: dict[str, set[int]] = {}
    for number, line in enumerate(text.strip().splitlines()):
        for word in line.split():
            groups.setdefault(stem(word, irregular), set()).add(number)
    return {word: frozenset(numbers) for word, numbers in groups.items()}


def _both_ways(text: str, irregular: Mapping[str, str]) -> dict[str, frozenset[str]]:
    table: dict[str, set[str]] = {}
    for line in text.strip().splitlines():
        a, b = (stem(word, irregular) for word in line.split())
        if a != b:
            table.setdefault(a, set()).add(b)
            table.setdefault(b, set()).add(a)
    return {word: frozenset(words) for word, words in table.items()}


def _phrases(text: str) -> dict[str, tuple[tuple[tuple[str, ...], tuple[str, ...]], ...]]:
    """Give for the first word of a phrase each phrase, longest first, and what it is replaced with."""
    table: dict[str, list[tuple[tuple[str, ...], tuple[str, ...]]]] = {}
    for line in text.strip().splitlines():
        phrase, _, meaning = line.partition("=")
        words = tuple(phrase.split())
        table.setdefault(words[0], []).append((words, tuple(meaning.split())))
    return {first: tuple(sorted(them, key=lambda one: -len(one[0]))) for first, them in table.items()}
