"""A model call between its start and its end: what was asked, and what has streamed by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from langchain_core.messages import BaseMessage

from langchain_agentcost.tokens import TokenCounter
from langchain_agentcost.uncounted import Prompt, Streamed, estimated_usage, was_under_way
from langchain_agentcost.usage import Usage


@dataclass(slots=True)
class Asked:
    """What is needed to say what a call consumed when the provider does not.

    Args:
        counter: Counts what the provider did not.
        parent_id: The parent run.
        prompt: The messages of a chat model, or the text that an older text model takes.
        tools: The schemas of the bound tools.
        model: The model that was asked for; None where LangChain does not say.
        provider: Who serves it, as LangChain names it.
        batch_size: How many prompts LangChain sent together.
        wraps: Whether it only passes the call on to another model, whose own run has the cost.
        inside: The messages that other models of the trace gave while this call was open.
        streamed: What has streamed by.
    """

    counter: TokenCounter
    parent_id: UUID | None = None
    prompt: Prompt = ()
    tools: Sequence[Any] = ()
    model: str | None = None
    provider: str | None = None
    batch_size: int = 1
    wraps: bool = False
    inside: list[BaseMessage] = field(default_factory=list)
    streamed: Streamed = field(default_factory=Streamed)

    def estimate(self, text: str, error: BaseException | None = None) -> Usage | None:
        """Estimate what the provider did not report.

        Args:
            text: The text of the answer, as far as there is one.
            error: How the call ended, where it was not answered.

        Returns:
            The estimate, marked as one; None for a call that failed before the provider began, which is not billed.
        """
        if error is not None and not (text or self.streamed.chunks or was_under_way(error)):
            return None
        return estimated_usage(
            self.prompt, text, streamed=self.streamed, tools=self.tools, model=self.model, counter=self.counter
        )
