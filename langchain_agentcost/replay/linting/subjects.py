"""Recorded runs as lint's subjects: one for each agent, which is a set of tools with much the same system message."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from langchain_agentcost.context.lint.subject import Subject
from langchain_agentcost.context.lint.tool_parts import name_of
from langchain_agentcost.replay.episode import Call, Episode
from langchain_agentcost.replay.linting.gathered import Gathered, Lengths
from langchain_agentcost.tokens import TokenCounter

ALIKE = 0.5
"""The share of lines that system messages have in common where they are one agent's, one of them changed."""

_Place = tuple[str, str, str | None, tuple[str, ...]]


def subjects(
    episodes: Iterable[Episode], *, counter: TokenCounter | None = None, model: str | None = None
) -> tuple[Subject, ...]:
    """Read the fixed part of recorded prompts, and what the calls tell of it.

    Args:
        episodes: The runs, as `read_traces` gives them. One is held at a time.
        counter: What counts where the provider did not; it learns from the provider's counts.
        model: The model that prices all; runs of several models are then one subject where the rest is equal.

    Returns:
        The subjects, those with most calls first. Where the texts of runs are not known (a ledger keeps none), the last
        one says so.
    """
    gathering = _Gathering(counter or TokenCounter(), model)
    for episode in episodes:
        gathering.add(episode)
    return gathering.subjects()


class _Gathering:
    def __init__(self, counter: TokenCounter, model: str | None) -> None:
        self._counter = counter
        self._model = model
        self._agents: dict[_Place, list[Gathered]] = {}
        self._unreadable = 0

    def add(self, episode: Episode) -> None:
        if not episode.readable:
            self._unreadable += 1
            return
        self._learn(episode)
        lengths = Lengths(self._counter, self._model or episode.model, episode.tools)
        for call in episode.calls:
            system = _system_of(call)
            self._agent(episode, call, system).add(episode, call, system=system, tokens=lengths.of(call))

    def _learn(self, episode: Episode) -> None:
        """Learn how the provider counts, where its count of the run's first prompt is known and it is the one asked."""
        first = episode.calls[0] if episode.calls else None
        usage = first.recorded.usage if first is not None else None
        if first is None or usage is None:
            return
        model = first.recorded.model or episode.model
        if model is not None and self._model in (None, model):
            ours = self._counter.count_messages(first.messages, model=model, tools=episode.tools)
            self._counter.observe(model, estimated=ours, actual=usage.input_tokens)

    def _agent(self, episode: Episode, call: Call, system: str) -> Gathered:
        """The agent that a call is of: of those with the same tools, the one whose system message is like its own."""
        model = self._model or call.recorded.model or episode.model
        place = (episode.source, episode.benchmark, model, tuple(sorted(map(name_of, episode.tools))))
        known = self._agents.setdefault(place, [])
        for agent in known:
            if system in agent.systems or _alike(system, agent.system):
                return agent
        known.append(Gathered(episode, model))
        return known[-1]

    def subjects(self) -> tuple[Subject, ...]:
        joined: dict[tuple[str | None, str, str, str], Gathered] = {}
        for agent in (one for agents in self._agents.values() for one in agents):
            first = joined.setdefault(agent.key, agent)
            if first is not agent:
                first.join(agent)
        made = [agent.subject() for agent in sorted(joined.values(), key=lambda one: -one.calls)]
        if self._unreadable:
            made.append(Subject(name="runs without texts", unseen=(_NO_TEXTS.format(self._unreadable),)))
        return tuple(_told_apart(made))


_NO_TEXTS = (
    "{:,} runs are recorded without their texts, as in a ledger: their prompts cannot be looked at. Lint the graph, or "
    "traces from LangSmith or checkpoints."
)


def _told_apart(made: list[Subject]) -> list[Subject]:
    """Subjects with a number where two have one name and one model."""
    seen: dict[tuple[str, str | None], int] = {}
    told = []
    for one in made:
        number = seen[one.name, one.model] = seen.get((one.name, one.model), 0) + 1
        told.append(one if number == 1 else replace(one, name=f"{one.name} ({number})"))
    return told


def _system_of(call: Call) -> str:
    """The text of the leading system message; empty where there is none."""
    first = call.history[0] if call.length else None
    return str(first.text) if first is not None and first.type == "system" else ""


def _alike(one: str, other: str) -> bool:
    """Whether system messages are much the same: half of their lines, or of the words of a single line."""
    mine, theirs = set(one.split("\n")), set(other.split("\n"))
    if min(len(mine), len(theirs)) < 3:
        mine, theirs = set(one.split()), set(other.split())
    return len(mine & theirs) >= ALIKE * max(len(mine), len(theirs))
