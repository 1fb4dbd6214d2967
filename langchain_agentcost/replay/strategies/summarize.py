"""Summarization: when a prompt grows too long, its middle gives way to a summary that a model writes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from langchain_core.messages import BaseMessage, HumanMessage, ToolMessage

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

    def begin(self, scene: Scene) -> Session:
        """Open a run."""
        return _Summarizing(scene, self)


class _Summarizing(Session):
    def __init__(self, scene: Scene, plan: Summarize) -> None:
        super().__init__(scene)
        self._plan = plan
        self._summary: BaseMessage | None = None
        self._covered = 0
        """How many messages of the conversation the summary stands for, the task aside."""
        self._calls = 0

    def before(self, call: Call, request: Request) -> Request:
        self._calls += 1
        task, said = _parted(request.messages)
        current = self._shortened(task, said)
        if self._tokens(request, current) > self._plan.above and self._worth(request, task, said):
            self._write(said)
            current = self._shortened(task, said)
        return request._replace(messages=current)

    def _shortened(self, task: Sequence[BaseMessage], said: Sequence[BaseMessage]) -> tuple[BaseMessage, ...]:
        if self._summary is None:
            return (*task, *said)
        return (*task, self._summary, *said[self._covered :])

    def _cut(self, said: Sequence[BaseMessage]) -> int:
        """Where the latest messages begin: never between a tool's result and the answer that asked for it."""
        cut = max(len(said) - self._plan.keep, self._covered)
        while cut > self._covered and isinstance(said[cut], ToolMessage):
            cut -= 1
        return cut

    def _worth(self, request: Request, task: Sequence[BaseMessage], said: Sequence[BaseMessage]) -> bool:
        """Whether a summary would shorten the prompt by enough."""
        plan, cut = self._plan, self._cut(said)
        removed = self._sum(said[self._covered : cut]) + (plan.to if self._summary is not None else 0)
        saved = removed - plan.to
        if cut == self._covered or saved < plan.margin:
            return not plan.margin and cut > self._covered
        return not plan.break_even or self._pays(removed, saved, self._sum(said[cut:]))

    def _pays(self, removed: int, saved: int, behind: int) -> bool:
        """Whether what later calls save is more than the summary costs, if as many follow as were made."""
        rate = self.scene.tariff.rate
        write = rate("cache_write") if "cache_write" in self.scene.tariff.card.rates else rate("input")
        written = removed * rate("input") + self._plan.to * rate("output")
        sent_again = (self._plan.to + behind) * (write - rate("cache_read"))
        return self._calls * saved * rate("cache_read") > written + sent_again

    def _write(self, said: Sequence[BaseMessage]) -> None:
        cut, sizes = self._cut(said), self.scene.sizes
        covered = self._sum(said[self._covered : cut]) + (self._plan.to if self._summary is not None else 0)
        self.overhead.append(Overhead(covered, self._plan.to))
        self.tally["summaries"] += 1
        text = f"[summary {self.tally['summaries']} of what was said before]"
        self._summary = sizes.assume(HumanMessage(text), self._plan.to)
        self._covered = cut

    def _tokens(self, request: Request, messages: Sequence[BaseMessage]) -> int:
        return self.scene.sizes.of_tools(request.tools).tokens + self._sum(messages)

    def _sum(self, messages: Sequence[BaseMessage]) -> int:
        of = self.scene.sizes.of
        return sum([of(message).tokens for message in messages])


def _parted(messages: Sequence[BaseMessage]) -> tuple[Sequence[BaseMessage], Sequence[BaseMessage]]:
    """The task, and the rest."""
    task = 1 + (bool(messages) and messages[0].type == "system")
    return messages[:task], messages[task:]
