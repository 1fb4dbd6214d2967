"""What a saving strategy is to a replay: something that changes what is sent, one run at a time.

A strategy is a small frozen dataclass with a name, a fidelity and its numbers. For each run it opens a `Session`, which
sees every call before it is made and after. A new one is a file in `strategies/`, a line in its registry and a test.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from enum import StrEnum
from typing import Any, Protocol, runtime_checkable

from langchain_agentcost.errors import ReplayError
from langchain_agentcost.limits.breakers import CircuitBreaker
from langchain_agentcost.limits.budget import Budget
from langchain_agentcost.replay.episode import Call, Episode
from langchain_agentcost.replay.literals import Literals
from langchain_agentcost.replay.provider import Conversation
from langchain_agentcost.replay.request import Decision, Overhead, Request
from langchain_agentcost.replay.sizes import Sizes
from langchain_agentcost.replay.tariff import Tariff, Tariffs
from langchain_agentcost.usage import Usage


class Fidelity(StrEnum):
    """How far a replayed saving can be believed, the most certain first.

    Attributes:
        EXACT: What is sent is byte for byte what was recorded, up to where a run is stopped: the dollars are proven.
        SAME_INFORMATION: Other bytes, and nothing is lost that the model could read: very likely the same answers.
        RECORDED_OUTCOME: Costs and successes of other recorded runs on the same task: real ones, and not of this run.
        OPEN_LOOP: Information is removed; the recorded answers are played all the same. Tokens and dollars of the
            recorded path, and proof of what was lost; what the agent would have done then is not known.
        PRICE_BOUND: Another model's price for recorded answers, or a choice made in hindsight: an upper bound.
    """

    EXACT = "exact"
    SAME_INFORMATION = "same information"
    RECORDED_OUTCOME = "recorded outcome"
    OPEN_LOOP = "open-loop"
    PRICE_BOUND = "price bound only"


_ORDER = tuple(Fidelity)

Limit = Budget | CircuitBreaker


@dataclass(frozen=True, slots=True)
class Paid:
    """What a call was billed, with prompt caching on.

    Args:
        usage: Its tokens.
        nano: Its cost in nano-USD.
        at_s: When it was made, in seconds; None where that was not recorded.
    """

    usage: Usage
    nano: int
    at_s: float | None


SESSIONS_KEPT = 1_000
"""Of so many conversations of a source the prompts are remembered; the oldest is forgotten first."""


@dataclass(frozen=True, slots=True)
class Scene:
    """What a session works with.

    Args:
        episode: The run.
        sizes: How many tokens its messages have.
        tariff: What its calls cost.
        tariffs: What those of other models cost.
        literals: What its calls need to have read.
        memory: What this strategy remembers of earlier runs of the same source.
    """

    episode: Episode
    sizes: Sizes
    tariff: Tariff
    tariffs: Tariffs
    literals: Literals
    memory: dict[str, Any] = field(default_factory=dict)

    @property
    def conversation(self) -> Conversation:
        """The prompts of earlier turns of the run's conversation, as this strategy sent them."""
        session = self.episode.session
        if session is None:
            return {}
        known: dict[str, Conversation] = self.memory.setdefault("conversations", {})
        if session not in known and len(known) >= SESSIONS_KEPT:
            del known[next(iter(known))]
        return known.setdefault(session, {})


class Session:
    """One run under a strategy. By itself it changes nothing.

    Args:
        scene: What it works with.

    Attributes:
        tally: What it counts, harm to quality among it, by name.
        overhead: The model calls that only it makes, since they were last taken.
    """

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.tally: Counter[str] = Counter()
        self.overhead: list[Overhead] = []

    def before(self, call: Call, request: Request) -> Decision:
        """Decide on a call.

        Args:
            call: The recorded call. Only what was sent may be looked at, unless the strategy says that it uses
                hindsight.
            request: What would be sent.

        Returns:
            What is sent in its place; or that it is served, or that the run is stopped.
        """
        return request

    def after(self, call: Call, paid: Paid) -> None:
        """See what became of a call: its answer, what the tools gave, what it cost."""

    def tallied(self) -> Counter[str]:
        """Give what it has counted."""
        return self.tally

    def take_overhead(self) -> list[Overhead]:
        """Give the calls that it made by itself, once."""
        taken, self.overhead = self.overhead, []
        return taken


class Strategy(Protocol):
    """A way to save."""

    @property
    def name(self) -> str:
        """What it is called on the command line."""
        ...

    @property
    def fidelity(self) -> Fidelity:
        """How far its figures can be believed."""
        ...

    @property
    def needs_text(self) -> bool:
        """Whether it reads messages: runs of which only hashes are known are then left out."""
        ...

    def begin(self, scene: Scene) -> Session:
        """Open a run."""
        ...


@runtime_checkable
class Limiting(Protocol):
    """A strategy that changes nothing but where a run ends."""

    def limits(self) -> Sequence[Limit]:
        """Give the limits."""
        ...


@dataclass(frozen=True, slots=True)
class Combined:
    """Several strategies one after the other: each gets what the one before would send.

    Limits are held last, wherever they stand: a meter sees what is really sent.
    """

    parts: tuple[Strategy, ...]

    @property
    def name(self) -> str:
        """The parts' labels, joined with +."""
        return "+".join(map(label, self.parts))

    @property
    def fidelity(self) -> Fidelity:
        """The least certain part's."""
        return max((part.fidelity for part in self.parts), key=_ORDER.index)

    @property
    def needs_text(self) -> bool:
        """Whether any part reads messages."""
        return any(part.needs_text for part in self.parts)

    def begin(self, scene: Scene) -> Session:
        """Open a run under each part, each with a memory of its own."""
        return _Chained(scene, self.parts)


class _Chained(Session):
    def __init__(self, scene: Scene, parts: Iterable[Strategy]) -> None:
        super().__init__(scene)
        numbered = sorted(enumerate(parts), key=lambda item: isinstance(item[1], Limiting))
        self._sessions = [part.begin(_own(scene, number)) for number, part in numbered]

    def before(self, call: Call, request: Request) -> Decision:
        for session in self._sessions:
            decision = session.before(call, request)
            if not isinstance(decision, Request):
                return decision
            request = decision
        return request

    def after(self, call: Call, paid: Paid) -> None:
        for session in self._sessions:
            session.after(call, paid)

    def tallied(self) -> Counter[str]:
        return sum((session.tallied() for session in self._sessions), Counter())

    def take_overhead(self) -> list[Overhead]:
        return [call for session in self._sessions for call in session.take_overhead()]


def _own(scene: Scene, number: int) -> Scene:
    memory = scene.memory.setdefault(f"part {number}", {})
    return Scene(scene.episode, scene.sizes, scene.tariff, scene.tariffs, scene.literals, memory)


def label(strategy: Strategy | type[Any]) -> str:
    """Write a strategy as the command line takes it: its name, and the numbers that are not the usual ones.

    Args:
        strategy: A strategy, combined or not; one that is no dataclass has no numbers.

    Raises:
        ReplayError: If it is a class and not an object.
    """
    if isinstance(strategy, type):
        raise ReplayError(f"{strategy.__name__} is a class: give an object of it, {strategy.__name__}(…).")
    thing: Any = strategy
    numbers = fields(thing) if is_dataclass(thing) and not isinstance(thing, Combined) else ()
    own = [(f.name, getattr(thing, f.name), f.default) for f in numbers]
    return ":".join([strategy.name, *(f"{name}={_written(value)}" for name, value, usual in own if value != usual)])


def usual_numbers(kind: type[Any]) -> str:
    """Write the numbers of a kind of strategy with their usual values, as the command line takes them.

    Args:
        kind: The strategy's class.
    """
    return ":".join(f"{f.name}={_written(f.default)}" for f in fields(kind))


_NEXT_NUMBER = re.compile(r":(?=\w+=)")


def parse(text: str, known: Mapping[str, type[Any]]) -> Strategy:
    """Read a strategy: NAME, NAME:NUMBER=VALUE:…, or several of these joined with +. A value may have a colon in it.

    Args:
        text: What to read.
        known: The strategies by name.

    Returns:
        The strategy.

    Raises:
        ReplayError: If there is no such strategy or number, or the value cannot be; the message says what there is.
    """
    parts = tuple(_one(part.strip(), known) for part in text.split("+"))
    return parts[0] if len(parts) == 1 else Combined(parts)


def _one(text: str, known: Mapping[str, type[Any]]) -> Strategy:
    name, _, rest = text.partition(":")
    kind = known.get(name)
    if kind is None:
        raise ReplayError(f"There is no strategy {name[:80]!r}: choose from {', '.join(known)}.")
    usual = {f.name: f.default for f in fields(kind)}
    read = {}
    for pair in _NEXT_NUMBER.split(rest) if rest else ():
        key, equals, value = pair.partition("=")
        if key not in usual or not equals:
            has = f"has {', '.join(usual)}" if usual else "has no numbers to set"
            raise ReplayError(f"{name}: {pair[:80]!r} is not NUMBER=VALUE of one of its numbers; it {has}.")
        read[key] = _value(name, key, value, usual[key])
    try:
        made: Strategy = kind(**read)
    except ValueError as error:
        raise ReplayError(f"{name}: {error}") from error
    return made


def _value(name: str, key: str, text: str, usual: object) -> object:
    """Read a value as what the usual one is."""
    if isinstance(usual, bool):
        if text not in ("yes", "no"):
            raise ReplayError(f"{name}: {key} is yes or no, not {text[:80]!r}.")
        return text == "yes"
    if isinstance(usual, str):
        return text
    kind = float if isinstance(usual, float) else int
    try:
        return kind(text)
    except ValueError as error:
        raise ReplayError(f"{name}: {key} is a number, not {text[:80]!r}.") from error


def _written(value: object) -> str:
    return ("yes" if value else "no") if isinstance(value, bool) else str(value)
