"""What the LangSmith tests run on: a chat model with a canned usage, graphs around it, and easy prices."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from time import sleep
from typing import Any

from langchain_core.callbacks import BaseCallbackHandler, CallbackManager
from langchain_core.language_models.base import LangSmithParams
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import RunnableLambda
from langchain_core.tools import tool
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langsmith import Client
from pydantic import Field

from langchain_agentcost.exporters.langsmith import LangSmithCostTracer
from langchain_agentcost.pricing import PriceBook
from langchain_agentcost.testing.collector import LangSmithCollector

PRICES = {
    "models": [
        {"model": "small", "input": "0.15", "cache_read": "0.075", "cache_write": "0.20", "output": "0.60"},
        {"model": "small", "service_tier": "priority", "input": "0.30", "cache_read": "0.15", "output": "1.20"},
        {"model": "asked-for", "input": "9", "output": "9"},
        {"model": "with-fees", "input": "1", "output": "2", "request": "0.005"},
    ],
    "tools": {"search": "0.004", "documents": "0.001"},
}
CACHED = {
    "input_tokens": 10_000,
    "output_tokens": 500,
    "total_tokens": 10_500,
    "input_token_details": {"cache_read": 8192},
}
CACHED_COST = Decimal("0.0011856")
"""1808 tokens at 0.15, 8192 at 0.075 and 500 at 0.60 USD a million."""


def book() -> PriceBook:
    """A price book with the prices above."""
    return PriceBook(PRICES)


class Canned(BaseChatModel):
    """A chat model that says what it was told to say, and reports the usage it was told to report."""

    reply: str = "fine"
    usage: Any = CACHED
    model: str = "small"
    answered_by: str | None = None
    copies: int = 1
    calls: list[dict[str, Any]] = Field(default_factory=list)
    error: Any = None
    inner: Any = None
    passes: str = "as it is"
    message_id: str | None = None

    @property
    def _llm_type(self) -> str:
        return "canned"

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        return LangSmithParams(ls_provider="canned", ls_model_name=self.model, ls_model_type="chat")

    def _generate(
        self, messages: list[BaseMessage], stop: Any = None, run_manager: Any = None, **kwargs: Any
    ) -> ChatResult:
        if self.inner is not None:
            return ChatResult(generations=[ChatGeneration(message=self._passed_on(messages, run_manager))])
        if self.error is not None:
            raise self.error
        return ChatResult(generations=[ChatGeneration(message=self._answer()) for _ in range(self.copies)])

    def _passed_on(self, messages: list[BaseMessage], run_manager: Any) -> AIMessage:
        """The answer of the inner model: as it is, or copied, or asked for with this call as the parent."""
        if self.passes == "as parent":
            manager = CallbackManager(handlers=run_manager.handlers, parent_run_id=run_manager.run_id)
            answer: AIMessage = self.inner.invoke(messages, {"callbacks": manager})
            return AIMessage("reworded", usage_metadata=answer.usage_metadata)
        answer = self.inner.invoke(messages)
        return answer.model_copy() if self.passes == "copied" else answer

    def _answer(self) -> AIMessage:
        named = {"model_name": self.answered_by} if self.answered_by else {}
        return AIMessage(
            self.reply,
            id=self.message_id,
            usage_metadata=self.usage,
            response_metadata=named,
            tool_calls=self.calls,
        )


class Streaming(Canned):
    """The same, word by word; the usage comes with the last chunk, as OpenAI sends it."""

    breaks_after: int | None = None

    def _stream(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> Iterator[ChatGenerationChunk]:
        run_manager = kwargs.get("run_manager") or (args[1] if len(args) > 1 else None)
        for number, word in enumerate(self.reply.split(" ")):
            if number == self.breaks_after:
                raise ConnectionError("the line broke")
            chunk = ChatGenerationChunk(message=AIMessageChunk(content=f"{word} "))
            if run_manager:
                run_manager.on_llm_new_token(chunk.text, chunk=chunk)
            yield chunk
        yield ChatGenerationChunk(message=AIMessageChunk(content="", usage_metadata=self.usage))


@tool
def search(query: str) -> str:
    """Search."""
    return f"found {query}"


def desk(model: BaseChatModel, *, name: str = "desk") -> CompiledStateGraph[Any, Any, Any, Any]:
    """A graph with a subgraph that calls a priced tool and the model, and a node that calls the model."""

    def work(state: MessagesState) -> dict[str, Any]:
        search.invoke({"query": "orders"})
        return draft(state)

    async def awork(state: MessagesState) -> dict[str, Any]:
        await search.ainvoke({"query": "orders"})
        return await adraft(state)

    def draft(state: MessagesState) -> dict[str, Any]:
        return {"messages": [model.invoke(state["messages"])]}

    async def adraft(state: MessagesState) -> dict[str, Any]:
        return {"messages": [await model.ainvoke(state["messages"])]}

    research = StateGraph(MessagesState).add_node("worker", RunnableLambda(work, awork)).add_edge(START, "worker")
    graph = StateGraph(MessagesState)
    graph.add_node("research", research.compile()).add_node("draft", RunnableLambda(draft, adraft))
    graph.add_edge(START, "research").add_edge("research", "draft")
    return graph.compile(name=name)


QUESTION: Any = {"messages": [("user", "Where is my order?")]}
RUNS_OF_THE_DESK = 10
"""The root, research and its graph, worker and draft with a function each, search, two model runs."""


class Traced:
    """A tracer on a collector, and what it posted."""

    def __init__(self, collector: LangSmithCollector, **options: Any) -> None:
        self.collector = collector
        self.client = collector.client()
        if self.client.info.instance_flags == {"zstd_compression_enabled": True}:
            _wait_for_compression(self.client)
        self.tracer = LangSmithCostTracer(
            **{"client": self.client, "project_name": "tests", "prices": book(), **options}
        )

    @property
    def callbacks(self) -> list[BaseCallbackHandler]:
        """What to put into a config."""
        return [self.tracer]

    def runs(self, kind: str | None = None) -> list[Any]:
        """What was posted, in the order of the trace."""
        self.client.flush()
        posted = sorted(self.collector.runs().values(), key=lambda run: str(run["dotted_order"]))
        return [run for run in posted if kind in (None, run["run_type"])]

    def root(self) -> Any:
        """The only root run."""
        (root,) = (run for run in self.runs() if not run.get("parent_run_id"))
        return root


def _wait_for_compression(client: Client) -> None:
    """A client sends plain parts until its background thread has made a compressor."""
    for _ in range(500):
        if client.compressed_traces is not None:
            return
        sleep(0.01)
    raise TimeoutError("the client never began to compress")


def metadata(run: Any) -> dict[str, Any]:
    """A run's metadata."""
    found: dict[str, Any] = run["extra"]["metadata"]
    return found


def costs(run: Any) -> dict[str, Any]:
    """The costs on a run; empty if there are none."""
    usage = metadata(run).get("usage_metadata") or {}
    return {key: value for key, value in usage.items() if "cost" in key}


def exactly(usd: float) -> Decimal:
    """The decimal that a JSON number shows."""
    return Decimal(str(usd))
