"""A chat model that is really cut by its cap, in the middle of a word or of a tool call's arguments."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.messages.tool import tool_call_chunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from pydantic import Field, PrivateAttr


class LengthFinishReasonError(Exception):
    """Named as OpenAI's, which `raised_cut` knows by its name."""


class Talker(BaseChatModel):
    """Says its text, one token a word, and then asks for its tool; a cap cuts it as it would a real model.

    Args:
        text: What it says.
        order: The argument of its tool call, one token a character; None calls no tool.
        max_tokens: Its own cap.
        raises: Whether a cut answer raises, as OpenAI's client does where it parses.
        short_after: From this call on it says "Done." only; 0 never.
    """

    text: str = ""
    order: str | None = None
    max_tokens: int | None = None
    raises: bool = False
    short_after: int = 0
    _sent: list[dict[str, Any]] = PrivateAttr(default_factory=list)
    prompts: list[list[BaseMessage]] = Field(default_factory=list)

    @property
    def sent(self) -> list[dict[str, Any]]:
        """What each call was given beside the prompt."""
        return self._sent

    @property
    def _llm_type(self) -> str:
        return "talker"

    def bind_tools(self, tools: Sequence[Any], **kwargs: Any) -> Runnable[LanguageModelInput, AIMessage]:
        """Bind tools by their names."""
        return self.bind(tools=[getattr(tool, "name", str(tool)) for tool in tools], **kwargs)

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        first, *others = [chunk.message for chunk in self._chunks(messages, stop, kwargs)]
        whole = sum(others, first) if others else first
        assert isinstance(whole, AIMessageChunk)
        message = AIMessage(
            whole.content,
            tool_calls=whole.tool_calls,
            response_metadata=whole.response_metadata,
            usage_metadata=whole.usage_metadata,
        )
        return ChatResult(generations=[ChatGeneration(message=message)])

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        yield from self._chunks(messages, stop, kwargs)

    def _chunks(
        self, messages: list[BaseMessage], stop: list[str] | None, kwargs: dict[str, Any]
    ) -> Iterator[ChatGenerationChunk]:
        self._sent.append({**kwargs, "stop": stop} if stop else dict(kwargs))
        self.prompts.append(messages)
        short = self.short_after and len(self._sent) > self.short_after
        words = ["Done."] if short else self.text.split()
        order = None if short else self.order
        argument = [] if order is None else list(json.dumps({"order": order}))
        left = kwargs.get("max_tokens") or self.max_tokens or 10_000
        is_cut = len(words) + len(argument) > left
        if is_cut and self.raises:
            raise LengthFinishReasonError
        tokens = min(left, len(words) + len(argument))
        for word in words[:left]:
            yield _chunk(f"{word} ")
        for place, character in enumerate(argument[: left - len(words)] if left > len(words) else []):
            name = "cancel" if not place else None
            call = tool_call_chunk(name=name, args=character, id="call-1" if not place else None, index=0)
            yield _chunk("", tool_call_chunks=[call])
        yield _chunk(
            "",
            response_metadata={"finish_reason": "length" if is_cut else "stop"},
            usage_metadata={"input_tokens": 9, "output_tokens": tokens, "total_tokens": 9 + tokens},
            chunk_position="last",
        )


def _chunk(text: str, **fields: Any) -> ChatGenerationChunk:
    return ChatGenerationChunk(message=AIMessageChunk(content=text, **fields))
