"""Whether the arithmetic of a replay is what a real graph would have been billed: both are done, and compared.

Everything has to be equal, but for one thing: budgets of tokens or USD may stop the two at different calls. Before a
call a real meter counts its prompt itself, with a margin, since no provider has counted it yet; the arithmetic takes
the recorded count. So a real budget mostly stops a run earlier, and later where a run is priced as another model than
the one that counted it. Each run here has a new meter: one that has seen the model's answers has a smaller margin.

Of the 927 recorded runs, priced as claude-sonnet-4-5, the preset "coding" stops 11 and "support" 122 by arithmetic; of
these a real meter stopped 0 and 6 earlier, by 1 to 3 calls. "typical" is another matter: 8,000 tokens a step lie within
the margin of many a first prompt. A real meter stopped 392 runs earlier, 66 of which the arithmetic lets end.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from typing import Any

from langchain_agentcost.attribution import label as cleaned
from langchain_agentcost.errors import ReplayMismatch
from langchain_agentcost.replay.driven import Driven, drive, limits_of, without_limits
from langchain_agentcost.replay.episode import Episode
from langchain_agentcost.replay.literals import Literals
from langchain_agentcost.replay.run import Outcome, run
from langchain_agentcost.replay.script import Turn
from langchain_agentcost.replay.sizes import Sizes
from langchain_agentcost.replay.strategies import DEFAULT, strategies
from langchain_agentcost.replay.strategies.limits import BUDGET
from langchain_agentcost.replay.strategies.nothing import Nothing
from langchain_agentcost.replay.strategy import Scene, Strategy, label
from langchain_agentcost.replay.tariff import Tariffs
from langchain_agentcost.tokens import TokenCounter


@dataclass(slots=True)
class Checked:
    """What came of comparing the two replays of runs under one strategy.

    Args:
        strategy: The strategy's label.
        runs: Runs that were compared.
        calls: The model calls that a real graph made in them.
        earlier: Runs among them that a real budget stopped earlier than the arithmetic one; until then all was equal.
        later: Runs among them that it stopped later.
        differences: What else was not equal, a sentence for each run.
    """

    strategy: str
    runs: int = 0
    calls: int = 0
    earlier: int = 0
    later: int = 0
    differences: list[str] = field(default_factory=list)

    def add(self, episode: Episode, pair: Pair) -> None:
        """Add a run."""
        self.runs += 1
        self.calls += len(pair.driven.calls)
        self.earlier += pair.apart < 0
        self.later += pair.apart > 0
        if pair.difference is not None:
            self.differences.append(f"{cleaned(episode.id)}: {pair.difference}.")


@dataclass(frozen=True, slots=True)
class Pair:
    """A run under a strategy, by arithmetic and in a real graph.

    Args:
        replayed: By arithmetic.
        driven: In a real graph; nothing where that sent something else than the arithmetic.
        apart: How many calls later a real budget stopped it than the arithmetic one, or earlier where that is negative.
            Until then all is equal.
        difference: What else is not equal; None where all is.
    """

    replayed: Outcome
    driven: Driven
    apart: int = 0
    difference: str | None = None


def both(scene: Scene, strategy: Strategy, *, warm: bool = False) -> Pair:
    """Replay a run under a strategy by arithmetic and in a real graph, and compare the two.

    Every request of the graph has to be, by its hash, the one that the arithmetic replay sent.

    Args:
        scene: The run, and what the strategy remembers of earlier ones. That is left as it is.
        strategy: The strategy.
        warm: Whether the provider's cache has the tools and system message when the run starts.
    """
    turns: list[Turn] = []
    own = [replace(scene, memory=_copied(scene.memory)) for _ in range(3)]
    held = bool(limits_of(strategy))
    whole = run(
        own[0], without_limits(strategy), warm=warm, sent=lambda call, request: turns.append(Turn(call, request))
    )
    replayed = run(own[1], strategy, warm=warm) if held else whole
    try:
        driven = drive(own[2], strategy, turns=turns, warm=warm)
    except ReplayMismatch as mismatch:
        return Pair(replayed, Driven(), difference=str(mismatch).rstrip("."))
    apart = len(driven.calls) - replayed.calls
    first = driven if apart < 0 else replayed
    if held and apart and first.stopped == BUDGET and _is_beginning(driven, whole):
        return Pair(replayed, driven, apart)
    return Pair(replayed, driven, difference=compare(replayed, driven))


def compare(replayed: Outcome, driven: Driven) -> str | None:
    """Say in what the two replays of a run differ: calls, tokens, nano-USD, and why it was stopped.

    Returns:
        What is not equal, with both values; None where all is.
    """
    calls, overhead = driven.calls, driven.overhead
    compared = {
        "calls": (replayed.calls, len(calls)),
        "input tokens": (replayed.steps, [booked.usage.input_tokens for booked in calls]),
        "cached tokens": (replayed.read_tokens, sum(booked.usage.cache_read_tokens for booked in calls)),
        "output tokens": (replayed.output_tokens, sum(booked.usage.output_tokens for booked in calls)),
        "calls of the strategy's own": (replayed.overhead_calls, len(overhead)),
        "their tokens": (replayed.overhead_tokens, sum(booked.usage.total_tokens for booked in overhead)),
        "their nano-USD": (replayed.overhead_nano, sum(booked.nano for booked in overhead)),
        "nano-USD": (replayed.on_nano, driven.nano),
        "served calls": (replayed.served, driven.served),
        "stopped": (replayed.stopped, driven.stopped),
    }
    unequal = [f"{what} {a} by arithmetic, {b} in the graph" for what, (a, b) in compared.items() if a != b]
    return "; ".join(unequal) or None


def verify(
    episodes: Iterable[Episode],
    wanted: str | Sequence[Strategy] = ",".join(DEFAULT),
    *,
    tariffs: Tariffs | None = None,
    each: int = 3,
    warm: bool = False,
) -> tuple[Checked, ...]:
    """Replay runs in a real graph too, and compare with the arithmetic.

    Args:
        episodes: The runs. All are replayed by arithmetic, so that strategies remember what they would.
        wanted: The strategies, by name as `strategies` reads them, or as objects. What was recorded is always among
            them.
        tariffs: The prices; None has each run's own model at list price.
        each: How many runs of every source and benchmark are made in a real graph, the first ones whose texts and
            prices are known.
        warm: Whether the provider's cache has the tools and system message when a run starts.

    Returns:
        What came of it, by strategy.

    Raises:
        ReplayError: If a strategy does not exist.
    """
    given = strategies(wanted) if isinstance(wanted, str) else wanted
    named = {label(strategy): strategy for strategy in (Nothing(), *given)}
    checked = {name: Checked(name) for name in named}
    memories: dict[tuple[str, str], dict[str, Any]] = {}
    driver = Driver(each)
    for episode, scene in _scenes(episodes, tariffs or Tariffs()):
        is_driven = driver.takes(episode)
        for name, strategy in named.items():
            own = replace(scene, memory=memories.setdefault((episode.source, name), {}))
            if is_driven:
                checked[name].add(episode, both(own, strategy, warm=warm))
            run(own, strategy, warm=warm)
    return tuple(checked.values())


class Driver:
    """Makes the first runs of every source and benchmark in a real graph too.

    Args:
        each: How many.
    """

    def __init__(self, each: int) -> None:
        self._each = each
        self._taken: dict[tuple[str, str, str], int] = {}

    def takes(self, episode: Episode) -> bool:
        """Tell whether a run is one of them."""
        place = (episode.source, episode.family, episode.benchmark)
        taken = self._taken.get(place, 0)
        if taken >= self._each or not episode.readable:
            return False
        self._taken[place] = taken + 1
        return True

    def confirms(self, scene: Scene, strategy: Strategy, *, warm: bool = False) -> bool:
        """Make a run.

        Returns:
            Whether the graph was billed what the arithmetic says; False where their budgets stopped the run elsewhere.

        Raises:
            ReplayMismatch: If the two differ in anything else.
        """
        pair = both(scene, strategy, warm=warm)
        if pair.difference is not None:
            raise ReplayMismatch(
                f"{label(strategy)} on run {cleaned(scene.episode.id)!r}: the arithmetic replay and the real graph do "
                f"not agree, so neither can be believed: {pair.difference}. Report it with the run, or leave drive out."
            )
        return not pair.apart


def _scenes(episodes: Iterable[Episode], tariffs: Tariffs) -> Iterator[tuple[Episode, Scene]]:
    counter = TokenCounter()
    for episode in episodes:
        tariff = tariffs.of_episode(episode)
        if tariff is not None and episode.readable:
            yield episode, Scene(episode, Sizes(episode, counter), tariff, tariffs, Literals(episode))


def _is_beginning(driven: Driven, whole: Outcome) -> bool:
    """Whether all that a run did until it was stopped is what it does without limits."""
    made = len(driven.calls)
    if [booked.usage.input_tokens for booked in driven.calls] != whole.steps[:made]:
        return False
    # Where the strategy calls a model itself, the call that was refused may have had such calls before it.
    return bool(driven.overhead) or driven.nano == sum(whole.costs[: made + driven.served])


def _copied(memory: Any) -> Any:
    """Copy what a strategy remembers, down to what does not change."""
    if isinstance(memory, dict):
        return {key: _copied(value) for key, value in memory.items()}
    if isinstance(memory, deque):
        return deque(map(copy, memory), memory.maxlen)
    return set(memory) if isinstance(memory, set) else memory
