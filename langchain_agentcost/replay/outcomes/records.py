"""What models were recorded to cost and to achieve, task by task."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from langchain_core.messages import HumanMessage

from langchain_agentcost.errors import ReplayError
from langchain_agentcost.replay.episode import Episode
from langchain_agentcost.replay.literals import Literals
from langchain_agentcost.replay.run import Outcome, run
from langchain_agentcost.replay.sizes import Sizes
from langchain_agentcost.replay.strategies.nothing import Nothing
from langchain_agentcost.replay.strategy import Scene, Strategy
from langchain_agentcost.replay.tariff import Tariffs
from langchain_agentcost.tokens import TokenCounter


@dataclass(slots=True)
class TaskRecord:
    """How a model has done on a task, over all its runs.

    Args:
        opening: What the user said first.
        runs: How often it tried.
        solved: How often it succeeded.
        nano: What all runs cost with prompt caching at the model's own price, in nano-USD, the failed ones too.
        bounds: What they would have cost at the prices of other models, by name: the recorded answers, another price.

    Example:
        >>> record = TaskRecord("Hi", runs=4, solved=1, nano=8_000)
        >>> record.success, record.cost_nano
        (0.25, 2000)
    """

    opening: str = ""
    runs: int = 0
    solved: int = 0
    nano: int = 0
    bounds: dict[str, int] = field(default_factory=dict)

    @property
    def success(self) -> float:
        """The share of its runs that succeeded."""
        return self.solved / self.runs

    @property
    def cost_nano(self) -> int:
        """What a run costs on average, in nano-USD."""
        return round(self.nano / self.runs)

    def bound_nano(self, model: str) -> int | None:
        """What a run would cost on average at another model's price; None where that was not asked for."""
        known = self.bounds.get(model)
        return None if known is None else round(known / self.runs)


@dataclass(frozen=True, slots=True)
class TierRecord:
    """What one system, a model within one agent, was recorded to do in a benchmark.

    Args:
        name: The model, and the source of its runs where several have that model.
        model: The model.
        tasks: Its tasks by name.
    """

    name: str
    model: str
    tasks: Mapping[str, TaskRecord]


class Outcomes:
    """The recorded outcomes of runs, by benchmark and system.

    Only runs count of which it is known whether they succeeded, and that were not chosen by how they ended.

    Args:
        tariffs: The prices; None has each run's own model at list price.
        by: A strategy that every run is played under, whatever its model: a run that it stops is not solved. None plays
            them as recorded.
        warm: Whether the provider's cache has the tools and system message when a run starts.
        bounds: Models at whose prices every run is priced too.

    Attributes:
        unpriced: Runs that were left out since no price is known, by model.
        unjudged: Runs of which nobody knows whether they succeeded, or that were chosen by it.
    """

    def __init__(
        self,
        tariffs: Tariffs | None = None,
        *,
        by: Strategy | None = None,
        warm: bool = False,
        bounds: Sequence[str] = (),
    ) -> None:
        self.unpriced: dict[str, int] = {}
        self.unjudged = 0
        self._tariffs = tariffs or Tariffs()
        self._by: Strategy = by or Nothing()
        self._warm = warm
        self._bounds = {
            model: Tariffs(self._tariffs.book, model=model, at=self._tariffs.at) for model in dict.fromkeys(bounds)
        }
        self._counter = TokenCounter()
        self._tasks: dict[str, dict[tuple[str, str], dict[str, TaskRecord]]] = {}
        self._memories: dict[tuple[str, str | None], dict[str, object]] = {}

    def add(self, episode: Episode) -> None:
        """Add a run."""
        model = self._tariffs.unpriced(episode)
        if model is not None:
            self.unpriced[model] = self.unpriced.get(model, 0) + 1
        elif not episode.judged or not episode.calls:
            self.unjudged += 1
        else:
            self._judged(episode)

    def add_all(self, episodes: Iterable[Episode]) -> Outcomes:
        """Add runs. Returns itself."""
        for episode in episodes:
            self.add(episode)
        return self

    def tiers(self) -> Mapping[str, Sequence[TierRecord]]:
        """Give the systems of each benchmark, by name."""
        return {
            benchmark: sorted(_named(systems), key=lambda tier: tier.name)
            for benchmark, systems in sorted(self._tasks.items())
        }

    def _judged(self, episode: Episode) -> None:
        sizes, literals = Sizes(episode, self._counter), Literals(episode)
        played = self._play(episode, sizes, literals, self._tariffs)
        bounds = {model: self._play(episode, sizes, literals, at) for model, at in self._bounds.items()}
        system = (episode.model or "(no model)", episode.source)
        tasks = self._tasks.setdefault(episode.benchmark, {}).setdefault(system, {})
        record = tasks.setdefault(episode.task, TaskRecord(_opening(episode)))
        record.runs += 1
        record.solved += bool(episode.success) and played.stopped is None
        record.nano += played.on_nano
        for model, bound in bounds.items():
            record.bounds[model] = record.bounds.get(model, 0) + bound.on_nano

    def _play(self, episode: Episode, sizes: Sizes, literals: Literals, tariffs: Tariffs) -> Outcome:
        tariff = tariffs.of_episode(episode)
        if tariff is None:
            raise ReplayError(f"No price is known for {episode.model!r}: state it in a file.")
        memory = self._memories.setdefault((episode.source, tariffs.model), {})
        scene = Scene(episode, sizes, tariff, tariffs, literals, memory)
        return run(scene, self._by, warm=self._warm)


def _named(systems: Mapping[tuple[str, str], dict[str, TaskRecord]]) -> list[TierRecord]:
    models = [model for model, _ in systems]
    return [
        TierRecord(model if models.count(model) == 1 else f"{model} ({source})", model, tasks)
        for (model, source), tasks in systems.items()
    ]


def _opening(episode: Episode) -> str:
    """What the user said first in the run."""
    messages = episode.calls[0].messages
    return next((message.text for message in messages if isinstance(message, HumanMessage)), "")
