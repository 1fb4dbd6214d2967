"""A text taken apart once: its words, numbers, dates, ids, negations and what it asks."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import lru_cache

from langchain_agentcost.caching.matching.lexicon import Lexicon, entry, lexicon

_MAX_CHARS = 2_000
"""What is looked at. A longer text is cut, and a cut text matches its equal only."""

_TOKEN = re.compile(
    r"(?P<id>https?://\S+|[\w.+-]+@[\w-]+\.\w[\w.]*|\w+(?:[-_/]\w+)*_\w+|#\w+)"
    r"|(?P<time>\d{1,2}[:.]\d{2}(?:\s?[ap]m\b)?|\d{1,2}\s?[ap]m\b)"
    r"|(?P<number>(?:(?<!\S)-)?[£$€]?(?:\d+(?:,\d{3})+(?!\d)|\d+)(?:[.,]\d+)?(?:\s?%|(?:st|nd|rd|th|k|mg|kg|g|kb|mb|gb|tb|ml|l|cm|mm|km|m|h|hrs?|s|mins?|yrs?|lbs?|oz|ft)?(?!\w)))"
    r"|(?P<word>\w+(?:['-]\w+)*)"
    r"|(?P<stop>[.?!;:\n]+)|(?P<comma>,)"
    r"|(?P<sign>[^\w\s\"'()\[\]{}*`/&@£$€%_\u2010-\u2015\u2026-])"
)
_ADDRESS = re.compile(r"https?://\S+")
"""Kept in their own letters: of an address capitals matter."""
_TIME = re.compile(r"(\d+)(?:[:.](\d+))?\s?([ap]m)?")
_NUMBER = re.compile(r"(-?)([£$€]?)(\d+(?:,\d{3})+(?!\d)|\d+)([.,]\d+)?\s?(.*)", re.DOTALL)
_EXACT = 24
"""Digits that arithmetic keeps; a longer number is an id."""
_CONTRACTIONS = (
    (re.compile(r"\bcan't\b"), "can not"),
    (re.compile(r"\bwon't\b"), "will not"),
    (re.compile(r"(?<=\w)n't\b"), " not"),
    (re.compile(r"\b(what|who|where|when|how|why|there|here|that|it|he|she)'s\b"), r"\1 is"),
    (re.compile(r"(?<=\w)'(?:re|ve|ll|d|m|s)\b|(?<=s)'(?=\s|$)"), ""),
)
_CURRENCIES = {"£": "gbp", "$": "usd", "€": "eur", "%": "percent"}
_ASKING = "who whom whose what which when where why how howmany howmuch howlong howold howoften howfar price"
_WH = frozenset(_ASKING.split())
_HE = {"he": "HE", "him": "HE", "his": "HE", "she": "SHE", "her": "SHE", "hers": "SHE"}
_RELATIVE = re.compile(r"\w\W+(?:which|that|who)\s+(?:is|are|was|were|has|have|had)\b")
_OF_OBJECT = re.compile(r"\b(?:whom|(?:who|which \w+) (?:do|does|did)(?! (?:not|you think)\b))\b")
_OF_SUBJECT = re.compile(
    r"\b(?:who|which \w+) (?!(?:do|does|did|am|is|are|was|were|has|have|had|can|could|will|would|shall|should|may|might"
    r"|must|to|the|an?|i|you|he|she|we|they|it)\b)\w"
)
_BE = frozenset(["is", "are", "was", "were", "be", "been", "being", "am", "get", "gets", "got"])
_PARTICLE_REACH = 4
_TITLE_CASE = 0.8
_FEW = 5
"""Where more than this share of more than so many words begin with a capital, capitals mark no names."""


@dataclass(frozen=True, slots=True, eq=False)
class Word:
    """One word that matters: its stem, the preposition before it, and what kind it is."""

    text: str
    key: str
    marker: str
    name: bool
    light: bool
    joined: bool
    groups: frozenset[int] = frozenset()
    opposites: frozenset[str] = frozenset()
    bare: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Text:
    """A text, taken apart.

    Attributes:
        plain: The text in lower case without punctuation, for equality.
        words: Words with a topic, in the order of an active sentence.
        numbers: Quantities with their unit, "1209600 second".
        dates: Weekdays, months, relative days and periods.
        ids: Addresses and codes with digits in them.
        signs: Characters that are neither words nor punctuation: the + of C++, an emoji.
        negations: How many words say no.
        scope: Words such as "only" and "every".
        asks: Question words.
        tense: Words such as "used to" and "becoming".
        choice: Whether it has "or", "and", both or neither.
        sentences: How many there are.
        passive: Whether something is done to the subject.
        wanted: Which part of the sentence is asked for: "subject" (who called?), "object" (who did she call?), or "".
        relative: Whether a clause hangs on a word: "a hat which is hard".
        cut: Whether it was too long to look at whole.
    """

    plain: str
    words: tuple[Word, ...]
    numbers: tuple[str, ...]
    dates: frozenset[str]
    ids: frozenset[str]
    signs: frozenset[str]
    negations: int
    scope: frozenset[str]
    asks: frozenset[str]
    tense: frozenset[str]
    choice: frozenset[str]
    sentences: int
    passive: bool
    wanted: str
    relative: bool
    cut: bool
    connective: tuple[str, int] = field(default=("", 0))
    keys: frozenset[str] = frozenset()


def parsed(text: str) -> Text:
    """Take a text apart; of one longer than 2,000 characters only the head is looked at.

    Example:
        >>> parsed("Refund $50 on order 12").numbers, parsed("Is it not safe?").negations
        (('12', '50 usd'), 1)
    """
    return _parsed(text[:_MAX_CHARS], len(text) > _MAX_CHARS)


@lru_cache(maxsize=2048)
def _parsed(text: str, cut: bool) -> Text:
    return _Reader(lexicon(), text).read(cut)


class _Reader:
    """Reads one text from left to right."""

    def __init__(self, words: Lexicon, text: str) -> None:
        text = unicodedata.normalize("NFKC", text).translate({0x2019: "'", 0x2018: "'", 0x201C: '"', 0x201D: '"'})
        self.lexicon = words
        self.names = _names(text, words)
        self.text = text.lower()
        if "'" in self.text:
            for pattern, replacement in _CONTRACTIONS:
                self.text = pattern.sub(replacement, self.text)
        self.numbers: list[str] = []
        self.dates: set[str] = set()
        self.ids = set(_ADDRESS.findall(text))
        self.signs: set[str] = set()
        self.words: list[Word] = []
        self.negations = 0
        self.sets: dict[str, set[str]] = {"scope": set(), "asks": set(), "tense": set(), "choice": set()}
        self.marker = ""
        self.joined = False
        self.be_seen = self.participle = False
        self.verb_at = self.agent_at = -1
        self.verb_from = 0
        self.clause = 0
        self.connective = ("", 0)

    def read(self, cut: bool) -> Text:
        tokens = list(_tokens(self.text, self.lexicon))
        sentences = sum(kind == "stop" and "\n" not in text for kind, text in tokens[:-1]) + 1
        position = 0
        while position < len(tokens):
            position += self._step(tokens, position)
        words = self._active()
        return Text(
            plain=" ".join(text for kind, text in tokens if kind not in ("stop", "comma")),
            words=words,
            numbers=tuple(sorted(self.numbers)),
            dates=frozenset(self.dates),
            ids=frozenset(self.ids),
            signs=frozenset(self.signs),
            negations=self.negations,
            **{name: frozenset(found) for name, found in self.sets.items()},
            sentences=sentences,
            passive=self.verb_at >= 0,
            wanted="object" if _OF_OBJECT.search(self.text) else "subject" if _OF_SUBJECT.search(self.text) else "",
            relative=bool(_RELATIVE.search(self.text)),
            cut=cut,
            connective=self.connective,
            keys=frozenset(word.key for word in words),
        )

    def _step(self, tokens: list[tuple[str, str]], at: int) -> int:
        """Take what is at a place, and tell how many tokens it was."""
        kind, text = tokens[at]
        if kind in ("stop", "comma"):
            self._boundary(kind)
            return 1
        if kind == "id":
            self.ids.add(text.strip(".,)("))
            return 1
        if kind == "sign":
            self.signs.add(text)
            return 1
        if kind == "time":
            self.numbers.append(_clock(text))
            return 1
        following = tokens[at + 1][1] if at + 1 < len(tokens) and tokens[at + 1][0] == "word" else ""
        if kind == "number" or (text in self.lexicon.numbers):
            return self._number(text, following)
        return self._date(text, following) or self._word(text)

    def _boundary(self, kind: str) -> None:
        self.marker, self.joined = "", kind == "comma"
        if kind == "comma" and self.connective[0] and self.connective[1] == 0:
            self.connective = (self.connective[0], -len(self.words))
        if kind == "stop":
            self.clause, self.be_seen, self.participle = len(self.words), False, False

    def _number(self, text: str, following: str) -> int:
        if len(text) > _EXACT:
            self.ids.add(text)
            return 1
        value, unit = _value(text, self.lexicon)
        taken = 1
        if not unit:
            unit = following.split("-")[0].removesuffix("s")
            unit = unit if unit in self.lexicon.units else ""
            taken += bool(unit)
        if unit:
            name, factor = self.lexicon.units.get(unit, (unit, Decimal(1)))
            self.numbers.append(f"{_plain(value * factor)} {name}")
        else:
            self.numbers.append(_plain(value))
        self._add(Word(self.numbers[-1], self.numbers[-1], self.marker, name=False, light=False, joined=self.joined))
        return taken

    def _date(self, text: str, following: str) -> int:
        key = entry(text).key
        after = entry(following).key
        if text in ("last", "next", "this", "previous", "past", "current") and after in self.lexicon.periods:
            self.dates.add(f"{text} {after}")
            return 2
        if key in self.lexicon.weekdays or key in self.lexicon.days:
            self.dates.add(key)
            return 1
        if key in self.lexicon.months and (text not in ("may", "march") or text in self.names):
            self.dates.add(key)
            return 1
        return 0

    def _word(self, text: str) -> int:
        lex = self.lexicon
        self._mark(text)
        if text in _HE:
            self._add(Word(text, _HE[text], "", name=True, light=False, joined=False))
        elif not text.isalpha() and text not in lex.synonyms and any(map(str.isdigit, text)):
            self.ids.add(text)
        elif (known := entry(text)).topical:
            name = text in self.names
            light = known.light and not name
            also = known.groups, known.opposites, known.bare
            self._add(Word(text, known.key, self.marker, name, light, self.joined, *also))
        return 1

    def _mark(self, text: str) -> None:
        """Note what a small word says: a negation, a preposition, a question, a passive."""
        lex = self.lexicon
        self.negations += text in lex.negations
        if (key := entry(text).key) in lex.quantifiers:
            self.sets["scope"].add(key)
        if text in _WH:
            self.sets["asks"].add(text)
        if text in lex.tenses:
            self.sets["tense"].add(lex.tenses[text])
        if text in ("and", "or"):
            self.sets["choice"].add(text)
            self.joined = True
        elif text in ("before", "after"):
            self.connective = (text, len(self.words))
        self._voice(text)
        if text in lex.prepositions:
            self.marker, self.joined = text, False

    def _voice(self, text: str) -> None:
        """Note a passive: a form of be, a participle, and perhaps a "by"."""
        if text == "by" and self.participle and self.agent_at < 0:
            self.agent_at = len(self.words)
        elif self.be_seen and not self.participle and _is_participle(text, self.lexicon):
            self.participle = True
            if self.verb_at < 0:
                self.verb_at, self.verb_from = len(self.words), self.clause
        self.be_seen = self.be_seen or text in _BE

    def _add(self, word: Word) -> None:
        self.words.append(word)
        if not word.light:
            self.marker, self.joined = "", False

    def _active(self) -> tuple[Word, ...]:
        """Put the words of a passive in the order of an active sentence: who does it ("by ..."), the verb, the rest."""
        words, verb, agent = self.words, self.verb_at, self.agent_at
        if not 0 <= verb < len(words):
            return tuple(words)
        start = min(self.verb_from, verb)
        moved = [words[verb]]
        if verb < agent < len(words):
            end = next((at for at in range(agent + 1, len(words)) if words[at].marker), len(words))
            moved = [replace(word, marker="") for word in words[agent:end]] + moved
            words = words[:agent] + words[end:]
        return tuple(words[:start] + moved + words[start:verb] + words[verb + 1 :])


def _is_participle(text: str, words: Lexicon) -> bool:
    if text in words.function or text in words.filler:
        return False
    return text.endswith("ed") or text in words.irregular or text in words.participles


def _tokens(text: str, words: Lexicon) -> Iterator[tuple[str, str]]:
    """Give kind and text of each token, phrases of several words as one."""
    found = _joined([(match.lastgroup or "", match.group()) for match in _TOKEN.finditer(text)])
    at = 0
    while at < len(found):
        for phrase, meaning in words.phrases.get(found[at][1], ()):
            if all(at + n < len(found) and found[at + n][1] == word for n, word in enumerate(phrase)):
                yield from (("word", word) for word in meaning)
                at += len(phrase)
                break
        else:
            yield found[at]
            at += 1


def _joined(tokens: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Bring "turn the alerts on" into the form "turn on the alerts"."""
    verbs = [at for at, (_, text) in enumerate(tokens) if text in ("turn", "switch")]
    for verb in verbs:
        for at in range(verb + 2, min(verb + 2 + _PARTICLE_REACH, len(tokens))):
            last = at + 1 == len(tokens) or tokens[at + 1][0] == "stop"
            if last and tokens[at][1] in ("on", "off"):
                tokens.insert(verb + 1, tokens.pop(at))
                break
    return tokens


def _names(text: str, words: Lexicon) -> frozenset[str]:
    """Give the words that a capital marks as names; none where nearly every word has one."""
    found = [match.group() for match in re.finditer(r"(?:[.?!]\s+)?\b[^\W\d_][\w&'-]*", text)]
    inner = [word for number, word in enumerate(found) if number and word[0] not in ".?!"]
    capitals = sum(word[0].isupper() for word in inner)
    if capitals > _TITLE_CASE * len(inner) and (len(inner) > _FEW or all(word.isupper() for word in found)):
        return frozenset()
    shouted = [word for word in found if len(word) > 1 and word.isupper()]
    names = {word.lower().removesuffix("'s") for word in inner + shouted if word[0].isupper()}
    return frozenset(names - words.function - words.filler - words.negations)


def _plain(number: Decimal) -> str:
    return f"{number.normalize():f}"


def _clock(text: str) -> str:
    hour, minute, half = _TIME.findall(text)[0]
    return f"{int(hour)}:{minute or '00'} {half}".strip()


def _value(text: str, words: Lexicon) -> tuple[Decimal, str]:
    """Give the value of a number and the unit that is written on it."""
    if text in words.numbers:
        return Decimal(words.numbers[text]), ""
    minus, sign, digits, rest, written = _NUMBER.findall(text)[0]
    unit = _CURRENCIES.get(sign or written, written)
    number = Decimal(minus + digits.replace(",", "") + rest.replace(",", "."))
    if unit in ("st", "nd", "rd", "th"):
        return number, "nth"
    if written == "k":
        return number * 1000, _CURRENCIES.get(sign, "")
    return number, unit
