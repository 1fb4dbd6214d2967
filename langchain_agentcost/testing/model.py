"""A chat model that answers what it is told to and reports usage as any provider does."""

from __future__ import annotations

import asyncio
import itertools
import json
import re
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from typing import Any

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel, LangSmithParams, LanguageModelInput
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.messages.tool import tool_call_chunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import ConfigDict, Field, PrivateAttr

from langchain_agentcost.testing.shapes import USAGE_SHAPES, FakeCounts, UsageShape
from langchain_agentcost.tokens import estimate_message, estimate_schemas

Answer = str | AIMessage
Counts = FakeCounts | Callable[[list[BaseMessage], AIMessage], FakeCounts]


class FakeMeteredChatModel(BaseChatModel):
    """A chat model for tests of whatever counts tokens or money: no network, any provider's usage, any failure.

    It is a real `BaseChatModel` with native streaming and async, so callbacks, caches, retries, fallbacks, tools and
    LangGraph treat it as they treat a provider's class. Safe to share between threads.

    Args:
        answers: What to answer, in order, the last one again and again; or a function of the prompt.
        usage: How usage is reported, a name in `USAGE_SHAPES`.
        counts: What each call consumes, or a function of prompt and answer; None estimates it from the texts.
        model: The model that is asked for; None has the shape's own.
        provider: `ls_provider`; None has the shape's own.
        stream_usage: Whether a stream ends with usage; False is a stream through a custom base_url.
        latency_s: Seconds before an answer, or before the first token of a stream.
        token_latency_s: Seconds before each further token of a stream.
        failures: For a call by its number, from 1, the error that is raised instead of answering.
        break_stream_after: Streams break with a ConnectionError after this many tokens; None never does.
        n: How many answers a call gives; all of them carry the usage of the whole response, as ChatOpenAI's do.

    Example:
        >>> model = FakeMeteredChatModel(answers=["Hello!"], counts=FakeCounts(1_000, 20, cache_read_tokens=512))
        >>> model.invoke("Hi").usage_metadata["input_token_details"]["cache_read"]
        512
    """

    model_config = ConfigDict(extra="forbid")  # a misspelt argument would make a test pass for nothing

    answers: Sequence[Answer] | Callable[[list[BaseMessage]], Answer] = ("OK",)
    usage: str = "openai"
    counts: Counts | None = None
    model: str | None = None
    provider: str | None = None
    stream_usage: bool = True
    latency_s: float = 0.0
    token_latency_s: float = 0.0
    failures: Mapping[int, BaseException] = Field(default_factory=dict)
    break_stream_after: int | None = None
    n: int = 1

    _numbers: Iterator[int] = PrivateAttr(default_factory=lambda: itertools.count(1))
    _prompts: list[list[BaseMessage]] = PrivateAttr(default_factory=list)

    def model_post_init(self, context: Any, /) -> None:
        """Refuse what could only fail at the first call."""
        super().model_post_init(context)
        if not self.answers:
            raise ValueError("answers is empty; give at least one, or a function of the prompt.")
        if self.usage not in USAGE_SHAPES:
            raise ValueError(f"{self.usage!r} is no usage shape; choose from {', '.join(USAGE_SHAPES)}.")

    @property
    def prompts(self) -> list[list[BaseMessage]]:
        """What the model was asked, call by call, failed calls included."""
        return list(self._prompts)

    def bind_tools(
        self, tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool], **kwargs: Any
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """Bind tools as ChatOpenAI does; they count as input, and only `answers` decide whether they are called."""
        return self.bind(tools=[convert_to_openai_tool(tool) for tool in tools], **kwargs)

    @property
    def _llm_type(self) -> str:
        return "fake-metered-chat"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {"model": self._asked({}), "usage": self.usage}

    @property
    def _shape(self) -> UsageShape:
        return USAGE_SHAPES[self.usage]

    def _asked(self, kwargs: Mapping[str, Any]) -> str:
        return kwargs.get("model") or self.model or self._shape.model

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        base = super()._get_ls_params(stop=stop, **kwargs)
        return LangSmithParams(
            **{**base, "ls_provider": self.provider or self._shape.provider, "ls_model_name": self._asked(kwargs)}
        )

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        answer = self._next(messages)
        time.sleep(self.latency_s)
        return self._result(messages, answer, kwargs)

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        answer = self._next(messages)
        await asyncio.sleep(self.latency_s)
        return self._result(messages, answer, kwargs)

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        answer = self._next(messages)
        time.sleep(self.latency_s)
        for position, chunk in enumerate(self._chunks(messages, answer, kwargs)):
            time.sleep(self.token_latency_s if position else 0)
            yield chunk

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        answer = self._next(messages)
        await asyncio.sleep(self.latency_s)
        for position, chunk in enumerate(self._chunks(messages, answer, kwargs)):
            await asyncio.sleep(self.token_latency_s if position else 0)
            yield chunk

    def _next(self, messages: list[BaseMessage]) -> AIMessage:
        """Take the next answer, or fail where this call is to."""
        number = next(self._numbers)
        self._prompts.append(list(messages))
        if number in self.failures:
            raise self.failures[number]
        given = self.answers
        answer = given(messages) if callable(given) else given[min(number, len(given)) - 1]
        return AIMessage(answer) if isinstance(answer, str) else answer

    def _counted(self, messages: list[BaseMessage], answer: AIMessage, kwargs: Mapping[str, Any]) -> FakeCounts:
        if isinstance(self.counts, FakeCounts):
            return self.counts
        if self.counts is not None:
            return self.counts(messages, answer)
        asked = sum(estimate_message(message) for message in messages) + estimate_schemas(kwargs.get("tools"))
        return FakeCounts(asked, estimate_message(answer))

    def _reported(self, answer: AIMessage, counts: FakeCounts) -> dict[str, Any] | None:
        """The usage of an answer: its own where the test gave it one, none where the shape is of that kind."""
        if answer.usage_metadata is not None:
            return dict(answer.usage_metadata)
        return None if self.usage == "none" else self._shape.usage_metadata(counts)

    def _result(self, messages: list[BaseMessage], answer: AIMessage, kwargs: Mapping[str, Any]) -> ChatResult:
        counts = self._counted(messages, answer, kwargs)
        metadata = self._shape.response_metadata(self._asked(kwargs), counts) | answer.response_metadata
        reported = {"usage_metadata": self._reported(answer, counts), "response_metadata": metadata}
        number = kwargs.get("n") or self.n
        generations = [ChatGeneration(message=answer.model_copy(update=dict(reported))) for _ in range(number)]
        return ChatResult(generations=generations, llm_output={"model_name": metadata["model_name"]})

    def _chunks(
        self, messages: list[BaseMessage], answer: AIMessage, kwargs: Mapping[str, Any]
    ) -> Iterator[ChatGenerationChunk]:
        """The answer word by word, then its tool calls, then how it ended and what it consumed."""
        for position, word in enumerate(re.findall(r"\s*\S+", answer.text)):
            if position == self.break_stream_after:
                raise ConnectionError(f"the stream broke after {position} tokens, as it was told to")
            yield _chunk(word)
        for index, call in enumerate(answer.tool_calls):
            args = json.dumps(call["args"])
            part = tool_call_chunk(name=call["name"], args=args, id=call["id"], index=index)
            yield _chunk("", tool_call_chunks=[part])
        counts = self._counted(messages, answer, kwargs)
        metadata = self._shape.response_metadata(self._asked(kwargs), counts) | answer.response_metadata
        metadata.pop("usage", None)  # langchain-anthropic only hands it over when nothing is streamed
        reported = self._reported(answer, counts) if self.stream_usage else None
        yield _chunk("", response_metadata=metadata, usage_metadata=reported, chunk_position="last")


def _chunk(text: str, **fields: Any) -> ChatGenerationChunk:
    return ChatGenerationChunk(message=AIMessageChunk(content=text, **fields))
