"""A chat model under output controls, for any chain or graph."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from typing import Any, cast

from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.messages import AIMessage, AIMessageChunk, convert_to_messages
from langchain_core.prompt_values import PromptValue
from langchain_core.runnables import Runnable, RunnableBinding, RunnableConfig, RunnableParallel, RunnableSequence
from langchain_core.tools import BaseTool

from langchain_agentcost.context.output.controls import OutputControls
from langchain_agentcost.context.output.cut import was_cut, without_calls

Model = Runnable[LanguageModelInput, AIMessage]


def model_with_controls(model: Model, controls: OutputControls) -> ControlledModel:
    """Put output controls on a chat model.

    Put retries and fallbacks around it, `model_with_controls(…).with_retry()`: they hide the model.

    Args:
        model: A chat model, or one with tools or arguments bound.
        controls: What is done.

    Returns:
        A runnable in the model's place.

    Raises:
        TypeError: If there is no chat model directly in it.

    Example:
        >>> from langchain_agentcost.testing import FakeMeteredChatModel
        >>> cut = AIMessage("It is in", response_metadata={"finish_reason": "length"})
        >>> model = FakeMeteredChatModel(answers=[cut, "It is in Lyon."])
        >>> model_with_controls(model, OutputControls(max_tokens=3)).invoke("Where is my order?").text
        'It is in Lyon.'
    """
    return ControlledModel(model, controls)


class ControlledModel(Runnable[LanguageModelInput, AIMessage]):
    """A chat model under output controls. It adds no run of its own: what is traced and metered are the model's calls.

    An answer that the cap has cut is asked for again without it, once. Tool calls in an answer that is cut all the same
    are taken out (`without_calls`). In a stream, tool calls are held back until the answer ends, for that reason, and
    nothing is asked for again: what was streamed has been seen.

    Args:
        model: A chat model, or one with tools or arguments bound.
        controls: What is done.

    Raises:
        TypeError: If there is no chat model directly in it.
    """

    def __init__(self, model: Model, controls: OutputControls) -> None:
        self._model = model
        self._controls = controls
        self._capped, self._cap = _shaped(model, controls, cap=True)
        self._uncapped, _ = _shaped(model, controls, cap=False)

    def bind_tools(
        self, tools: Sequence[Mapping[str, Any] | type | Callable[..., Any] | BaseTool], **kwargs: Any
    ) -> ControlledModel:
        """Bind tools as the model does, under the same controls."""
        return self._like(cast("Any", self._model).bind_tools(tools, **kwargs))

    def with_structured_output(
        self, schema: dict[str, Any] | type, *, include_raw: bool = False, **kwargs: Any
    ) -> Runnable[LanguageModelInput, Any]:
        """Answer in a form, as the model does, under the same controls.

        Args:
            schema: The form, such as `answer_form` makes.
            include_raw: Whether the message comes with it.
            **kwargs: The model's own.

        Raises:
            TypeError: If the model makes something else of it than a chain that begins with itself.
        """
        made = cast("Any", self._model).with_structured_output(schema, include_raw=include_raw, **kwargs)
        if not isinstance(made, RunnableSequence):
            raise TypeError(f"{type(self._model).__name__} makes a {type(made).__name__} of a form, which is unknown.")
        first, *others = made.steps
        if isinstance(first, RunnableParallel):
            steps = {name: self._like(cast("Model", step)) for name, step in first.steps__.items()}
            return RunnableSequence(RunnableParallel(cast("Any", steps)), *others)
        return RunnableSequence(self._like(first), *others)

    def invoke(
        self,
        input: LanguageModelInput,  # noqa: A002  # LangChain's name
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> AIMessage:
        """Ask the model."""
        prompt = self._prompt(input)
        try:
            answer = self._capped.invoke(prompt, config, **kwargs)
        except Exception as error:
            if not self._controls.asks_again(self._cap, error):
                raise
        else:
            if not self._controls.asks_again(self._cap, answer):
                return _safe(answer)
        return _safe(self._uncapped.invoke(prompt, _again(config), **kwargs))

    async def ainvoke(
        self,
        input: LanguageModelInput,  # noqa: A002  # same
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> AIMessage:
        """Ask the model, in async code."""
        prompt = self._prompt(input)
        try:
            answer = await self._capped.ainvoke(prompt, config, **kwargs)
        except Exception as error:
            if not self._controls.asks_again(self._cap, error):
                raise
        else:
            if not self._controls.asks_again(self._cap, answer):
                return _safe(answer)
        return _safe(await self._uncapped.ainvoke(prompt, _again(config), **kwargs))

    def stream(
        self,
        input: LanguageModelInput,  # noqa: A002  # same
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> Iterator[AIMessage]:
        """Stream the answer."""
        held: list[AIMessageChunk] = []
        for chunk in self._capped.stream(self._prompt(input), config, **kwargs):
            if _is_held(chunk, held):
                continue
            yield chunk
        yield from _let_go(held)

    async def astream(
        self,
        input: LanguageModelInput,  # noqa: A002  # same
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[AIMessage]:
        """Stream the answer, in async code."""
        held: list[AIMessageChunk] = []
        async for chunk in self._capped.astream(self._prompt(input), config, **kwargs):
            if _is_held(chunk, held):
                continue
            yield chunk
        for chunk in _let_go(held):
            yield chunk

    def _like(self, made: Model) -> ControlledModel:
        """The same controls on what was made of the model. A binding that makes another one drops what it had."""
        before = self._model
        if isinstance(before, RunnableBinding) and isinstance(made, RunnableBinding):
            made = before.model_copy(update={"bound": made.bound, "kwargs": {**before.kwargs, **made.kwargs}})
        return ControlledModel(made, self._controls)

    def _prompt(self, given: LanguageModelInput) -> LanguageModelInput:
        if self._controls.instruction is None:
            return given
        if isinstance(given, PromptValue):
            messages = given.to_messages()
        else:
            messages = convert_to_messages([given] if isinstance(given, str) else given)
        return self._controls.instructed(messages)


def _shaped(model: Model, controls: OutputControls, *, cap: bool) -> tuple[Model, int | None]:
    """The model as it is called, with what is bound to it, and the cap that it got."""
    if isinstance(model, BaseChatModel):
        chat, sent, put = controls.shaped(model, {}, cap=cap)
        return (chat.bind(**sent) if sent else chat), put
    if isinstance(model, RunnableBinding) and isinstance(model.bound, BaseChatModel):
        chat, sent, put = controls.shaped(model.bound, model.kwargs, cap=cap)
        return model.model_copy(update={"bound": chat, "kwargs": sent}), put
    raise TypeError(
        f"Output controls are put on a chat model, or one with something bound, not on a {type(model).__name__}: put "
        "retries, fallbacks and parsers behind them."
    )


def _again(config: RunnableConfig | None) -> RunnableConfig | None:
    """The same, without the id of the run that there was already."""
    return config if config is None else cast("RunnableConfig", {**config, "run_id": None})


def _safe(answer: AIMessage) -> AIMessage:
    return without_calls(answer) if was_cut(answer) else answer


def _is_held(chunk: AIMessage, held: list[AIMessageChunk]) -> bool:
    """Hold a chunk of a tool call back, and all that come after it."""
    if not isinstance(chunk, AIMessageChunk) or not (held or chunk.tool_call_chunks):
        return False
    held.append(chunk)
    return True


def _let_go(held: list[AIMessageChunk]) -> Iterator[AIMessageChunk]:
    """Give what was held back; of an answer that was cut, without its tool calls."""
    if not any(was_cut(chunk) for chunk in held):
        yield from held
        return
    first, *others = held
    whole = first + others if others else first
    safe = without_calls(whole)
    yield AIMessageChunk(
        content=safe.content,
        additional_kwargs=safe.additional_kwargs,
        response_metadata=safe.response_metadata,
        usage_metadata=safe.usage_metadata,
        id=safe.id,
        chunk_position=whole.chunk_position,
    )
