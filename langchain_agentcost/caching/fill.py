"""One run of a graph that may fill a cache: what it gave, what it wrote, what it consumed, and what speaks against it.

Everything is learnt from LangChain's callbacks, so nothing is seen of what raw threads and nested `callbacks=[…]` hide.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import wraps
from itertools import count
from typing import TYPE_CHECKING, Any, TypeVar, Union, cast
from uuid import UUID
from weakref import ref

from langchain_core.messages import AIMessage, BaseMessage, ToolMessage
from langchain_core.outputs import LLMResult
from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.config import merge_configs
from langchain_core.utils.utils import LC_ID_PREFIX
from langgraph.callbacks import GraphCallbackHandler, GraphInterruptEvent, GraphResumeEvent
from langgraph.errors import GraphBubbleUp
from langgraph.pregel.protocol import PregelProtocol

from langchain_agentcost.caching.answer import complete
from langchain_agentcost.saving import CACHE_HIT, SparedCall
from langchain_agentcost.usage import Usage, looks_cached

if TYPE_CHECKING:
    from langchain_agentcost.caching.tools import ToolCachePolicy

IsRead = Callable[[str, Mapping[str, Any]], bool]
"""Whether a tool only reads, by its name and its metadata."""

ReadTools = Union[Collection[str], Mapping[str, "ToolCachePolicy"], IsRead]  # noqa: UP007  # a name that is not imported
"""The tools that only read: their names, their policies by name, or a rule."""

Graph = PregelProtocol[Any, Any, Any, Any]
"""A compiled graph."""

_INTERRUPT = "__interrupt__"
"""Under which name LangGraph streams what it was interrupted by."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fill:
    """A run of a graph that ended.

    Args:
        output: What the graph gave.
        written: The names of the channels that its nodes wrote.
        spared: The calls that a hit takes the place of.
        refusal: Why the output may not be served again; None where it may.
    """

    output: Any
    written: frozenset[str]
    spared: tuple[SparedCall, ...]
    refusal: str | None


def run(graph: Graph, state: Any, config: RunnableConfig, *, is_read: IsRead) -> Fill:
    """Run a graph as its `invoke` does, and watch it.

    Args:
        graph: The graph.
        state: What it is given.
        config: The config of the run that this is a part of.
        is_read: Which tools only read.

    Raises:
        BaseException: Whatever the graph raises.
    """
    recorder, stream = FillRecorder(is_read), _Stream()
    for mode, payload in graph.stream(state, _watched(config, recorder), stream_mode=["updates", "values"]):
        stream.take(mode, payload)
    return stream.fill(recorder)


async def arun(
    graph: PregelProtocol[Any, Any, Any, Any], state: Any, config: RunnableConfig, *, is_read: IsRead
) -> Fill:
    """Run a graph as its `ainvoke` does, and watch it; see `run`."""
    recorder, stream = FillRecorder(is_read), _Stream()
    async for mode, payload in graph.astream(state, _watched(config, recorder), stream_mode=["updates", "values"]):
        stream.take(mode, payload)
    return stream.fill(recorder)


def _watched(config: RunnableConfig, recorder: FillRecorder) -> RunnableConfig:
    return merge_configs(config, {"callbacks": [recorder]})


class _Stream:
    """What a graph streams, put together as `Pregel.invoke` does it."""

    __slots__ = ("_interrupts", "_output", "_written")

    def __init__(self) -> None:
        self._output: Any = None
        self._interrupts: list[Any] = []
        self._written: set[str] = set()

    def take(self, mode: str, payload: Any) -> None:
        """Take the next piece."""
        if mode == "values":
            self._output = payload
            return
        self._interrupts.extend(payload.get(_INTERRUPT) or ())
        for update in payload.values():
            for part in update if isinstance(update, list) else (update,):
                if isinstance(part, Mapping):
                    self._written.update(part)

    def fill(self, recorder: FillRecorder) -> Fill:
        """Give what the run came to."""
        output, refusal = self._output, recorder.refusal
        if self._interrupts:
            output = {**(output if isinstance(output, dict) else {}), _INTERRUPT: self._interrupts}
            refusal = "interrupted"
        return Fill(output=output, written=frozenset(self._written), spared=recorder.spared, refusal=refusal)


Event = TypeVar("Event", bound=Callable[..., None])


def _or_refuse(event: Event) -> Event:
    """Refuse a run of which something was not understood: LangChain would swallow the error, and the run be kept."""

    @wraps(event)
    def guarded(self: FillRecorder, *args: Any, **kwargs: Any) -> None:
        try:
            event(self, *args, **kwargs)
        except Exception:  # noqa: BLE001  # the callback boundary, and rules of the user's own
            self.refuse("not_understood")

    return cast("Event", guarded)


class FillRecorder(GraphCallbackHandler):
    """Learns from the callbacks of a run what it consumed and did. Made for one run, with all its threads and tasks.

    A call that was itself served from a cache was not paid for, and is not spared again. A model that only passes a
    call on to another one, whose events were seen, does not count twice.

    Args:
        is_read: Which tools only read.

    Attributes:
        refusal: The first thing that speaks against serving the run's output again; None where nothing does.
    """

    run_inline = True  # an async run waits for it: when the run has ended, everything is in

    def __init__(self, is_read: IsRead) -> None:
        self.refusal: str | None = None
        self._is_read = is_read
        self._spared: list[SparedCall] = []
        self._models: dict[UUID, _ModelCall] = {}
        self._tools: dict[UUID, str] = {}
        self._served: set[UUID] = set()
        self._answers: dict[str, tuple[int, ref[AIMessage]]] = {}
        self._numbers = count()

    @property
    def spared(self) -> tuple[SparedCall, ...]:
        """The calls that were made and paid for, in the order in which they ended."""
        return tuple(self._spared)

    @_or_refuse
    def on_chat_model_start(
        self, serialized: dict[str, Any], messages: list[list[BaseMessage]], *, run_id: UUID, **event: Any
    ) -> None:
        """Open a chat model's call."""
        self._model_started(run_id, event)

    @_or_refuse
    def on_llm_start(self, serialized: dict[str, Any], prompts: list[str], *, run_id: UUID, **event: Any) -> None:
        """Open a text model's call."""
        self._model_started(run_id, event)

    @_or_refuse
    def on_llm_end(self, response: LLMResult, *, run_id: UUID, **event: Any) -> None:
        """Count a model's call, unless it was a cache's or another model's."""
        call = self._models.pop(run_id, None)
        if call is None or call.wraps:
            return
        message, usage = Usage.from_llm_result(response, batch_size=call.batch_size)
        if message is not None and not complete(message):
            self.refuse("cut_short")
        if looks_cached(response) or run_id in self._served or self._passed_on(message, call.number):
            return
        self._spared.append(SparedCall(model=_answered_by(message) or call.model, provider=call.provider, usage=usage))

    def on_llm_error(self, error: BaseException, *, run_id: UUID, **event: Any) -> None:
        """Forget a call that failed: a hit does not spare what a retry or a fallback might not need again."""
        self._models.pop(run_id, None)

    @_or_refuse
    def on_tool_start(self, serialized: dict[str, Any] | None, input_str: str, *, run_id: UUID, **event: Any) -> None:
        """Note that a tool runs; whatever is not known to read may write."""
        name = str((serialized or {}).get("name") or event.get("name") or "tool")
        self._tools[run_id] = name
        if not self._is_read(name, event.get("metadata") or {}):
            self.refuse("write_tool")

    @_or_refuse
    def on_tool_end(self, output: Any, *, run_id: UUID, **event: Any) -> None:
        """Count a tool's call."""
        name = self._tools.pop(run_id, None)
        if isinstance(output, ToolMessage) and output.status == "error":
            self.refuse("tool_failed")
        elif name is not None and run_id not in self._served:
            self._spared.append(SparedCall(tool=name))

    def on_tool_error(self, error: BaseException, *, run_id: UUID, **event: Any) -> None:
        """Note that a tool failed: what was made of that is no answer for others. A pause is no failure."""
        self._tools.pop(run_id, None)
        if not isinstance(error, GraphBubbleUp):
            self.refuse("tool_failed")

    def on_retriever_error(self, error: BaseException, **event: Any) -> None:
        """Note that a retriever failed, as if it were a tool."""
        self.refuse("tool_failed")

    def on_custom_event(self, name: str, data: Any, *, run_id: UUID, **event: Any) -> None:
        """Note which calls a cache within the run has answered."""
        if name == CACHE_HIT:
            self._served.add(run_id)

    def on_interrupt(self, event: GraphInterruptEvent) -> None:
        """Note that a person was asked: the answer holds for this run alone."""
        self.refuse("interrupted")

    def on_resume(self, event: GraphResumeEvent) -> None:
        """Note that only the rest of a run was seen."""
        self.refuse("resumed")

    def refuse(self, reason: str) -> None:
        """Say that the run is not to be served again; the first reason stays."""
        self.refusal = self.refusal or reason

    def _model_started(self, run_id: UUID, event: Mapping[str, Any]) -> None:
        outer = self._models.get(event.get("parent_run_id"))  # type: ignore[arg-type]  # None is in no dictionary of ids
        if outer is not None:
            outer.wraps = True
        metadata = event.get("metadata") or {}
        sent = event.get("invocation_params") or {}
        asked = metadata.get("ls_model_name") or sent.get("model") or sent.get("model_name")
        size = event.get("batch_size") or 1
        self._models[run_id] = _ModelCall(next(self._numbers), asked, metadata.get("ls_provider"), size)

    def _passed_on(self, message: AIMessage | None, number: int) -> bool:
        """Whether an answer came from a call that began later and ended earlier: its sibling in a graph's node.

        It is the same message, or it has the id that langchain-core makes of the other call's run.
        """
        if message is None or message.id is None:
            return False
        began, earlier = self._answers.get(message.id) or (-1, None)
        self._answers[message.id] = (number, ref(message))
        same = earlier is not None and (message.id.startswith(LC_ID_PREFIX) or earlier() is message)
        return same and began >= number


@dataclass(slots=True)
class _ModelCall:
    """A model's call under way.

    Args:
        number: The how-manieth call of the run it is.
        model: The model that is asked.
        provider: Its provider.
        batch_size: How many prompts are in its batch.
        wraps: Whether another model's call is a part of it.
    """

    number: int
    model: str | None
    provider: str | None
    batch_size: int
    wraps: bool = False


def _answered_by(message: AIMessage | None) -> str | None:
    """The model that answered, as the provider names it."""
    metadata = message.response_metadata if message is not None else {}
    return metadata.get("model_name") or metadata.get("model")


def reads(tools: ReadTools) -> IsRead:
    """Give the rule by which a tool only reads.

    Args:
        tools: Names, policies by name, or a rule that takes the place of this one. What is not in it reads where MCP's
            `readOnlyHint` says so (MCP 2025-06-18, "Tool annotations").

    Example:
        >>> rule = reads(["search"])
        >>> rule("search", {}), rule("send_mail", {}), rule("list_files", {"readOnlyHint": True})
        (True, False, True)
    """
    if callable(tools):
        return tools
    if isinstance(tools, Mapping):
        policies = dict(tools)
        return lambda name, said: policies[name].effect != "write" if name in policies else _hinted(said)
    named = frozenset(tools)
    return lambda name, said: name in named or _hinted(said)


def _hinted(said: Mapping[str, Any]) -> bool:
    annotations = said.get("annotations")
    hints = {**(annotations if isinstance(annotations, Mapping) else {}), **said}
    return hints.get("readOnlyHint") is True and hints.get("destructiveHint") is not True
