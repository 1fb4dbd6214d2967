"""A model call between its start and its end: what was asked, and what has streamed by."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from langchain_core.messages import BaseMessage
from langgraph.errors import GraphBubbleUp

from langchain_agentcost.tokens import TokenCounter
from langchain_agentcost.usage import Usage

LEFT = (GeneratorExit, asyncio.CancelledError, KeyboardInterrupt, GraphBubbleUp)
"""What ends a call that did not fail: its consumer left, its task was cancelled, the graph paused or was stopped."""

CHARACTERS_PER_TOKEN = 4
"""English text; only used where the text itself is lost."""


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
        chunks: How many chunks have streamed by.
        characters: How many characters they had.
    """

    counter: TokenCounter
    parent_id: UUID | None = None
    prompt: Sequence[BaseMessage] | str = ()
    tools: Sequence[Any] = ()
    model: str | None = None
    provider: str | None = None
    batch_size: int = 1
    wraps: bool = False
    inside: list[BaseMessage] = field(default_factory=list)
    chunks: int = 0
    characters: int = 0

    def saw(self, token: object) -> None:
        """Count a streamed chunk."""
        self.chunks += 1
        if isinstance(token, str):
            self.characters += len(token)

    def estimate(self, text: str, error: BaseException | None = None) -> Usage | None:
        """Estimate what the provider did not report.

        Args:
            text: The text of the answer, as far as there is one.
            error: How the call ended, where it was not answered.

        Returns:
            The estimate, marked as one; None for a call that failed before the provider began, which is not billed.
        """
        if error is not None and not (text or self.chunks or was_under_way(error)):
            return None
        count = self.counter
        if isinstance(self.prompt, str):
            asked = count.count_text(self.prompt, model=self.model)
        else:
            asked = count.count_messages(self.prompt, model=self.model, tools=self.tools)
        seen = max(self.chunks, self.characters // CHARACTERS_PER_TOKEN)
        answered = count.count_text(text, model=self.model) if text else seen
        return Usage(input_tokens=asked, output_tokens=answered, estimated=True)


def was_under_way(error: BaseException) -> bool:
    """Tell whether a provider was at work, and bills, when a call ended without an answer."""
    return isinstance(error, LEFT) or "timeout" in type(error).__name__.lower()
