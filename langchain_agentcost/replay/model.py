"""A chat model that answers from a recorded run, and fails where it is asked something else than was recorded."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from typing import Any, Literal, Self

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel, LangSmithParams, LanguageModelInput
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.messages.tool import tool_call_chunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import ConfigDict, Field, InstanceOf, PrivateAttr

from langchain_agentcost.attribution import label
from langchain_agentcost.replay.episode import Episode
from langchain_agentcost.replay.request import Request
from langchain_agentcost.replay.script import Played, Script, provider_of
from langchain_agentcost.replay.sizes import Sizes, Toolset
from langchain_agentcost.replay.tariff import Tariffs
from langchain_agentcost.tokens import TokenCounter
from langchain_agentcost.usage import Usage

Mode = Literal["exact", "open-loop"]

STAMP = "stamp"
"""The keyword of a call for a text that stands before the tools, where something volatile does."""


class ReplayChatModel(BaseChatModel):
    """Plays the model of a recorded run, call after call, so that real code can be run again without a provider.

    In exact mode a call has to send what was recorded: the same tools in the same order, and messages that say the
    same. A difference raises `ReplayMismatch`, which says where it is and quotes nothing. Ids, metadata and what else
    is sent (a temperature, a cap of the answer) are not compared. Calls are answered in the order in which they come.

    It is a real `BaseChatModel` with native streaming and async. Safe to share between threads: each recorded answer is
    given once.

    Args:
        episode: The recorded run.
        mode: "open-loop" compares nothing and answers by number: for code that removes something from the prompt.
            What the recorded model would then have answered is not known.
        tariffs: Prices. The usage that is reported is then that of a provider with a prompt cache, simulated from what
            is really asked. Without them it is the recorded one where the recorded prompt is asked, else counted.
        warm: Whether the provider's cache has the tools and system message when the run starts.
        **settings: `BaseChatModel`'s own.

    Raises:
        ReplayError: If the run has hashes in place of texts, or no price of its model is known.

    Example:
        >>> from langchain_core.messages import HumanMessage
        >>> from langchain_agentcost.replay.episode import NOTHING, assemble
        >>> calls = assemble([HumanMessage("Hi"), AIMessage("Hello!")], {1: NOTHING})
        >>> ReplayChatModel(episode=Episode("run 1", calls)).invoke("Hi").text
        'Hello!'
    """

    # A misspelt argument would make a test pass for nothing; an error must not show a trace.
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    episode: InstanceOf[Episode] = Field(repr=False)  # LangChain sends the repr of a model to tracers
    mode: Mode = "exact"
    tariffs: InstanceOf[Tariffs] | None = Field(default=None, repr=False)
    warm: bool = False

    _script: Script = PrivateAttr()

    def __init__(
        self,
        *,
        episode: Episode,
        mode: Mode = "exact",
        tariffs: Tariffs | None = None,
        warm: bool = False,
        **settings: Any,
    ) -> None:
        settings |= {"episode": episode, "mode": mode, "tariffs": tariffs, "warm": warm}
        super().__init__(**settings)
        # Not in model_post_init: pydantic would put the whole trace into the error.
        sizes = Sizes(episode, TokenCounter())
        provider = None if tariffs is None else provider_of(sizes, tariffs, warm=warm)
        self._script = Script(episode, exact=mode == "exact", provider=provider, sizes=sizes)

    @classmethod
    def playing(cls, script: Script) -> Self:
        """Make a model that plays a script, which may be another one than what was recorded."""
        made = cls(episode=script.episode, cache=False)
        made._script = script
        return made

    @property
    def left(self) -> int:
        """How many recorded calls were not made yet."""
        return self._script.left

    def bind_tools(
        self, tools: Sequence[Mapping[str, Any] | type | Callable[..., Any] | BaseTool], **kwargs: Any
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """Bind tools: descriptions as they are, anything else as ChatOpenAI describes it."""
        given = [tool if isinstance(tool, Mapping) else convert_to_openai_tool(tool) for tool in tools]
        return self.bind(tools=given, **kwargs)

    @property
    def _llm_type(self) -> str:
        return "replay-chat"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {"model": self._script.names()[1], "mode": self.mode, "run": label(self.episode.id)}

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        base = super()._get_ls_params(stop=stop, **kwargs)
        provider, model = self._script.names(kwargs.get("model"))
        return LangSmithParams(**{**base, "ls_provider": provider or self._llm_type, "ls_model_name": model})

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        played = self._play(messages, kwargs)
        answer = played.call.answer.model_copy(update={"id": None, **_reported(played)})
        return ChatResult(generations=[ChatGeneration(message=answer)], llm_output={"model_name": played.model})

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return self._generate(messages, **kwargs)

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        yield from _chunks(self._play(messages, kwargs))

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        for chunk in _chunks(self._play(messages, kwargs)):
            yield chunk

    def _play(self, messages: Sequence[BaseMessage], sent: Mapping[str, Any]) -> Played:
        tools = Toolset(tuple(sent.get("tools") or ()), sent.get(STAMP) or "")
        return self._script.play(Request(tools, tuple(messages), sent.get("model")))


def _chunks(played: Played) -> Iterator[ChatGenerationChunk]:
    """The answer word by word, then its tool calls, then who gave it and what that took. Added up, they are it."""
    answer = played.call.answer
    parts = _WORDS.findall(answer.content) if isinstance(answer.content, str) else [answer.content]
    for part in parts:
        yield _chunk(content=part)
    for index, call in enumerate(answer.tool_calls):
        part = tool_call_chunk(name=call["name"], args=json.dumps(call["args"]), id=call["id"], index=index)
        yield _chunk(content="", tool_call_chunks=[part])
    yield _chunk(content="", chunk_position="last", **_reported(played))


_WORDS = re.compile(r"\s*\S+|\s+")


def _chunk(**fields: Any) -> ChatGenerationChunk:
    return ChatGenerationChunk(message=AIMessageChunk(**fields))


def _reported(played: Played) -> dict[str, Any]:
    """What an answer says of itself."""
    metadata = {
        "model_name": played.model,
        "model_provider": played.provider,
        "service_tier": played.usage.service_tier,
    }
    stated = {name: value for name, value in metadata.items() if value is not None}
    return {"usage_metadata": usage_metadata(played.usage), "response_metadata": stated}


def usage_metadata(usage: Usage) -> dict[str, Any]:
    """Word a usage as LangChain does.

    Example:
        >>> usage_metadata(Usage(10, 2, cache_read_tokens=8))["input_token_details"]
        {'cache_read': 8}
    """
    worded: dict[str, Any] = {
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "total_tokens": usage.total_tokens,
    }
    for details, table in _DETAILS.items():
        worded[details] = {key: count for key, name in table.items() if (count := getattr(usage, name))}
    return worded


_DETAILS = {
    "input_token_details": {
        "cache_read": "cache_read_tokens",
        "cache_creation": "cache_write_tokens",
        "ephemeral_1h_input_tokens": "cache_write_1h_tokens",
        "audio": "input_audio_tokens",
    },
    "output_token_details": {"reasoning": "reasoning_tokens", "audio": "output_audio_tokens"},
}
