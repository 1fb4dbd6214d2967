"""A help desk to put caches before: its models, its agent, and embeddings and verifiers that are easy to foresee."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from zlib import crc32

from langchain.agents import create_agent
from langchain_core.embeddings import Embeddings
from langchain_core.messages import AIMessage, BaseMessage, ToolMessage, message_chunk_to_message
from langchain_core.runnables import RunnableConfig, RunnableLambda
from langchain_core.tools import tool
from langgraph.graph import START, MessagesState, StateGraph

from langchain_agentcost import CostMeter, Entry
from langchain_agentcost.caching.cached_runnable import CachedRunnable
from langchain_agentcost.caching.error_budget import ErrorBudget
from langchain_agentcost.caching.semantic import SemanticCache
from langchain_agentcost.caching.store import Audit
from langchain_agentcost.testing import FakeCounts, FakeMeteredChatModel

COUNTS = FakeCounts(3_000, 100)
"""What each call of the desk's model consumes."""

EAGER = ErrorBudget(0.3, confidence=0.8, audit_rate=0.001, window=400)
"""A budget that little evidence proves."""


@tool
def track(order: str) -> str:
    """Say where an order is."""
    return f"Order {order} is in Lyon."


@tool
def cancel(order: str) -> str:
    """Cancel an order."""
    return f"Order {order} is cancelled."


def looks_once(messages: list[BaseMessage]) -> AIMessage:
    """Look the order up, then answer."""
    if isinstance(messages[-1], ToolMessage):
        return AIMessage("Your order is in Lyon.")
    return AIMessage("", tool_calls=[{"name": "track", "args": {"order": "7"}, "id": f"call-{len(messages)}"}])


def desk_model(
    answers: Sequence[str | AIMessage] | Callable[[list[BaseMessage]], str | AIMessage] = ("Within 30 days.",),
    **changes: Any,
) -> FakeMeteredChatModel:
    """A model with a price that consumes COUNTS."""
    return FakeMeteredChatModel(**{"answers": answers, "counts": COUNTS, "model": "gpt-4.1", **changes})


def echo(messages: list[BaseMessage]) -> str:
    """Answer each question differently."""
    return f"You asked: {messages[-1].text}"


def agent_of(model: Any, *middleware: Any, **options: Any) -> Any:
    """An agent with a tool."""
    return create_agent(model, **{"tools": [track], **options}, middleware=middleware)


def exact_cache(**options: Any) -> SemanticCache:
    """A cache of equal prompts, shared with everybody."""
    return SemanticCache(**{"embeddings": False, "scope": "global", **options})


def caller(tenant: str | None = "acme", user: str | None = "ann", **more: Any) -> RunnableConfig:
    """The config of a caller's run."""
    return {"metadata": {"tenant": tenant, "user": user, **more}}


class Words(Embeddings):
    """Texts are near by the words that they share."""

    model = "words"

    def embed_query(self, text: str) -> list[float]:
        """Count words, by their hash."""
        vector = [0.0] * 64
        for word in text.lower().replace("?", " ").split():
            vector[crc32(word.encode("utf-8", "surrogatepass")) % 64] += 1.0
        return vector

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Embed each."""
        return [self.embed_query(text) for text in texts]


class AllAlike(Words):
    """Everything has one vector."""

    model = "all alike"

    def embed_query(self, text: str) -> list[float]:
        """Give it."""
        return [1.0, 0.0]


class Sure:
    """A verifier that is always as sure."""

    def __init__(self, score: float = 1.0, name: str = "sure") -> None:
        self.name = name
        self._score = score

    def score(self, a: str, b: str, similarity: float) -> float:
        """Say so."""
        return self._score


def trusting(cache: SemanticCache, *, right: int = 200, score: float = 1.0) -> SemanticCache:
    """The cache, as if it had been proven right so often."""
    for _ in range(right):
        cache.evidence.record(Audit(score, right=True, at_s=0.0))
    return cache


def alike_cache(**options: Any) -> SemanticCache:
    """A cache that takes every question for every other one, unless a rule forbids."""
    return SemanticCache(
        **{"embeddings": AllAlike(), "verifier": Sure(), "budget": EAGER, "scope": "global", **options}
    )


def prepared(cache: SemanticCache, model: Any, config: RunnableConfig | None = None) -> SemanticCache:
    """The cache, serving similar questions: the series has begun, and the evidence is there."""
    asked = CachedRunnable(model, cache)
    for text in ("Could parcels be tracked?", "Might parcels be traced?"):
        asked.invoke(text, config)
    return trusting(cache)


def booked(meter: CostMeter, kind: str) -> list[Entry]:
    """The meter's entries of a kind."""
    return list(meter.ledger.entries({"kind": kind}))


def saved_nano(entry: Entry) -> int:
    """What an entry says was saved."""
    assert entry.saved is not None
    return entry.saved.total_nano


def texts(state: Mapping[str, Any]) -> list[str]:
    """What the messages of a state say."""
    return [message.text for message in state["messages"]]


QUESTION = "How long may I return a parcel?"


def cached(model: Any = None, **options: Any) -> CachedRunnable:
    """A model behind a cache of equal prompts."""
    return CachedRunnable(desk_model() if model is None else model, exact_cache(**options))


def calls(asked: CachedRunnable) -> int:
    """How often the model was really called."""
    return len(asked.model.prompts)  # type: ignore[attr-defined]


def added_up(chunks: list[Any]) -> AIMessage:
    """The message that chunks make."""
    whole = chunks[0]
    for chunk in chunks[1:]:
        whole += chunk
    message = message_chunk_to_message(whole)
    assert isinstance(message, AIMessage)
    return message


async def gathered(asked: Any, config: Any = None) -> AIMessage:
    """The message that an async stream adds up to."""
    return added_up([chunk async for chunk in asked.astream(QUESTION, config)])


WAYS: dict[str, Callable[[Any, Any], Any]] = {
    "invoke": lambda asked, config: asked.invoke(QUESTION, config),
    "stream": lambda asked, config: added_up(list(asked.stream(QUESTION, config))),
    "batch": lambda asked, config: asked.batch([QUESTION], config)[0],
    "ainvoke": lambda asked, config: asyncio.run(asked.ainvoke(QUESTION, config)),
    "astream": lambda asked, config: asyncio.run(gathered(asked, config)),
    "abatch": lambda asked, config: asyncio.run(asked.abatch([QUESTION], config))[0],
}
"""How a model is asked."""


def graph_of(asked: Any) -> Any:
    """A graph with one node that asks a model, from sync and from async code."""

    def answer(state: MessagesState) -> Any:
        return {"messages": [asked.invoke(state["messages"])]}

    async def aanswer(state: MessagesState) -> Any:
        return {"messages": [await asked.ainvoke(state["messages"])]}

    return (
        StateGraph(MessagesState)
        .add_node("answer", RunnableLambda(answer, aanswer))
        .add_edge(START, "answer")
        .compile()
    )
