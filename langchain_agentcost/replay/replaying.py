"""Replaying recorded runs through strategies, one run after the other, in bounded memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from langchain_agentcost.replay.episode import Episode
from langchain_agentcost.replay.literals import Literals
from langchain_agentcost.replay.result import RECORDED, Result
from langchain_agentcost.replay.run import Outcome, run
from langchain_agentcost.replay.sizes import Sizes
from langchain_agentcost.replay.strategies import DEFAULT, strategies
from langchain_agentcost.replay.strategies.nothing import Nothing
from langchain_agentcost.replay.strategies.prompt_cache import PromptCache
from langchain_agentcost.replay.strategy import Combined, Scene, Strategy, label
from langchain_agentcost.replay.sums import Composition, Key, Sums
from langchain_agentcost.replay.tariff import Tariff, Tariffs
from langchain_agentcost.replay.traces.lines import Faults
from langchain_agentcost.tokens import TokenCounter

if TYPE_CHECKING:
    from langchain_agentcost.replay.verify import Driver


def replay(
    episodes: Iterable[Episode],
    wanted: str | Sequence[Strategy] = ",".join(DEFAULT),
    *,
    tariffs: Tariffs | None = None,
    warm: bool = False,
    drive: int = 0,
    faults: Faults | None = None,
    seen: Callable[[Episode], None] = lambda _: None,
) -> Result:
    """Replay recorded runs, and say what each strategy would have saved.

    The runs are read one by one and forgotten; runs of one source are taken to come in the order of time. A
    KeyboardInterrupt ends the replay, and what is done is kept.

    Args:
        episodes: The runs.
        wanted: The strategies, by name as `strategies` reads them, or as objects. What was recorded is always replayed.
        tariffs: The prices; None has each run's own model at list price.
        warm: Whether the provider's cache has the tools and system message when a run starts: so where runs follow each
            other within minutes. The recorded run is then replayed in the same way.
        drive: How many runs of every source and benchmark are also made in a real LangGraph graph, which takes a
            hundred times as long; see `verify`. The rows say how many of them were billed the same.
        faults: Where faults of the traces are noted, to be part of the result.
        seen: Told of each run when it is done.

    Returns:
        What was found.

    Raises:
        ReplayError: If a strategy does not exist.
        ReplayMismatch: If a real graph sent or was billed something else.
    """
    replaying = _Replaying(wanted, tariffs or Tariffs(), warm=warm, faults=faults or Faults())
    if drive:
        from langchain_agentcost.replay.verify import Driver  # noqa: PLC0415  # LangGraph takes a second to import

        replaying.driver = Driver(drive)
    return replaying.go(episodes, seen)


class _Replaying:
    def __init__(self, wanted: str | Sequence[Strategy], tariffs: Tariffs, *, warm: bool, faults: Faults) -> None:
        given = strategies(wanted) if isinstance(wanted, str) else wanted
        named = {label(strategy): strategy for strategy in (Nothing(), *given)}
        self._strategies: dict[str, Strategy] = named
        self._tariffs = tariffs
        self._warm = warm
        self.driver: Driver | None = None
        """What makes runs in a real graph too; None where nothing does."""
        self._counter = TokenCounter()
        self._memories: dict[tuple[str, str], dict[str, Any]] = {}
        self._result = Result(
            fidelity={name: strategy.fidelity.value for name, strategy in named.items()},
            caching=frozenset(name for name, strategy in named.items() if _caches(strategy)),
            faults=faults,
            settings={
                "prices": tariffs.model or "each run's own model",
                "price_version": tariffs.version,
                "priced_at": tariffs.at.isoformat(timespec="seconds"),
                "warm": warm,
            },
        )

    def go(self, episodes: Iterable[Episode], seen: Callable[[Episode], None]) -> Result:
        """Replay them all, or as many as there is time for."""
        try:
            for episode in episodes:
                self._replay(episode)
                seen(episode)
        except KeyboardInterrupt:
            self._result.complete = False
        return self._result

    def _replay(self, episode: Episode) -> None:
        """Replay a run under every strategy; its sums are added at the end, so that none has half of it."""
        tariff, result = self._tariffs.of_episode(episode), self._result
        if tariff is None:
            model = self._tariffs.unpriced(episode) or "(no model)"
            result.unpriced[model] = result.unpriced.get(model, 0) + 1
            return
        sizes, literals = Sizes(episode, self._counter), Literals(episode)
        driver = self.driver if self.driver is not None and self.driver.takes(episode) else None
        outcomes: dict[str, Outcome] = {}
        verified: set[str] = set()
        for name, strategy in self._strategies.items():
            if episode.readable or not strategy.needs_text:
                scene = self._scene(episode, sizes, tariff, literals, name)
                if driver is not None and driver.confirms(scene, strategy, warm=self._warm):
                    verified.add(name)
                outcomes[name] = run(scene, strategy, warm=self._warm)
        result.unread += not episode.readable
        recorded = outcomes[RECORDED]
        for name, outcome in outcomes.items():
            sums = result.sums.setdefault(Key(episode.family, episode.benchmark, name), Sums())
            sums.add(episode, recorded, outcome)
            sums.verified += name in verified
        place = (episode.family, episode.benchmark)
        result.composition.setdefault(place, Composition()).add(episode, sizes)

    def _scene(self, episode: Episode, sizes: Sizes, tariff: Tariff, literals: Literals, strategy: str) -> Scene:
        memory = self._memories.setdefault((episode.source, strategy), {})
        return Scene(episode, sizes, tariff, self._tariffs, literals, memory)


def _caches(strategy: Strategy) -> bool:
    """Whether a strategy is billed with prompt caching in both columns: it has that on, by itself or in part."""
    parts = strategy.parts if isinstance(strategy, Combined) else (strategy,)
    return any(isinstance(part, PromptCache) for part in parts)
