"""LangChain's and LangGraph's events, each handed to the books."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any, TypeVar, cast
from uuid import UUID

from langchain_core.messages import BaseMessage
from langchain_core.outputs import LLMResult
from langgraph.callbacks import GraphCallbackHandler, GraphInterruptEvent, GraphResumeEvent
from langgraph.errors import GraphBubbleUp
from langgraph.types import Command

from langchain_agentcost.meter.block import in_a_block, seen_by
from langchain_agentcost.meter.books import Books
from langchain_agentcost.meter.enforcer import Enforcer
from langchain_agentcost.meter.journal import Journal
from langchain_agentcost.saving import CACHE_HIT
from langchain_agentcost.uncounted import Prompt

Event = TypeVar("Event", bound=Callable[..., None])


def _harmless(event: Event) -> Event:
    """Keep a fault of the meter away from the user's run: the handler may raise on purpose, never by accident."""

    @wraps(event)
    def guarded(self: MeterEvents, *args: Any, **kwargs: Any) -> None:
        try:
            event(self, *args, **kwargs)
        except Exception as error:  # noqa: BLE001  # the callback boundary
            self.journal.trouble(event.__name__, error)

    return cast("Event", guarded)


def _stopping(event: Event) -> Event:
    """Keep a fault of the meter away from the user's run, but hold a call back that limits could not look at."""

    @wraps(event)
    def guarded(self: MeterEvents, *args: Any, **kwargs: Any) -> None:
        try:
            event(self, *args, **kwargs)
        except GraphBubbleUp:  # a limit, or a person who is asked
            raise
        except Exception as error:  # noqa: BLE001  # the callback boundary
            self.journal.trouble(event.__name__, error)
            if self.enforcer is not None:
                self.enforcer.hold_back(error)

    return cast("Event", guarded)


class MeterEvents(GraphCallbackHandler):
    """The callbacks of a meter: sync and inline, so that a limit stops sync and async calls alike.

    Attributes:
        off: Whether the meter is deaf.
        books: What is open, and how it is booked.
        journal: Who warns.
        enforcer: What holds the limits; None where there are none.
    """

    run_inline = True
    raise_error = True

    off: bool
    books: Books
    journal: Journal
    enforcer: Enforcer | None

    def hold_blocks(self) -> None:
        """Hold calls to the `budget` blocks that they are in."""
        raise NotImplementedError

    @property
    def ignore_llm(self) -> bool:
        """Whether the kill switch makes the meter deaf."""
        return self.off

    ignore_chat_model = ignore_chain = ignore_agent = ignore_retriever = ignore_custom_event = ignore_llm

    @_harmless
    def on_chain_start(
        self,
        serialized: dict[str, Any] | None,
        inputs: Any,
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        **kwargs: Any,
    ) -> None:
        """Note where a run belongs."""
        run = self.books.runs.opened(run_id, parent_run_id, kwargs.get("name"), kwargs.get("metadata"))
        if isinstance(inputs, Command):
            run.resumed = inputs.resume is not None
        if self.enforcer is not None and parent_run_id is not None:
            self.enforcer.chain_started(run, kwargs.get("metadata"), kwargs.get("tags"))
        elif in_a_block():
            seen_by(self.enforcer or self)

    @_harmless
    def on_chain_end(self, outputs: Any, *, run_id: UUID, **kwargs: Any) -> None:
        """Note that a run ended."""
        self.books.closed(run_id)

    @_harmless
    def on_chain_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        """Note that a run ended."""
        self.books.closed(run_id)

    @_harmless
    def on_interrupt(self, event: GraphInterruptEvent) -> None:
        """Note where a graph waits for a human."""
        self.books.runs.paused(event.run_id, event.checkpoint_id)

    @_harmless
    def on_resume(self, event: GraphResumeEvent) -> None:
        """Go on with the workflow run that waited."""
        recall = self.enforcer.recall if self.enforcer is not None else lambda _: None
        self.books.runs.resumed(event.run_id, event.checkpoint_id, recall)

    @_stopping
    def on_chat_model_start(
        self, serialized: dict[str, Any], messages: list[list[BaseMessage]], *, run_id: UUID, **kwargs: Any
    ) -> None:
        """Open a model call, unless a limit stops it."""
        self._open_model(run_id, messages[0] if messages else (), kwargs)

    @_stopping
    def on_llm_start(self, serialized: dict[str, Any], prompts: list[str], *, run_id: UUID, **kwargs: Any) -> None:
        """Open a call of an older text model, unless a limit stops it."""
        self._open_model(run_id, prompts[0] if prompts else "", kwargs)

    @_harmless
    def on_llm_new_token(self, token: str | list[str | dict[str, Any]], *, run_id: UUID, **kwargs: Any) -> None:
        """Count what streams by."""
        self.books.saw_token(run_id, token)

    @_harmless
    def on_llm_end(self, response: LLMResult, *, run_id: UUID, **kwargs: Any) -> None:
        """Book a model call that was answered."""
        self.books.model_ended(run_id, response, kwargs)

    @_harmless
    def on_llm_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        """Book a model call that failed or was left."""
        self.books.model_failed(run_id, error, kwargs)

    @_stopping
    def on_tool_start(self, serialized: dict[str, Any] | None, input_str: str, *, run_id: UUID, **kwargs: Any) -> None:
        """Open a tool call."""
        self.books.tool_started(run_id, "tool", _name(serialized, kwargs), kwargs)

    @_harmless
    def on_tool_end(self, output: Any, *, run_id: UUID, **kwargs: Any) -> None:
        """Book a tool call that returned, with a result or with an error message."""
        self.books.tool_ended(run_id, output, kwargs, failed=getattr(output, "status", None) == "error")

    @_harmless
    def on_tool_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        """Book a tool call that raised."""
        self.books.tool_failed(run_id, error, kwargs)

    @_stopping
    def on_retriever_start(self, serialized: dict[str, Any] | None, query: str, *, run_id: UUID, **kwargs: Any) -> None:
        """Open a retriever call."""
        self.books.tool_started(run_id, "retriever", _name(serialized, kwargs), kwargs)

    @_harmless
    def on_retriever_end(self, documents: Any, *, run_id: UUID, **kwargs: Any) -> None:
        """Book a retriever call."""
        self.books.tool_ended(run_id, documents, kwargs)

    @_harmless
    def on_retriever_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        """Book a retriever call that raised."""
        self.books.tool_failed(run_id, error, kwargs)

    @_harmless
    def on_custom_event(self, name: str, data: Any, *, run_id: UUID, **kwargs: Any) -> None:
        """Book a hit of a cache; other events are none of ours."""
        if name == CACHE_HIT:
            self.books.cache_served(run_id, data, kwargs)

    def _open_model(self, run_id: UUID, prompt: Prompt, event: Mapping[str, Any]) -> None:
        if self.enforcer is None and in_a_block():
            self.hold_blocks()
        self.books.model_started(run_id, prompt, event)


def _name(serialized: Mapping[str, Any] | None, event: Mapping[str, Any]) -> str:
    """The name of a tool or retriever, wherever this version of it puts it."""
    named = serialized or {}
    path = named.get("id") or ["unnamed"]
    return str(named.get("name") or event.get("name") or path[-1])
