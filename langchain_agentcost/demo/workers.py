"""The three workers of the support desk: each a subgraph that extracts, uses its tools and drafts its part of a reply.

The local model cannot call tools, so the edges of these graphs choose them.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from operator import add
from typing import Annotated, Any, Protocol, TypedDict

from langchain_core.messages import BaseMessage
from langchain_core.runnables import RunnableConfig
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph

from langchain_agentcost.demo.clerk import Clerk, conversation
from langchain_agentcost.demo.prompts import DRAFT, FIND_ORDER, FIND_PRODUCT, OrderNumber, ProductName, Topic
from langchain_agentcost.demo.shop import ShopTools


class Finding(TypedDict):
    """What a worker hands back: its facts, and the part of the reply that it drafted from them."""

    topic: Topic
    facts: str
    draft: str


class Work(TypedDict, total=False):
    """The state of a worker."""

    text: str
    subject: str
    facts: str
    findings: Annotated[list[Finding], add]


class Findings(TypedDict):
    """What a worker gives to the supervisor."""

    findings: Annotated[list[Finding], add]


class Node(Protocol):
    """A node that asks the model."""

    def __call__(self, state: Work, config: RunnableConfig) -> dict[str, Any]:
        """Give the update of the state."""
        ...


Worker = CompiledStateGraph[Work, None, Work, Findings]


def orders_worker(clerk: Clerk, tools: ShopTools) -> Worker:
    """Where an order is: extract, look up, and ask the carrier where it was sent."""

    def look_up(state: Work, config: RunnableConfig) -> dict[str, Any]:
        return {"facts": _use(tools.look_up_order, {"number": state["subject"]}, config)}

    def track(state: Work, config: RunnableConfig) -> dict[str, Any]:
        seen = _use(tools.track_parcel, {"number": state["subject"]}, config)
        return {"facts": f"{state['facts']}, {seen}" if seen else state["facts"]}

    def after_look_up(state: Work) -> str:
        if not state["facts"]:
            return END
        return "track" if "shipped" in state["facts"] else "draft"

    graph = _worker(_order_number(clerk), _draft(clerk, "orders"))
    graph.add_node("look_up", look_up)
    graph.add_node("track", track)
    graph.add_conditional_edges("extract", _if_known("look_up"), ["look_up", END])
    graph.add_conditional_edges("look_up", after_look_up, ["track", "draft", END])
    graph.add_edge("track", "draft")
    return graph.compile(name="orders")


def refunds_worker(clerk: Clerk, tools: ShopTools) -> Worker:
    """Whether an order is refunded: extract, then refund it where the shop's rules allow it."""

    def refund(state: Work, config: RunnableConfig) -> dict[str, Any]:
        return {"facts": _use(tools.refund_order, {"number": state["subject"]}, config)}

    graph = _worker(_order_number(clerk), _draft(clerk, "refunds"))
    graph.add_node("refund", refund)
    graph.add_conditional_edges("extract", _if_known("refund"), ["refund", END])
    graph.add_conditional_edges("refund", _if_found, ["draft", END])
    return graph.compile(name="refunds")


def products_worker(clerk: Clerk, tools: ShopTools) -> Worker:
    """What the shop sells: extract the product, then search the catalogue."""

    def extract(state: Work, config: RunnableConfig) -> dict[str, Any]:
        found = clerk.choose(ProductName, examples=FIND_PRODUCT, text=f"Message: {state['text']}", config=config)
        named = found is not None and any(word in state["text"].lower() for word in found.product.lower().split())
        return {"subject": found.product if found and named else state["text"]}

    def search(state: Work, config: RunnableConfig) -> dict[str, Any]:
        return {"facts": _use(tools.search_products, {"words": state["subject"]}, config)}

    graph = _worker(extract, _draft(clerk, "products"))
    graph.add_node("search", search)
    graph.add_edge("extract", "search")
    graph.add_conditional_edges("search", _if_found, ["draft", END])
    return graph.compile(name="products")


def _worker(extract: Node, draft: Node) -> StateGraph[Work, None, Work, Findings]:
    graph: StateGraph[Work, None, Work, Findings] = StateGraph(Work, output_schema=Findings)
    graph.add_node("extract", extract)
    graph.add_node("draft", draft)
    graph.add_edge(START, "extract")
    graph.add_edge("draft", END)
    return graph


def _order_number(clerk: Clerk) -> Node:
    def extract(state: Work, config: RunnableConfig) -> dict[str, Any]:
        text = state["text"]
        found = clerk.choose(OrderNumber, examples=FIND_ORDER, text=f"Message: {text}", config=config)
        written: list[str] = re.findall(r"\d{4}", text)
        # A number that the customer did not write is the model's invention.
        number = str(found.order) if found and str(found.order) in written else next(iter(written), "")
        return {"subject": number}

    return extract


def _draft(clerk: Clerk, topic: Topic) -> Node:
    def draft(state: Work, config: RunnableConfig) -> dict[str, Any]:
        text = clerk.write(drafting(topic, text=state["text"], facts=state["facts"]), config)
        return {"findings": [Finding(topic=topic, facts=state["facts"], draft=text)]}

    return draft


def drafting(topic: Topic, *, text: str, facts: str) -> list[BaseMessage]:
    """Ask for a reply to a message, with examples that fit what was found."""
    examples = DRAFT["denials" if "not refunded" in facts else topic]
    return conversation(examples, f"Question: {text}\nFacts: {facts}.")


def _if_known(then: str) -> Callable[[Work], str]:
    return lambda state: then if state["subject"] else END


def _if_found(state: Work) -> str:
    return "draft" if state["facts"] else END


def _use(tool: Any, arguments: dict[str, Any], config: RunnableConfig) -> str:
    return str(tool.invoke(arguments, config))
