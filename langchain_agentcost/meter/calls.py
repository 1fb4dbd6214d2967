"""A call between its start and its end, and what can be said of it when the provider does not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from time import perf_counter
from typing import Any, NamedTuple
from uuid import UUID

from langchain_core.messages import AIMessage, ToolMessage

from langchain_agentcost.attribution import label
from langchain_agentcost.ledger.entry import InputSplit, Kind
from langchain_agentcost.limits.limiter import Admission
from langchain_agentcost.meter.checkpoint_spend import Place
from langchain_agentcost.meter.runs import WorkflowRun
from langchain_agentcost.routed import Routed
from langchain_agentcost.tokens import TokenCounter, estimate_message, estimate_schemas, estimate_text
from langchain_agentcost.uncounted import Prompt, Streamed, estimated_usage
from langchain_agentcost.usage import Usage


class OpenCall:
    """A model, tool or retriever call that has started and not yet ended.

    Args:
        kind: What the ledger will call it.
        run: The workflow run it belongs to.
        labels: Its attribution so far, as keyword arguments of `Attribution`.
        parent_id: The run above it.
        prompt: What a model was asked; empty for the others.
        tools: The tool schemas that were sent along.
    """

    __slots__ = (
        "admissions", "arguments", "asked", "at", "batch_size", "duration_s", "first_token_s", "kind", "labels",
        "parent_id", "place", "prompt", "routed", "run", "shape", "started", "streamed", "tier", "tools", "unwatch",
        "wraps",
    )  # fmt: skip

    def __init__(
        self,
        kind: Kind,
        run: WorkflowRun,
        labels: dict[str, Any],
        *,
        parent_id: UUID | None = None,
        prompt: Prompt = (),
        tools: Sequence[Any] = (),
    ) -> None:
        self.kind = kind
        self.run = run
        self.labels = labels
        self.parent_id = parent_id
        self.prompt = prompt
        self.tools = tools
        self.shape = PromptShape.of(prompt, tools) if prompt else None
        self.asked: str | None = labels["model"]
        """The model that was asked for, where the one that answers has another name."""
        self.tier: str | None = None
        """The service tier that was asked for."""
        self.batch_size = 1
        self.admissions: Sequence[Admission] = ()
        """What limits have reserved for it."""
        self.arguments: str | None = None
        """A hash of a tool's arguments, where a breaker wants to know."""
        self.wraps = False
        """Whether the real model call turned out to be one below this one."""
        self.place: Place | None = None
        """The checkpoints that it is made from, where somebody asks."""
        self.routed: Routed | None = None
        """What a router tells of it."""
        self.unwatch: Callable[[], object] | None = None
        """What stops watching the task that the call runs in."""
        self.streamed = Streamed()
        self.first_token_s: float | None = None
        self.at = datetime.now(UTC)
        self.duration_s: float | None = None
        self.started = perf_counter()

    def ended(self) -> None:
        """Stop the clock."""
        if self.unwatch is not None:
            self.unwatch()
        self.duration_s = perf_counter() - self.started

    def saw_token(self, token: object) -> None:
        """Count a streamed chunk."""
        if self.first_token_s is None:
            self.first_token_s = perf_counter() - self.started
        self.streamed.saw(token)

    def answered_by(self, model: str | None) -> None:
        """Note which model answered, by the provider's name for it: often a dated snapshot of the one asked for."""
        if model:
            self.labels["model"] = label(model)

    def estimated_usage(self, answer: str, counter: TokenCounter) -> Usage:
        """Estimate what the provider did not report, on the tier that was asked for.

        Args:
            answer: The text that was received; empty where it is lost.
            counter: What counts.

        Returns:
            The estimate, marked as one.
        """
        usage = estimated_usage(
            self.prompt, answer, streamed=self.streamed, tools=self.tools, model=self.labels["model"], counter=counter
        )
        return replace(usage, service_tier=self.tier) if self.tier else usage


class PromptShape(NamedTuple):
    """Our estimate of what a prompt is made of, in tokens, before the provider's total is known.

    Args:
        new: Messages that this call sends for the first time, tool results aside.
        tool_results: Tool results that it sends for the first time.
        tool_schemas: The descriptions of the bound tools.
        has_history: Whether an earlier call has already sent a part of it.
    """

    new: int
    tool_results: int
    tool_schemas: int
    has_history: bool

    @classmethod
    def of(cls, prompt: Prompt, tools: Sequence[Any]) -> PromptShape:
        """Look at the end of a prompt only, so that the work does not grow with the history.

        What stands before the last answer of a model was sent before: that answer was made from it. The answer itself
        and everything after it is sent for the first time. Examples that are put into a prompt as if they had been said
        count as sent before from the first call on: no call adds them to the conversation.

        Args:
            prompt: The messages in order, or a text.
            tools: The bound tools' schemas.

        Returns:
            The shape.
        """
        schemas = estimate_schemas(tools) if tools else 0
        if isinstance(prompt, str):
            return cls(estimate_text(prompt), 0, schemas, has_history=False)
        new = results = 0
        for position in range(len(prompt) - 1, -1, -1):
            message = prompt[position]
            if isinstance(message, ToolMessage):
                results += estimate_message(message)
            else:
                new += estimate_message(message)
            if isinstance(message, AIMessage):
                return cls(new, results, schemas, has_history=position > 0)
        return cls(new, results, schemas, has_history=False)

    @property
    def fresh(self) -> int:
        """Everything that is not history."""
        return self.new + self.tool_results + self.tool_schemas

    def split(self, input_tokens: int) -> InputSplit:
        """Divide the provider's input total by this shape.

        Args:
            input_tokens: The total that the provider counted.

        Returns:
            Four parts that sum to it. With a history, what is not new is re-sent; without one, or where our estimate
            of the new part exceeds the total, the new parts are scaled to it.
        """
        if self.has_history and self.fresh <= input_tokens:
            return InputSplit(self.new, input_tokens - self.fresh, self.tool_schemas, self.tool_results)
        scale = max(1, self.fresh)
        results = self.tool_results * input_tokens // scale
        schemas = self.tool_schemas * input_tokens // scale
        return InputSplit(input_tokens - results - schemas, 0, schemas, results)
