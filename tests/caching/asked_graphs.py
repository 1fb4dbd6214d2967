"""Small graphs to be cached, and a handler that hears what caches tell."""

from __future__ import annotations

from typing import Any, TypedDict
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.runnables import RunnableConfig
from langgraph.graph import START, MessagesState, StateGraph

from langchain_agentcost.saving import CACHE_HIT, CacheHit


class Asked(TypedDict, total=False):
    """A question, what is known beside it, and the answer."""

    question: str
    known: str
    answer: str


class Talk(MessagesState):
    """A conversation about a question."""

    question: str


class Listener(BaseCallbackHandler):
    """Hears of model calls and of hits."""

    run_inline = True

    def __init__(self) -> None:
        self.model_calls = 0
        self.hits: list[CacheHit] = []

    def on_chat_model_start(self, serialized: dict[str, Any], messages: list[list[BaseMessage]], **event: Any) -> None:
        """Count a call."""
        self.model_calls += 1

    def on_custom_event(self, name: str, data: Any, *, run_id: UUID, **event: Any) -> None:
        """Take a hit."""
        if name == CACHE_HIT:
            self.hits.append(CacheHit.from_event(data))


def of(
    tenant: str | None = "acme",
    user: str | None = "ann",
    *,
    thread: str = "1",
    listener: BaseCallbackHandler | None = None,
    **configurable: Any,
) -> RunnableConfig:
    """The config of somebody's call."""
    metadata = {name: value for name, value in {"tenant": tenant, "user": user}.items() if value is not None}
    callbacks = [listener] if listener is not None else []
    return {"metadata": metadata, "configurable": {"thread_id": thread, **configurable}, "callbacks": callbacks}


def calling(tool: str, **args: Any) -> AIMessage:
    """A model's answer that calls a tool."""
    return AIMessage("", tool_calls=[{"name": tool, "args": args, "id": "call_1"}])


def one_node(node: Any, schema: Any = Asked, **compiled: Any) -> Any:
    """A graph of one node."""
    return StateGraph(schema).add_node("work", node).add_edge(START, "work").compile(**compiled)


def parent_of(node: Any, schema: Any = Asked, **compiled: Any) -> Any:
    """A graph with a subgraph in it."""
    return StateGraph(schema).add_node("research", node).add_edge(START, "research").compile(**compiled)
