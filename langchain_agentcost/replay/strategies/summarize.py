"""Summarization: when a prompt grows too long, its middle gives way to a summary that a model writes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from langchain_core.messages import BaseMessage, HumanMessage, ToolMessage

from langchain_agentcost.replay.cache import Chain
from langchain_agentcost.replay.episode import Call
from langchain_agentcost.replay.request import Overhead, Request
from langchain_agentcost.replay.strategy import Fidelity, Scene, Session


@dataclass(frozen=True, slots=True)
class Summarize:
    """Summarize what is between the task and the latest messages when a prompt has too many tokens.

    The task is the system message and the first message after it; both stay.

    A summary costs a call over all that it covers, and the prompt cache loses what stands behind it. So by default it
    is only written where it can pay: with `margin`, not until the prompt has grown that far beyond what no summary can
    shorten (tools, task, latest messages and the summary itself), which also keeps it from being written
    again at once; with `break_even`, not where the tokens that it saves, at the price at which they would be read from
    the cache, over as many calls as the run has already made, are worth less than it costs. The recorded answers are
    played; a summary is taken to keep no literal.

    Args:
        above: Prompts of more tokens than this are summarized.
        keep: How many of the latest messages stay; with a tool's result stays the answer that asked for it.
        to: The length of a summary, in tokens.
        margin: How many tokens must be there to summarize beyond what stays.
        break_even: Whether to act only where it pays.
    """

    name: ClassVar[str] = "summarize"
    fidelity: ClassVar[Fidelity] = Fidelity.OPEN_LOOP
    needs_text: ClassVar[bool] = True

    above: int = 16_000
    keep: int = 10
    to: int = 1_000
    margin: int = 4_000
    break_even: bool = True

    def __post_init__(self) -> None:
        for name, least in (("above", 1), ("keep", 1), ("to", 1), ("margin", 0)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} is at least {least}, not {getattr(self, name)}.")

    def begin(self, scene: Scene) -> Session:
        """Open a run."""
        return _Summarizing(scene, self)


class _Summarizing(Session):
    def __init__(self, scene: Scene, plan: Summarize) -> None:
        super().__init__(scene)
        self._plan = plan
        self._chain = Chain(scene.sizes)
        self._calls = 0
        self._summary: tuple[BaseMessage, ...] = ()
        self._covered: tuple[BaseMessage, ...] = ()
        """What the summary stands for: messages of the conversation, from the first one behind the task."""

    def before(self, call: Call, request: Request) -> Request:
        self._calls += 1
        task, said = _parted(request.messages)
        covered = len(self._covered)
        if said[:covered] != self._covered or len(said) == covered:  # a sub-agent's prompt, an earlier or a trimmed one
            self._summary = self._covered = ()
        shortened = request._replace(messages=(*task, *self._summary, *said[len(self._covered) :]))
        self._chain.follow(shortened)
        if self._chain.tokens <= self._plan.above:
            return shortened
        cut = self._cut(said)
        removed, behind = self._parts(len(task), cut)
        if not self._worth(removed, behind):
            return shortened
        self._write(removed, said[:cut])
        return request._replace(messages=(*task, *self._summary, *said[cut:]))

    def _cut(self, said: Sequence[BaseMessage]) -> int:
        """Where the latest messages begin: never between a tool's result and the answer that asked for it."""
        covered = len(self._covered)
        cut = max(len(said) - self._plan.keep, covered)
        while cut > covered and isinstance(said[cut], ToolMessage):
            cut -= 1
        return cut

    def _parts(self, task: int, cut: int) -> tuple[int, int]:
        """The tokens that a summary would stand for, an earlier one among them, and those behind it."""
        sums = self._chain.sums
        end = task + len(self._summary) + cut - len(self._covered)
        return (sums[end] - sums[task] if cut > len(self._covered) else 0), sums[-1] - sums[end]

    def _worth(self, removed: int, behind: int) -> bool:
        """Whether a summary would shorten the prompt by enough."""
        plan, saved = self._plan, removed - self._plan.to
        if not removed or (plan.margin and saved < plan.margin):
            return False
        return not plan.break_even or self._pays(removed, saved, behind)

    def _pays(self, removed: int, saved: int, behind: int) -> bool:
        """Whether what later calls save is more than the summary costs, if as many follow as were made."""
        rate = self.scene.tariff.rate
        written = removed * rate("input") + self._plan.to * rate("output")
        sent_again = (self._plan.to + behind) * (rate("cache_write") - rate("cache_read"))
        return self._calls * saved * rate("cache_read") > written + sent_again

    def _write(self, removed: int, covered: tuple[BaseMessage, ...]) -> None:
        self.overhead.append(Overhead(removed, self._plan.to))
        self.tally["summaries"] += 1
        text = f"[summary {self.tally['summaries']} of what was said before]"
        self._summary = (self.scene.sizes.assume(HumanMessage(text), self._plan.to),)
        self._covered = covered


def _parted(messages: tuple[BaseMessage, ...]) -> tuple[tuple[BaseMessage, ...], tuple[BaseMessage, ...]]:
    """The task, and the rest. Where the task asks for tools, what they gave is part of it."""
    task = 1 + (bool(messages) and messages[0].type == "system")
    while task < len(messages) and isinstance(messages[task], ToolMessage):
        task += 1
    return messages[:task], messages[task:]
