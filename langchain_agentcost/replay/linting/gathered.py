"""One agent's prompts in recorded runs, added up call by call."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from langchain_agentcost.context.lint.stable import stable_tools
from langchain_agentcost.context.lint.subject import Seen, Subject
from langchain_agentcost.replay.episode import Call, Episode
from langchain_agentcost.tokens import TokenCounter

MOST_SYSTEMS = 50
"""Texts of a system message that are remembered; one that is new in every call is known by then."""


class Gathered:
    """What was seen of an agent: it has one set of tools, and system messages that are much the same.

    Args:
        episode: The first run of it.
        model: The model that answered.
    """

    def __init__(self, episode: Episode, model: str | None) -> None:
        self.tools: Sequence[Mapping[str, Any]] = episode.tools
        self.source = episode.source
        self.benchmark = episode.benchmark
        self.model = model
        self.provider = episode.provider
        self.systems: Counter[str] = Counter()
        self.runs = self.calls = self.switches = self.run_switches = self.reordered = 0
        self.used: Counter[str] = Counter()
        self.prompts: list[int] = []
        self._told = self._served = False
        self._last_run = ""
        self._last_system: str | None = None
        self._last_tools: Sequence[Mapping[str, Any]] | None = None

    def add(self, episode: Episode, call: Call, *, system: str, tokens: int) -> None:
        """Add a call.

        Args:
            episode: Its run.
            call: The call.
            system: Its system message.
            tokens: The length of its prompt.
        """
        first = episode.id != self._last_run
        if first:
            self._begin(episode)
        if self._last_system is not None and system != self._last_system:
            self.run_switches += first
            self.switches += not first
        self._last_system = system
        self.calls += 1
        self.prompts.append(tokens)
        if system in self.systems or len(self.systems) < MOST_SYSTEMS:
            self.systems[system] += 1
        self.used.update(asked["name"] for asked in call.answer.tool_calls)
        if call.recorded.usage is not None and call.recorded.knows_cache:
            self._told = True
            self._served |= call.recorded.usage.cache_read_tokens > 0

    def _begin(self, episode: Episode) -> None:
        self._last_run = episode.id
        self.runs += 1
        before, self._last_tools = self._last_tools, episode.tools
        if before is not None and before is not episode.tools and _written(before) != _written(episode.tools):
            self.reordered += _written(stable_tools(before)) == _written(stable_tools(episode.tools))

    def join(self, other: Gathered) -> None:
        """Add what was seen of the same agent in another source; between sources, nothing is compared."""
        self.systems.update(other.systems)
        self.used.update(other.used)
        self.prompts += other.prompts
        for name in ("runs", "calls", "switches", "run_switches", "reordered"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self._told |= other._told
        self._served |= other._served
        self.source = f"{self.source}, {other.source}"

    @property
    def key(self) -> tuple[str | None, str, str, str]:
        """Agents with equal keys are the same agent."""
        return (self.model, self.benchmark, _written(self.tools), self.system)

    @property
    def system(self) -> str:
        """The most frequent system message."""
        return self.systems.most_common(1)[0][0] if self.systems else ""

    def subject(self) -> Subject:
        """Give it as lint wants it."""
        seen = Seen(
            runs=self.runs,
            calls=self.calls,
            used=dict(self.used),
            systems=tuple(text for text, _ in self.systems.most_common()),
            switches=self.switches,
            run_switches=self.run_switches,
            reordered=self.reordered,
            prompts=tuple(self.prompts),
            cached=self._served if self._told else None,
        )
        return Subject(
            name=self.benchmark if self.benchmark != "traces" else self.source,
            system=self.system,
            tools=tuple(self.tools),
            model=self.model,
            provider=self.provider,
            seen=seen,
        )


class Lengths:
    """The lengths of a run's prompts: as the provider counted them, else as this package does.

    Args:
        counter: What counts.
        model: The model that reads them.
        tools: The descriptions of the tools.
    """

    def __init__(self, counter: TokenCounter, model: str | None, tools: Sequence[Mapping[str, Any]]) -> None:
        self._counter = counter
        self._model = model
        self._tools = counter.count_schemas(tools, model=model) if tools else 0
        self._sums: dict[int, list[int]] = {}

    def of(self, call: Call) -> int:
        """Give the length of a call's prompt. The messages of a history that calls share are counted once."""
        usage = call.recorded.usage
        if usage is not None and usage.input_tokens:
            return usage.input_tokens
        sums = self._sums.setdefault(id(call.history), [self._tools])
        for message in call.history[len(sums) - 1 : call.length]:
            sums.append(sums[-1] + self._counter.count_message(message, model=self._model))
        return sums[call.length]


def _written(tools: Sequence[Mapping[str, Any]]) -> str:
    """Tools as they are sent, in their order."""
    return json.dumps(list(tools), default=str)
