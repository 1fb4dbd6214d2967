"""A summary that is anchored: what it says stays until it is superseded, because it is merged and never written anew.

A summary that is made again from the last one loses a little each time. Here a model only says what is new and what no
longer holds; rules put it in, drop what does not fit, and say in which order. The same input gives the same text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Self

from langchain_agentcost.tokens import count_text

MAX_SUMMARY_TOKENS = 1_000
"""How long a summary may get where nothing else is said."""

SHARES: Mapping[str, int] = {"intent": 15, "next_steps": 15, "decisions": 35, "artifacts": 20, "literals": 15}
"""How many percent of it each section may take, and what the ones before it have left: no other is pushed out."""

MAX_ENTRY_CHARS = 300
"""A longer sentence is cut."""

MAX_NAME_CHARS = 200
"""A longer name or literal is left out: cut, it would be another one."""


@dataclass(frozen=True, slots=True)
class Artifact:
    """Something that was made, changed or used: a file, an order, a page.

    Args:
        name: How the messages call it, verbatim.
        note: What happened to it; may be empty.
    """

    name: str
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """What was said before, in short.

    Texts are kept as single lines, without doubles, the newest last.

    Args:
        intent: What the user wants.
        decisions: What was decided or found out.
        artifacts: What was made, changed or used.
        next_steps: What remains to be done.
        literals: Ids, paths and values that code has copied from the messages.
        closed: Decisions and next steps of an earlier summary that no longer hold; `merge` takes them out of it.

    Example:
        >>> before = Summary(intent="Return order A-17.", next_steps=("Ask for the reason.",))
        >>> new = Summary(decisions=("The reason: too small.",), closed=("Ask for the reason.",))
        >>> print(before.merge(new).render())
        <conversation_summary>
        What was said before, in short; the messages that follow are newer.
        Intent
        - Return order A-17.
        Decisions
        - The reason: too small.
        </conversation_summary>
    """

    intent: str = ""
    decisions: tuple[str, ...] = ()
    artifacts: tuple[Artifact, ...] = ()
    next_steps: tuple[str, ...] = ()
    literals: tuple[str, ...] = ()
    closed: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "intent", _sentence(self.intent))
        for name in _SENTENCES:
            object.__setattr__(self, name, _latest(map(_sentence, getattr(self, name)), by=key_of))
        object.__setattr__(self, "artifacts", _latest(map(_artifact, self.artifacts), by=lambda one: one.name))
        fitting = (one for one in map(_line, self.literals) if len(one) <= MAX_NAME_CHARS)
        object.__setattr__(self, "literals", _latest(fitting, by=str))

    def __bool__(self) -> bool:
        """Whether it says anything."""
        return bool(self.intent or self.decisions or self.artifacts or self.next_steps or self.literals)

    def merge(
        self, new: Summary, *, max_tokens: int = MAX_SUMMARY_TOKENS, count: Callable[[str], int] = count_text
    ) -> Self:
        """Put what is new into this summary.

        What this summary says stays, but for what the new one closes. What is said again, but for case and the full
        stop, is kept once, in the new words, as the newest; an artifact keeps its note where the new one has none. The
        new intent counts where there is one. To merge the same twice changes nothing.

        Args:
            new: What is new.
            max_tokens: How long the result may get; see `capped` for what goes first.
            count: How tokens are counted.
        """
        said = set(map(key_of, (*new.decisions, *new.next_steps)))
        gone = said | set(map(key_of, new.closed))
        notes = {one.name: one.note for one in self.artifacts}
        told = [replace(one, note=one.note or notes.get(one.name, "")) for one in new.artifacts]
        merged = type(self)(
            intent=new.intent or self.intent,
            decisions=(*(one for one in self.decisions if key_of(one) not in gone), *new.decisions),
            artifacts=(*self.artifacts, *told),
            next_steps=(*(one for one in self.next_steps if key_of(one) not in gone), *new.next_steps),
            literals=(*self.literals, *new.literals),
        )
        return merged.capped(max_tokens, count=count)

    def capped(self, max_tokens: int = MAX_SUMMARY_TOKENS, *, count: Callable[[str], int] = count_text) -> Self:
        """Give it cut to a length: each section keeps its newest entries within its share (`SHARES`).

        The oldest entries go first, of the section that is too long and of no other. What a section leaves of its share
        goes to the next one in the order of `SHARES`, so literals get all that is left. Only the intent is cut within.

        Args:
            max_tokens: How long it may be, in tokens.
            count: How tokens are counted.
        """
        room = max_tokens - count(_FRAME) - len(SHARES)
        kept: dict[str, Any] = {}
        over = 0
        for name, share in SHARES.items():
            fit: _Fit = _FIT.get(name, _newest)
            kept[name], over = fit(getattr(self, name), room * share // 100 + over, count)
        return replace(self, **kept, closed=())

    def render(self) -> str:
        """Write it as the text that goes into a prompt; nothing for an empty one. `parse` reads it back."""
        return "\n".join(_lines(self)) if self else ""

    def as_dict(self) -> dict[str, Any]:
        """Give it as plain JSON."""
        return {
            "intent": self.intent,
            "decisions": list(self.decisions),
            "artifacts": [[one.name, one.note] for one in self.artifacts],
            "next_steps": list(self.next_steps),
            "literals": list(self.literals),
        }

    @classmethod
    def from_dict(cls, given: Mapping[str, Any]) -> Self:
        """Read what `as_dict` wrote; what has another form is left out."""
        pairs = (one for one in _list(given.get("artifacts")) if isinstance(one, list | tuple) and len(one) == 2)
        return cls(
            intent=str(given.get("intent") or ""),
            decisions=tuple(map(str, _list(given.get("decisions")))),
            artifacts=tuple(Artifact(str(name), str(note)) for name, note in pairs),
            next_steps=tuple(map(str, _list(given.get("next_steps")))),
            literals=tuple(map(str, _list(given.get("literals")))),
        )


def parse(text: str) -> Summary | None:
    r"""Read a rendered summary out of a text.

    Args:
        text: Any text; only what stands between the two marks is read, or to the end where the second is lost.

    Returns:
        The summary; None where there is none.

    Example:
        >>> summary = Summary(intent="Find bay A7.", literals=("A7", "B-12"))
        >>> parse(f"Here it is:\n\n{summary.render()}\n") == summary
        True
    """
    lines = text.split("\n")
    if OPENS not in lines:
        return None
    within = lines[lines.index(OPENS) + 1 :]
    if CLOSES in within:
        within = within[: within.index(CLOSES)]
    found: dict[str, list[str]] = {name: [] for name in SHARES}
    section = None
    for line in within:
        section = _SECTIONS.get(line, section)
        if section and line.startswith((_ENTRY, _WIDE)):
            found[section].append(line)
    return _of(found)


def key_of(text: str) -> str:
    """Give what two sentences share that say the same: no case, no spaces around, no full stop.

    Example:
        >>> key_of("Ship it. ") == key_of("ship it")
        True
    """
    return _line(text).casefold().rstrip(".!;,: ")


OPENS, CLOSES = "<conversation_summary>", "</conversation_summary>"
_INTRO = "What was said before, in short; the messages that follow are newer."
TITLES: Mapping[str, str] = {
    "intent": "Intent",
    "decisions": "Decisions",
    "artifacts": "Artifacts",
    "next_steps": "Next steps",
    "literals": "Ids and values",
}
"""The sections, in the order in which they are written."""

_SECTIONS = {title: name for name, title in TITLES.items()}
_ENTRY, _WIDE = "- ", "* "
_FRAME = "\n".join([OPENS, _INTRO, *TITLES.values(), _ENTRY, CLOSES])
_SENTENCES = ("decisions", "next_steps", "closed")


def _lines(summary: Summary) -> Iterator[str]:
    yield from (OPENS, _INTRO)
    for name, title in TITLES.items():
        entries = list(_entries(summary, name))
        if entries:
            yield title
            yield from entries
    yield CLOSES


def _entries(summary: Summary, section: str) -> Iterator[str]:
    if section == "intent":
        yield from ([_ENTRY + summary.intent] if summary.intent else ())
    elif section == "literals":
        short = [one for one in summary.literals if " " not in one]
        yield from (_WIDE + one for one in summary.literals if " " in one)
        yield from ([_ENTRY + " ".join(short)] if short else ())
    else:
        yield from (_ENTRY + _written(one) for one in getattr(summary, section))


def _of(found: Mapping[str, list[str]]) -> Summary:
    told = {name: [line[len(_ENTRY) :] for line in lines] for name, lines in found.items()}
    pairs = (line.partition(": ") for line in told["artifacts"])
    wide = [line[len(_WIDE) :] for line in found["literals"] if line.startswith(_WIDE)]
    short = [one for line in found["literals"] if line.startswith(_ENTRY) for one in line[len(_ENTRY) :].split(" ")]
    return Summary(
        intent=" ".join(told["intent"]),
        decisions=tuple(told["decisions"]),
        artifacts=tuple(Artifact(name, note) for name, _, note in pairs),
        next_steps=tuple(told["next_steps"]),
        literals=(*wide, *short),
    )


def _written(entry: str | Artifact) -> str:
    if isinstance(entry, str):
        return entry
    return f"{entry.name}: {entry.note}" if entry.note else entry.name


def _newest(
    entries: tuple[Any, ...], room: int, count: Callable[[str], int], *, alone: bool = True
) -> tuple[tuple[Any, ...], int]:
    """The newest entries that there is room for, and the room that is left.

    Each takes a mark and a line break beside its text; a literal shares its line.
    """
    kept = len(entries)
    while kept and (after := room - _size(entries[kept - 1], count, alone=alone)) >= 0:
        kept, room = kept - 1, after
    return entries[kept:], max(0, room)


def _size(entry: str | Artifact, count: Callable[[str], int], *, alone: bool) -> int:
    written = _written(entry)
    return count(f" {written}") if not alone and " " not in written else count(_ENTRY + written) + 1


def _cut(text: str, room: int, count: Callable[[str], int]) -> tuple[str, int]:
    """The first words of a text that there is room for, and the room that is left."""
    while text and (after := room - count(_ENTRY + text) - 1) < 0:
        text = _sentence(text[: len(text) * 3 // 4].rpartition(" ")[0] + " …") if " " in text.removesuffix(" …") else ""
    return text, max(0, after if text else room)


_Fit = Callable[[Any, int, Callable[[str], int]], tuple[Any, int]]
_FIT: Mapping[str, _Fit] = {
    "intent": _cut,
    "literals": partial(_newest, alone=False),
}
"""How a section is cut, where it is otherwise than by whole lines."""


def _latest(entries: Iterable[Any], *, by: Callable[[Any], str]) -> tuple[Any, ...]:
    """Each entry once: where it stands last."""
    kept: dict[str, Any] = {}
    for entry in entries:
        key = by(entry) if entry else ""
        if key:
            kept.pop(key, None)
            kept[key] = entry
    return tuple(kept.values())


def _line(text: str) -> str:
    return " ".join(text.split())


def _sentence(text: str) -> str:
    line = _line(text)
    return line if len(line) <= MAX_ENTRY_CHARS else f"{line[: MAX_ENTRY_CHARS - 1].rstrip()}…"


def _artifact(given: Artifact) -> Artifact | None:
    """An artifact as it can be written and read back: a colon and a space part its name from its note."""
    name, _, rest = _line(given.name).partition(": ")
    note = _sentence("; ".join(part for part in (rest, _line(given.note)) if part))
    return Artifact(name, note) if name and len(name) <= MAX_NAME_CHARS else None


def _list(given: object) -> list[Any]:
    return list(given) if isinstance(given, list | tuple) else []
