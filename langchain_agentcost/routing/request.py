"""A call that is to be routed: what a policy may look at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from langchain_core.messages import BaseMessage, HumanMessage

from langchain_agentcost.prompt_tail import without_tail
from langchain_agentcost.routing.signature import Phase, Signature, length_of, phase_of, tools_of


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteRequest:
    """A call, before a tier is chosen.

    Args:
        messages: The prompt.
        tools: The names of the bound tools.
        forced_tool: The tool that has to be called; None where the model may choose.
        schema: The name of the structured output; None for free text.
        node: The graph's node, without its path; None outside LangGraph.
        thread: The conversation, by LangGraph's thread id or the session's; None where nothing says so.
        prompt_tokens: How long the prompt is, tools and all, as far as can be told before a provider counts.
        max_output_tokens: The longest answer that is asked for; None where nothing caps it.
        images: Whether there is an image in it.
        settings: What else is sent.
        metadata: The run's metadata.
        configurable: The run's `configurable`.
        used: Which share of the tightest budget is used, from 0 to 1; None where there is none.
        left_nano: What is left of it, in nano-USD; None where there is none.
        thrift: How much more quality may be given up than a policy would by itself, as a share; 0 is none.

    Example:
        >>> RouteRequest.of([HumanMessage("Extract the total.")], node="extract").signature.node
        'extract'
    """

    messages: tuple[BaseMessage, ...]
    tools: tuple[str, ...] = ()
    forced_tool: str | None = None
    schema: str | None = None
    node: str | None = None
    thread: str | None = None
    prompt_tokens: int = 0
    max_output_tokens: int | None = None
    images: bool = False
    settings: Mapping[str, Any] = field(default_factory=dict)
    metadata: Mapping[str, Any] = field(default_factory=dict)
    configurable: Mapping[str, Any] = field(default_factory=dict)
    used: float | None = None
    left_nano: int | None = None
    thrift: float = 0.0

    @classmethod
    def of(cls, messages: Sequence[BaseMessage] | str, **facts: Any) -> RouteRequest:
        """Make one of messages or a text, for tests, examples and calibration."""
        given = (HumanMessage(messages),) if isinstance(messages, str) else tuple(messages)
        return cls(messages=given, **facts)

    @property
    def history(self) -> Sequence[BaseMessage]:
        """The prompt without what stands at its end for this call only."""
        return without_tail(self.messages)

    @property
    def phase(self) -> Phase:
        """Where the agent is."""
        return phase_of(self.history)

    @property
    def signature(self) -> Signature:
        """What kind of step it is."""
        return Signature(self.node, self.phase, tools_of(self.tools), self.schema, length_of(self.prompt_tokens))

    @property
    def text(self) -> str:
        """What a person said last; empty where nobody did."""
        human = next((message for message in reversed(self.history) if isinstance(message, HumanMessage)), None)
        return human.text if human is not None else ""
