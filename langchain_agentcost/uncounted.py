"""What a model call consumed that no provider counted: streams without usage, calls that broke off or were left."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from langchain_core.messages import BaseMessage
from langgraph.errors import GraphBubbleUp

from langchain_agentcost.tokens import TokenCounter
from langchain_agentcost.usage import Usage

Prompt = Sequence[BaseMessage] | str
"""What a model was asked: chat messages, or the text that an older text model takes."""

LEFT = (GeneratorExit, asyncio.CancelledError, KeyboardInterrupt, GraphBubbleUp)
"""What ends a call that did not fail: its consumer left, its task was cancelled, the graph paused or was stopped."""

CHARACTERS_PER_TOKEN = 4
"""English text, by OpenAI's o200k and cl100k tokenizers; only used where the text itself is lost."""


@dataclass(slots=True)
class Streamed:
    """What has streamed by. Of an answer whose text is lost, as when a stream breaks inside `invoke`, this remains.

    Args:
        chunks: How many chunks there were; each holds a token at least.
        characters: How many characters they had.
    """

    chunks: int = 0
    characters: int = 0

    def saw(self, token: object) -> None:
        """Count a chunk."""
        self.chunks += 1
        if isinstance(token, str):
            self.characters += len(token)

    @property
    def tokens(self) -> int:
        """An estimate of what went by."""
        return max(self.chunks, self.characters // CHARACTERS_PER_TOKEN)


def was_under_way(error: BaseException) -> bool:
    """Tell whether a provider was at work, and bills, when a call ended without an answer.

    Example:
        >>> was_under_way(TimeoutError()), was_under_way(ConnectionError())
        (True, False)
    """
    name = type(error).__name__.lower()
    return isinstance(error, LEFT) or ("timeout" in name and "connect" not in name)


def estimated_usage(
    prompt: Prompt, answer: str, *, streamed: Streamed, tools: Sequence[Any], model: str | None, counter: TokenCounter
) -> Usage:
    """Estimate what the provider did not report, as exactly as is possible offline.

    Args:
        prompt: What was asked.
        answer: The text that was received; empty where it is lost.
        streamed: What has streamed by.
        tools: The tool schemas that were sent along.
        model: The model's name, which chooses the tokenizer.
        counter: What counts.

    Returns:
        The estimate, marked as one.
    """
    if isinstance(prompt, str):
        asked = counter.count_text(prompt, model=model)
    else:
        asked = counter.count_messages(prompt, model=model, tools=tools)
    made = counter.count_text(answer, model=model) if answer else streamed.tokens
    return Usage(input_tokens=asked, output_tokens=made, estimated=True)
