"""A chat model behind a cache: sync, async, batch and streams."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import Any, cast

from langchain_core.language_models import LanguageModelInput
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.runnables import (
    Runnable,
    RunnableConfig,
    RunnableParallel,
    RunnableSequence,
    RunnableWithFallbacks,
)

from langchain_agentcost.caching.ask import Ask, messages_of
from langchain_agentcost.caching.semantic import SemanticCache
from langchain_agentcost.caching.serving import apieces_through, athrough, pieces_through, through
from langchain_agentcost.errors import CacheError


class CachedRunnable(Runnable[LanguageModelInput, AIMessage]):
    """A chat model whose answers are cached, wherever a model is called: `invoke`, `batch`, `stream` and their twins.

    A hit makes no model call, so no callback tells of one: it is told as a custom event, and a stream is replayed in
    the pieces that it came in. Equal calls at the same time make one.

    Args:
        model: A chat model, or one with things bound to it.
        cache: The cache; many models may share one.

    Example:
        >>> from langchain_agentcost.testing import FakeMeteredChatModel
        >>> cached = CachedRunnable(FakeMeteredChatModel(), SemanticCache(embeddings=False, scope="global"))
        >>> said = cached.invoke("Hi").text
        >>> "".join(chunk.text for chunk in cached.stream("Hi")) == said, len(cached.model.prompts)
        (True, 1)
    """

    def __init__(self, model: Runnable[LanguageModelInput, Any], cache: SemanticCache) -> None:
        self.model = model
        self.cache = cache

    @property
    def wrapped_model(self) -> Runnable[LanguageModelInput, Any]:
        """What is asked where the cache has no answer: who asks for a model's name and price looks there."""
        return self.model

    def bind_tools(self, tools: Sequence[Any], **kwargs: Any) -> CachedRunnable:  # not Self: with_fallbacks reads this
        """Bind tools, as the model does it."""
        return type(self)(cast("Any", self.model).bind_tools(tools, **kwargs), self.cache)

    def bind(self, **kwargs: Any) -> CachedRunnable:
        """Bind arguments of the call."""
        return type(self)(self.model.bind(**kwargs), self.cache)

    def with_structured_output(self, schema: Any, **kwargs: Any) -> Runnable[LanguageModelInput, Any]:
        """Have the answer parsed, as the model does it; what is cached is the answer, not what is made of it."""
        return self._inside(cast("Any", self.model).with_structured_output(schema, **kwargs))

    def invoke(self, input: LanguageModelInput, config: RunnableConfig | None = None, **kwargs: Any) -> AIMessage:  # noqa: A002  # LangChain's name
        """Answer a prompt."""
        answer: Any = self._answer
        return self._call_with_config(answer, input, config, **kwargs)

    async def ainvoke(
        self,
        input: LanguageModelInput,  # noqa: A002  # same
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> AIMessage:
        """Answer a prompt."""
        answer: Any = self._aanswer
        return await self._acall_with_config(answer, input, config, **kwargs)

    def stream(
        self,
        input: LanguageModelInput,  # noqa: A002  # same
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> Iterator[AIMessage]:
        """Answer a prompt in pieces, each an `AIMessageChunk`."""
        pieces: Any = self._pieces
        yield from self._transform_stream_with_config(iter([input]), pieces, config, **kwargs)

    async def astream(
        self,
        input: LanguageModelInput,  # noqa: A002  # same
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[AIMessage]:
        """Answer a prompt in pieces, each an `AIMessageChunk`."""

        async def one() -> AsyncIterator[LanguageModelInput]:
            yield input

        pieces: Any = self._apieces
        async for piece in self._atransform_stream_with_config(one(), pieces, config, **kwargs):
            yield piece

    def _inside(self, made: Any) -> Runnable[LanguageModelInput, Any]:
        """Put the cache before the model of a chain that parses its answer, and before each that it falls back to."""
        if isinstance(made, RunnableWithFallbacks):
            others = [self._inside(one) for one in made.fallbacks]
            return made.model_copy(update={"runnable": self._inside(made.runnable), "fallbacks": others})
        if not isinstance(made, RunnableSequence):
            raise CacheError(
                f"{type(self.model).__name__}.with_structured_output gives a {type(made).__name__}, in which the model "
                "cannot be told. Build the chain yourself, with the CachedRunnable where its model is."
            )
        first, *rest = made.steps
        if isinstance(first, RunnableParallel):  # include_raw=True
            raw = type(self)(cast("Any", first.steps__["raw"]), self.cache)
            return RunnableSequence(RunnableParallel(raw=raw), *rest)
        return RunnableSequence(type(self)(first, self.cache), *rest)

    def _answer(self, asked: LanguageModelInput, config: RunnableConfig, **sent: Any) -> AIMessage:
        messages = messages_of(asked)
        return through(
            self.cache, self._ask(messages, sent), lambda: self.model.invoke(messages, config, **sent), config
        )

    async def _aanswer(self, asked: LanguageModelInput, config: RunnableConfig, **sent: Any) -> AIMessage:
        messages = messages_of(asked)
        return await athrough(
            self.cache, self._ask(messages, sent), lambda: self.model.ainvoke(messages, config, **sent), config
        )

    def _pieces(
        self, asked: Iterator[LanguageModelInput], config: RunnableConfig, **sent: Any
    ) -> Iterator[AIMessageChunk]:
        (messages,) = map(messages_of, asked)
        yield from pieces_through(
            self.cache, self._ask(messages, sent), lambda: self.model.stream(messages, config, **sent), config
        )

    async def _apieces(
        self, asked: AsyncIterator[LanguageModelInput], config: RunnableConfig, **sent: Any
    ) -> AsyncIterator[AIMessageChunk]:
        (messages,) = [messages_of(one) async for one in asked]
        pieces = apieces_through(
            self.cache, self._ask(messages, sent), lambda: self.model.astream(messages, config, **sent), config
        )
        async for piece in pieces:
            yield piece

    def _ask(self, messages: Sequence[BaseMessage], sent: Mapping[str, Any]) -> Ask:
        return Ask.of(self.model, messages, sent)
