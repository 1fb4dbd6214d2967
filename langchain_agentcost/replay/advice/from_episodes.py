"""Recorded runs as what advice looks at: each is replayed under the strategies that findings ask for, and forgotten."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal

from langchain_agentcost.replay.advice.paid import IN_TOKENS, Paid, billed, prices_of
from langchain_agentcost.replay.advice.seen import AS_IT_WAS, WARM, Repetition, SeenCall, SeenRun, Unit
from langchain_agentcost.replay.advice.traffic import Traffic
from langchain_agentcost.replay.advice.volatility import volatility_of
from langchain_agentcost.replay.episode import Episode
from langchain_agentcost.replay.literals import Literals
from langchain_agentcost.replay.run import Outcome, run
from langchain_agentcost.replay.sizes import Sizes, Toolset
from langchain_agentcost.replay.steps import asked_by_id, call_key, result_key
from langchain_agentcost.replay.strategies.nothing import Nothing
from langchain_agentcost.replay.strategies.tool_schemas import tool_name, used_tools
from langchain_agentcost.replay.strategy import Scene, Strategy, label
from langchain_agentcost.replay.sums import PARTS, part_of
from langchain_agentcost.replay.tariff import Tariffs
from langchain_agentcost.tokens import TokenCounter
from langchain_agentcost.usage import Usage

Grouping = Literal["source", "benchmark"]
"""What is one traffic."""

_TOOLSETS_KEPT = 1000


class EpisodeReader:
    """Replays runs one by one.

    Args:
        strategies: What to replay each run under.
        tariffs: The prices.
        by: What is one traffic: the runs of a source, or of a benchmark, each by model.
    """

    def __init__(self, strategies: Iterable[Strategy], tariffs: Tariffs, *, by: Grouping = "source") -> None:
        self._strategies = {label(strategy): strategy for strategy in strategies}
        self._tariffs = tariffs
        self._by = by
        self._counter = TokenCounter()
        self._memories: dict[tuple[str, str | None, str], dict[str, Any]] = {}
        self._weights: dict[int, tuple[object, dict[str, int]]] = {}

    def read(self, episodes: Iterable[Episode]) -> Iterator[SeenRun]:
        """Give the runs."""
        for episode in episodes:
            yield self._read(episode)

    def _read(self, episode: Episode) -> SeenRun:
        paid, sizes = prices_of(episode, self._tariffs), Sizes(episode, self._counter)
        priced = paid.tariff is not IN_TOKENS
        source = episode.source if self._by == "source" else episode.benchmark
        traffic = Traffic(episode.family, episode.benchmark, source, episode.model)
        outcomes = self._replayed(episode, sizes, paid)
        calls = self._calls(episode, outcomes[AS_IT_WAS], sizes, paid)
        return SeenRun(
            traffic,
            episode.task,
            Unit.USD if priced else Unit.TOKENS,
            calls,
            episode.success if episode.judged else None,
            outcomes,
            paid.scale,
            paid.tariff if priced else None,
            _parts(episode, sizes) if episode.readable else None,
            self._tool_sizes(episode, sizes) if episode.readable else {},
            frozenset(used_tools(episode)),
            _repetition(episode) if any(outcome.stopped for outcome in outcomes.values()) else None,
            volatility_of(episode, paid, calls, outcomes[AS_IT_WAS]) if priced and episode.readable else None,
        )

    def _replayed(self, episode: Episode, sizes: Sizes, paid: Paid) -> Mapping[str, Outcome]:
        """Replay a run as it was, cold and warm, and under every strategy that can be."""
        literals = Literals(episode)

        def scene(name: str) -> Scene:
            memory = self._memories.setdefault((episode.source, episode.model, name), {})
            return Scene(episode, sizes, paid.tariff, paid.tariffs, literals, memory)

        outcomes = {
            name: run(scene(name), strategy)
            for name, strategy in {AS_IT_WAS: Nothing(), **self._strategies}.items()
            if episode.readable or not strategy.needs_text
        }
        if paid.tariff.terms is not None:
            outcomes[WARM] = run(scene(WARM), Nothing(), warm=True)
        return outcomes

    def _calls(self, episode: Episode, as_it_was: Outcome, sizes: Sizes, paid: Paid) -> tuple[SeenCall, ...]:
        trusted = self._tariffs.model is None
        return tuple(
            billed(
                call.recorded,
                paid.tariffs.of_call(call, episode) or paid.tariff,
                Usage(tokens, sizes.answer_tokens(call)),
                trusted=trusted,
            )
            for tokens, call in zip(as_it_was.steps, episode.calls, strict=True)
        )

    def _tool_sizes(self, episode: Episode, sizes: Sizes) -> Mapping[str, int]:
        """Share the tokens of the tools' descriptions out among them; the tools of many runs are the same object."""
        known = self._weights.get(id(episode.tools))
        if known is None or known[0] is not episode.tools:
            weights: Counter[str] = Counter()
            for tool in episode.tools:
                weights[tool_name(tool)] += self._counter.count_schemas([tool], model=episode.model)
            known = (episode.tools, dict(weights))
            if len(self._weights) > _TOOLSETS_KEPT:
                self._weights.clear()
            self._weights[id(episode.tools)] = known
        whole, tokens = sum(known[1].values()), sizes.of_tools(Toolset(episode.tools)).tokens
        return {name: tokens * weight // whole for name, weight in known[1].items()} if whole else {}


def _parts(episode: Episode, sizes: Sizes) -> tuple[int, ...]:
    """The tokens sent by what they are. Only what is new in a prompt is looked at, as long as it goes on."""
    sums = [0] * len(PARTS)
    now = [0] * len(PARTS)
    history, length = None, 0
    for call in episode.calls:
        if call.history is not history or call.length < length:
            history, length = call.history, 0
            now = [sizes.of_tools(Toolset(episode.tools)).tokens, 0, 0, 0, 0]
        for message in call.history[length : call.length]:
            now[part_of(message)] += sizes.of(message).tokens
        length = call.length
        sums = [a + b for a, b in zip(sums, now, strict=True)]
    return tuple(sums)


def _repetition(episode: Episode) -> Repetition | None:
    """The tool call that gave the same result most often."""
    counts: Counter[tuple[str, str, str]] = Counter()
    for call in episode.calls:
        asked = asked_by_id(call)
        for result in call.results:
            made = asked.get(result.tool_call_id)
            if made is not None:
                counts[made["name"], call_key(made), result_key(result.content)] += 1
    if not counts:
        return None
    [((tool, _, _), times)] = counts.most_common(1)
    return Repetition(tool, times) if times > 1 else None
