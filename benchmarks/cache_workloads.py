"""What each cache saves, and what it serves wrongly: a support stream and an invoice graph, cold and then warm.

Each workload runs through each cache of the package, through what people use instead, and through nothing, on the same
requests. Models are metered fakes that answer what is right for a tenant and a question, so that a wrong hit is known;
tools look into a register that changes. `net_usd` is what was really paid less than without a cache, on the same pass,
the cache's own calls included; `saved_usd` is what the meter booked as saved. The fakes sleep: latencies show how many
of them were waited for.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from statistics import fmean
from typing import Any, Literal, NamedTuple, TypedDict

from cache_peers import ByArguments, Cosine
from cache_traffic import Vendors, invoices, questions
from langchain_core.caches import InMemoryCache
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage
from langchain_core.runnables import Runnable, RunnableConfig
from langchain_core.tools import tool
from langgraph.cache.memory import InMemoryCache as NodeCache
from langgraph.graph import MessagesState, StateGraph
from langgraph.prebuilt import ToolNode
from langgraph.types import CachePolicy
from rows import Row, parser, publish

from langchain_agentcost import CostMeter
from langchain_agentcost.caching import (
    AgentCostLLMCache,
    CachedRunnable,
    ErrorBudget,
    SemanticCache,
    ToolCache,
    ToolCachePolicy,
    cached_subgraph,
)
from langchain_agentcost.testing import FakeMeteredChatModel

MODEL_S, TOOL_S = 0.01, 0.005
"""How long a fake model and a fake tool take, in seconds."""

LOOK_UP_USD = Decimal("0.002")

Handle = Callable[[Any, RunnableConfig], str]
"""Answers a request."""


@dataclass
class System:
    """One way to serve a workload.

    Args:
        name: Its name.
        handle: Answers a request.
        hits: Gives how many hits there were so far; None counts those that the meter saw.
    """

    name: str
    handle: Handle
    hits: Callable[[], int] | None = None


@dataclass
class Workload:
    """Requests, and what is right.

    Args:
        name: Its name.
        cache: Which of the three caches it is about.
        passes: The requests of the cold and of the warm pass.
        right: Gives the right answer to a request, at the time at which it is made.
        systems: The systems, the one without a cache first.
        again: Has the world begin anew, for the next system.
    """

    name: str
    cache: Literal["model", "tool", "subgraph"]
    passes: Sequence[Sequence[Any]]
    right: Callable[[Any], str]
    systems: Sequence[System]
    again: Callable[[], object] = lambda: None


def main(arguments: Sequence[str] | None = None) -> None:
    """Run all workloads."""
    options = parser(__doc__)
    options.add_argument("--requests", type=int, default=1_500, metavar="N", help="requests a pass (1,500)")
    given = options.parse_args(arguments)
    publish("cache_workloads", rows(given.requests), given.json)


def rows(number: int) -> list[Row]:
    """Give the rows of all workloads, with so many requests a pass."""
    few = max(12, number // 5)
    made = [
        support_answers(number),
        invoice_answers(few),
        support_look_ups(few),
        invoice_look_ups(few),
        support_subgraph(few),
        invoice_subgraph(few),
    ]
    return [row for workload in made for row in _rows(workload)]


def _rows(workload: Workload) -> list[Row]:
    """Serve the passes with each system; the first one is without a cache."""
    found: list[Row] = []
    paid: list[Decimal] = []
    for system in workload.systems:
        workload.again()
        for number, requests in enumerate(workload.passes):
            row = _served(workload, system, requests)
            if system is workload.systems[0]:
                paid.append(row["cost_usd"])
            row = {**row, "pass": ("cold", "warm")[number], "net_usd": paid[number] - row["cost_usd"]}
            found.append(row)
    return found


def _served(workload: Workload, system: System, requests: Sequence[Any]) -> dict[str, Any]:
    """Serve a pass."""
    wrong, took, before = 0, [], system.hits() if system.hits is not None else 0
    with CostMeter(prices={"tools": {"look_up": LOOK_UP_USD}}) as meter:
        for number, request in enumerate(requests):
            config = _config(meter, request, number)
            right = workload.right(request)
            started = time.perf_counter()
            answer = system.handle(request, config)
            took.append(time.perf_counter() - started)
            wrong += answer != right
        total = meter.report(by="tenant").total
    hits = total.cache_hits if system.hits is None else system.hits() - before
    return {
        "system": system.name,
        "workload": workload.name,
        "cache": workload.cache,
        "pass": "",
        "hits": hits,
        "hit_rate_pct": 100 * hits / len(requests),
        "wrong_hits": wrong,
        "cost_usd": total.cost.usd,
        "net_usd": Decimal(),
        "saved_usd": total.saved.usd,
        "latency_ms": 1000 * fmean(took),
        "n": len(requests),
    }


def _config(meter: CostMeter, request: Any, number: int) -> RunnableConfig:
    named = {"tenant": request.tenant, "user": getattr(request, "user", "mailroom"), "session": f"s{number}"}
    return RunnableConfig(callbacks=meter.callbacks, metadata=named)


# --- answers of a model ------------------------------------------------------------------------------------------


def support_answers(number: int) -> Workload:
    """A stream of questions, each answered by one model call."""
    passes = [questions(number, seed=1), questions(number, seed=2)]
    right = {(request.tenant, request.text): request.answer for requests in passes for request in requests}
    return _answers("support stream", passes, right, lambda request: request.text)


def invoice_answers(number: int) -> Workload:
    """A stream of invoices, each read by one model call."""
    both = list(invoices(2 * number, seed=3))
    passes = [both[:number], both[number:]]
    right = {(invoice.tenant, invoice.text): f"{invoice.tenant}: {invoice.total}" for invoice in both}
    return _answers("invoices", passes, right, lambda invoice: invoice.text)


def _answers(
    name: str, passes: Sequence[Sequence[Any]], right: dict[tuple[str, str], str], text: Callable[[Any], str]
) -> Workload:
    def answer(messages: list[BaseMessage]) -> str:
        return right[messages[0].text.rpartition(" ")[2], messages[-1].text]

    def system(name: str, wrap: Callable[[FakeMeteredChatModel], Runnable[Any, AIMessage]], **given: Any) -> System:
        model = wrap(FakeMeteredChatModel(answers=answer, latency_s=MODEL_S))

        def handle(request: Any, config: RunnableConfig) -> str:
            prompt = [SystemMessage(f"You work for {request.tenant}"), HumanMessage(text(request))]
            return str(model.invoke(prompt, config).text)

        return System(name, handle, **given)

    exact = SemanticCache(embeddings=False, scope="tenant", allow=["timely"])
    similar = SemanticCache(scope="tenant", allow=["timely"], budget=ErrorBudget(0.05))
    naive = {share: Cosine(share) for share in (0.8, 0.9)}
    return Workload(
        name,
        "model",
        passes,
        lambda request: right[request.tenant, text(request)],
        [
            system("no cache", lambda model: model),
            system("langchain InMemoryCache", lambda model: model.model_copy(update={"cache": InMemoryCache()})),
            *(
                system(f"cosine {share} on the last message", cache.around, hits=cache.count)
                for share, cache in naive.items()
            ),
            system(
                "AgentCostLLMCache", lambda model: model.model_copy(update={"cache": AgentCostLLMCache(scope="global")})
            ),
            system("SemanticCache, equal prompts", lambda model: CachedRunnable(model, exact)),
            system("SemanticCache, at most 5 % wrong", lambda model: CachedRunnable(model, similar)),
        ],
    )


# --- results of tools --------------------------------------------------------------------------------------------


class Look(NamedTuple):
    """A tool call: of every eight or so, one changes what the others read.

    Args:
        tenant: Whose register.
        vendor: Which entry.
        moves: Whether it is changed.
    """

    tenant: str
    vendor: int
    moves: bool


def support_look_ups(number: int) -> Workload:
    """Look-ups that a support desk makes, with changes in between by customers."""
    return _look_ups("support stream", [_looks(number, seed=5, moves=0.12), _looks(number, seed=6, moves=0.12)])


def invoice_look_ups(number: int) -> Workload:
    """Look-ups of vendors, which rarely move."""
    return _look_ups("invoices", [_looks(number, seed=7, moves=0.02), _looks(number, seed=8, moves=0.02)])


def _looks(number: int, *, seed: int, moves: float) -> list[Look]:
    dice = random.Random(seed)  # noqa: S311  # traffic, not a secret
    return [
        Look(invoice.tenant, invoice.vendor, dice.random() < moves)
        for invoice in invoices(number, seed=seed, again=0.6)
    ]


def _look_ups(name: str, passes: Sequence[Sequence[Look]]) -> Workload:
    reading = ToolCachePolicy("read", scope="tenant", tags=("vendor:{vendor}",), vary_on=("metadata.tenant",))
    heedful = ToolCache({"look_up": reading, "move": ToolCachePolicy(tags=("vendor:{vendor}",))})
    naive = ByArguments(ttl_s=3600)
    systems = [
        _register("no cache"),
        _register("by arguments, 1 h", wrap=naive.wrap_tool_call, hits=naive.count),
        _register("ToolCache", wrap=heedful.wrap_tool_call),
    ]
    truth = Vendors()

    def right(look: Look) -> str:
        if look.moves:
            truth.move(look.tenant, look.vendor)
            return "moved"
        return truth.look_up(look.tenant, look.vendor)

    return Workload(name, "tool", passes, right, systems, again=truth.clear)


def _register(name: str, *, wrap: Any = None, hits: Callable[[], int] | None = None) -> System:
    """A graph that runs tools over a register of its own."""
    vendors = Vendors()

    @tool
    def look_up(vendor: int, config: RunnableConfig) -> str:
        """Look a vendor up."""
        time.sleep(TOOL_S)
        return vendors.look_up(config["metadata"]["tenant"], vendor)

    @tool
    def move(vendor: int, config: RunnableConfig) -> str:
        """Change a vendor's address."""
        vendors.move(config["metadata"]["tenant"], vendor)
        return "moved"

    node = ToolNode([look_up, move], wrap_tool_call=wrap)
    graph = StateGraph(MessagesState).add_node("tools", node).add_edge("__start__", "tools").compile()

    def handle(look: Look, config: RunnableConfig) -> str:
        call = {"name": "move" if look.moves else "look_up", "args": {"vendor": look.vendor}, "id": "1"}
        said = graph.invoke({"messages": [AIMessage("", tool_calls=[call])]}, config)
        return str(said["messages"][-1].text)

    return System(name, handle, hits)


# --- subgraphs ---------------------------------------------------------------------------------------------------


class Case(TypedDict, total=False):
    """What the graphs know of a request."""

    text: str
    kind: str
    result: str


def support_subgraph(number: int) -> Workload:
    """A subgraph that researches a question in two model calls."""
    passes = [questions(number, seed=9), questions(number, seed=10)]
    right = {(request.tenant, request.text): request.answer for requests in passes for request in requests}
    return _researched("support stream", passes, right)


def invoice_subgraph(number: int) -> Workload:
    """A subgraph that tells what a document is, and reads it."""
    both = list(invoices(2 * number, seed=11))
    right = {(invoice.tenant, invoice.text): f"{invoice.tenant}: {invoice.total}" for invoice in both}
    return _researched("invoices", [both[:number], both[number:]], right)


def _researched(name: str, passes: Sequence[Sequence[Any]], right: dict[tuple[str, str], str]) -> Workload:
    def answer(messages: list[BaseMessage]) -> str:
        return right[messages[0].text.rpartition(" ")[2], messages[-1].text]

    def inner() -> Any:
        model = FakeMeteredChatModel(answers=answer, latency_s=MODEL_S)

        def classify(case: Case, config: RunnableConfig) -> Case:
            asked = [
                SystemMessage(f"Say what it is. You work for {config['metadata']['tenant']}"),
                HumanMessage(case["text"]),
            ]
            return {"kind": str(model.invoke(asked).text)}

        def read(case: Case, config: RunnableConfig) -> Case:
            asked = [SystemMessage(f"You work for {config['metadata']['tenant']}"), HumanMessage(case["text"])]
            return {"result": str(model.invoke(asked).text)}

        steps: Any = [("classify", classify), ("read", read)]
        builder = StateGraph(Case).add_sequence(steps)
        return builder.add_edge("__start__", "classify").compile()

    def system(name: str, node: Any, *, cache: NodeCache[Any] | None = None) -> System:
        policy: CachePolicy[Any] | None = CachePolicy() if cache is not None else None
        builder = StateGraph(Case).add_node("research", node, cache_policy=policy).add_edge("__start__", "research")
        graph = builder.compile(cache=cache)
        hits = [0]

        def handle(request: Any, config: RunnableConfig) -> str:
            result = ""
            for update in graph.stream({"text": request.text}, config, stream_mode="updates"):
                hits[0] += bool(update.get("__metadata__", {}).get("cached"))
                result = update["research"]["result"] if "research" in update else result
            return result

        return System(name, handle, (lambda: hits[0]) if cache is not None else None)

    ours = cached_subgraph(inner(), key=["text"], scope="tenant", version="1")
    systems = [
        system("no cache", inner()),
        system("langgraph CachePolicy", inner(), cache=NodeCache()),
        system("cached_subgraph", ours),
    ]
    return Workload(name, "subgraph", passes, lambda request: right[request.tenant, request.text], systems)


if __name__ == "__main__":
    main()
