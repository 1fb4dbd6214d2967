"""Values in an instruction that change from call to call, and the instruction with names in their place.

A date in the first line of a system message makes all that follows another prefix the next day; a session id, in every
conversation. `templated` writes a name where the value stood, the same in every call, and gives the values to be said
at the prompt's end. `Templated.filled` gives the text back as it was: nothing is lost.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

from langchain_agentcost.prefix.volatile import VOLATILE_PATTERNS


@dataclass(frozen=True, slots=True)
class Value:
    """A value that changes.

    Args:
        name: The name that stands for it, without braces.
        text: What it is in this call.
        kind: What it looks like, such as "date".
        line: The line in which it first stands, from 1.
    """

    name: str
    text: str
    kind: str
    line: int


class Left(NamedTuple):
    """Something that looks as if it changed, and stays where it is.

    Args:
        text: What it is.
        kind: What it looks like.
        line: Its line, from 1.
        why: Why it was not moved.
    """

    text: str
    kind: str
    line: int
    why: str


@dataclass(frozen=True, slots=True)
class Templated:
    """A text with names in place of the values that change.

    Args:
        text: The text; it is the same in every call that differs in those values only.
        values: The values.
        left: What looks as if it changed, and could not be moved safely.
    """

    text: str
    values: tuple[Value, ...] = ()
    left: tuple[Left, ...] = ()

    @property
    def filled(self) -> str:
        """The text with its values, as it was."""
        by_name = {f"{{{value.name}}}": value.text for value in self.values}
        return re.sub("|".join(map(re.escape, by_name)), lambda m: by_name[m[0]], self.text) if by_name else self.text

    @property
    def note(self) -> str:
        """What is said at the prompt's end; empty where there are no values."""
        return note_of(self.values)


def note_of(values: Iterable[Value]) -> str:
    r"""Say values by their names, for the end of a prompt; empty where there are none.

    Example:
        >>> note_of([Value("current_date", "2026-11-30", "date", 1)])
        'Values in the instructions above:\n{current_date} = 2026-11-30'
    """
    lines = [f"{{{value.name}}} = {value.text}" for value in values]
    return "\n".join([_NOTE, *lines]) if lines else ""


def templated(text: str, *, varying: Collection[str] = ()) -> Templated:
    """Write names in place of the values that change.

    A date or time is moved right behind words that say that it is of the moment ("today is", "the current time is",
    "heute ist", …) or the label `Date:` or `Time:`; an id, behind a label such as "session id", where it looks like
    one; and what is known to vary. It stays, and is told, where it stands in code, an example or an address, and where
    nothing says whether it is a constant: only whoever wrote it knows. Dates that are part of a rule are not told.
    What is not surely the moment's own is named `value_1`, so that no constant is ever called the current date.

    Args:
        text: An instruction.
        varying: Texts that are known to differ between calls, such as what recorded prompts differ by.

    Returns:
        The template. What is found wrong costs quality nowhere: the model reads all values, at another place.

    Example:
        >>> made = templated("Today is 2026-11-30. Orders before 2024-05-01 are final.")
        >>> made.text
        'Today is {current_date}. Orders before 2024-05-01 are final.'
        >>> made.note.splitlines()[1], made.filled == "Today is 2026-11-30. Orders before 2024-05-01 are final."
        ('{current_date} = 2026-11-30', True)
    """
    code = [match.span() for match in _CODE.finditer(text, 0, LOOKED_AT_CHARS)]
    taken = _Names(text)
    parts, left, at = [], [], 0
    for item in islice(_items(text[:LOOKED_AT_CHARS], varying), MOST_ITEMS):
        line = text.count("\n", 0, item.start) + 1
        start = _sentence_of(text, item)
        name = _of_the_moment(text, item, start, varies=item.text in varying)
        why = _why_not(text, item, start, code, moves=name is not None)
        if name is not None and why is None:
            parts += [text[at : item.start], f"{{{taken.of(item, name, line)}}}"]
            at = item.end
        elif why:
            left.append(Left(item.text, item.kind, line, why))
    return Templated("".join([*parts, text[at:]]), tuple(taken.values), tuple(left))


class _Item(NamedTuple):
    start: int
    end: int
    kind: str
    text: str
    label: str = ""


class _Names:
    """Gives each value a name that the text does not use already."""

    def __init__(self, text: str) -> None:
        self.values: list[Value] = []
        self._text = text
        self._known: dict[str, str] = {}

    def of(self, item: _Item, name: str, line: int) -> str:
        known = self._known.get(item.text)
        if known is None:
            used, number, known = {value.name for value in self.values}, 1, name or f"{_UNSURE}_1"
            while known in used or f"{{{known}}}" in self._text:
                number += 1
                known = f"{name or _UNSURE}_{number}"
            self._known[item.text] = known
            self.values.append(Value(known, item.text, item.kind, line))
        return known


_UNSURE = "value"
"""Begins the name of a value of which nothing says what it is."""

_NAMES = {
    "ISO date and time": "current_time",
    "clock time": "current_time",
    "epoch number": "current_time",
    "date": "current_date",
}
"""The names of what stands behind "today is" and the like. Nothing else is ever moved for such words."""

_NOTE = "Values in the instructions above:"

_LABELLED = re.compile(
    r"\b(?P<label>(?:session|request|trace|run|thread|conversation|correlation|transaction|invocation)[ _-]?id)\b"
    r"[\"'`*_]{0,3}\s{0,9}(?:is|=|:)\s{0,9}[\"'`*_]{0,3}"
    r"(?P<value>(?=[\w.:@/+-]{0,200}\d)(?!\d+-?(?:digit|char|byte|bit|letter|number|hex))[\w.:@/+-]{2,199}\w)"
    r"(?![\w(])(?=[\"'`*_.,;)\]]{0,4}(?:\s*\n|\s*\Z|[.;]\s|,\s))",
    re.IGNORECASE,
)
"""An id behind its label: it has a digit, and nothing goes on behind it ("the session id is 12 characters long")."""

_JWT = re.compile(r"\beyJ[\w-]{8,}\.[\w-]{4,}\.[\w-]{4,}")
_CODE = re.compile(r"```.*?(?:```|\Z)|`[^`\n]+`|https?://[^\s)>\]]+", re.DOTALL)
_EXAMPLE = re.compile(
    r"\b(?:e\.g\.?|such as|for example|for instance|example:|like|z\.\s?B\.|p\. ?ej\.)[^.\n]{0,60}$", re.I
)
_MOMENT = re.compile(
    r"(?:\b(?:today is|today['\u2019]s date|it(?: is|['\u2019]s) now|the time is now"
    r"|current (?:date|time|date ?(?:and|&|/) ?time|datetime|timestamp)"
    r"|heute ist|jetzt ist es|es ist jetzt|(?:aktuelle[sr]? )(?:datum|uhrzeit|zeit)"
    r"|aujourd['\u2019]hui,? (?:c['\u2019]est|nous sommes)"
    r"|date actuelle|hoy es|fecha actual|hora actual|oggi è|data odierna|hoje é|data atual|сегодня|сейчас)"
    r"|(?:今天|现在|当前时间|当前日期)(?:是|为)?|(?:今日|現在|現在時刻)は|오늘은|현재 시간은)"
    r"[\"'`*_]{0,3}(?: ?\([^()\n]{1,20}\))?[\"'`*_]{0,3} ?(?:is|ist|est|es|è|é|[:=\uff1a])?"
    r"[\"'`*_]{0,3} ?(?:(?:the|der|le|el|il) )?[\"'*_(]{0,3}$",
    re.IGNORECASE,
)
"""Words right behind which a date or time is the moment's own."""

_DATED = re.compile(r"\A[\s>#*_-]*(?:date|time|datum|uhrzeit|fecha|hora)[*_]{0,3}\s?[:=][*_]{0,3}\s?$", re.IGNORECASE)
"""A label that a document of any day may have too."""

_SUPPOSED = re.compile(
    r"[\"“„«「]|\b(?:if|when|whenever|unless|until|till|once|while|whether|assum\w+|suppos\w+|pretend\w*|imagine|say|says"
    r"|write|answer|reply|never|wenn|falls|sobald|si|quand|cuando|quando|se|если|когда)\b|如果|もし|만약",
    re.IGNORECASE,
)
"""Words before which a sentence only speaks of a day: "if today is 2026-12-25, …"."""

_SURE_OF_THE_MOMENT = frozenset({"UUID", "ISO date and time", "epoch number", "random hex", "JWT"})
"""Kinds that are told also where nothing says that they are of the moment."""

_JOINED = re.compile(r"[ ,]{0,2}(?:at |um |, )?")
LOOKED_AT_CHARS = 100_000
"""How much of a text is looked at, from its beginning; what stands behind that stays as it is."""

MOST_ITEMS = 500
"""How many items are looked at: a text with more is a table of data."""

_SENTENCE_CHARS = 300
"""How far a sentence is looked at before an item."""

_SENTENCE_ENDS = re.compile(r"(?<=[.!?。])\s|\n")


def _items(text: str, varying: Collection[str]) -> Iterator[_Item]:
    """What looks as if it changed, from left to right, without overlaps; a date beside a time is one with it."""
    found = [_Item(*m.span("value"), "id", m["value"], m["label"]) for m in _LABELLED.finditer(text)]
    found += [_Item(*m.span(), "text", m[0]) for one in varying if one for m in re.finditer(re.escape(one), text)]
    found += [_Item(*m.span(), "JWT", m[0]) for m in _JWT.finditer(text)]
    for kind, pattern in VOLATILE_PATTERNS:
        if kind != "counter":
            found += [_Item(*m.span(), kind, m[0]) for m in pattern.finditer(text)]
    last: _Item | None = None
    for item in sorted(found, key=lambda one: (one.start, -one.end)):
        if last is not None and item.start < last.end:
            continue
        if last is not None and _one_with(text, last, item):
            last = last._replace(end=item.end, text=text[last.start : item.end])
            continue
        if last is not None:
            yield last
        last = item
    if last is not None:
        yield last


def _one_with(text: str, last: _Item, item: _Item) -> bool:
    times = ("date", "clock time")
    both = last.kind in times and item.kind in times and not item.label
    return both and _JOINED.fullmatch(text, last.end, item.start) is not None


def _sentence_of(text: str, item: _Item) -> int:
    """Where the sentence begins that an item stands in."""
    begin = max(0, item.start - _SENTENCE_CHARS)
    return max((m.end() for m in _SENTENCE_ENDS.finditer(text, begin, item.start)), default=begin)


def _of_the_moment(text: str, item: _Item, start: int, *, varies: bool) -> str | None:
    """The name of an item that is of the moment, empty where it is not sure what it is; None where it is a constant."""
    if item.label:
        return re.sub(r"\W+", "_", item.label.strip().lower())
    before = text[start : item.start]
    if item.kind in _NAMES:
        said = _MOMENT.search(before)
        if said is not None and _SUPPOSED.search(before, 0, said.start()) is None:
            return _NAMES[item.kind]
        if _DATED.match(before):
            return ""
    return "" if varies else None


def _why_not(text: str, item: _Item, start: int, code: list[tuple[int, int]], *, moves: bool) -> str | None:
    """Why an item stays: a reason; empty where it is nothing to speak of; None where it can be moved."""
    if not moves:
        return "nothing says whether it changes from call to call" if item.kind in _SURE_OF_THE_MOMENT else ""
    if any(first <= item.start < last for first, last in code):
        return "it stands in code or an address, where a name may mean something else"
    if _EXAMPLE.search(text, start, item.start):
        return "it is an example"
    return None
