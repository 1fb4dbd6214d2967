"""The support desk: a supervisor that sends a ticket to the workers it concerns, at once, and checks what they reply.

```
triage --Send--> orders | refunds | products --> join --> verify --> answer
                                                   |         | fail     |
                                                   |       revise ------+--> verify once more
                                                   +--> hand_over (nobody found anything, or it failed twice)
```
"""

from __future__ import annotations

import re
from operator import add
from typing import Annotated, Any, TypedDict

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.types import Send

from langchain_agentcost.demo.clerk import Clerk
from langchain_agentcost.demo.prompts import TOPIC_WORDS, TRIAGE, VERIFY, Topic, Triage, Verdict
from langchain_agentcost.demo.shop import ShopTools
from langchain_agentcost.demo.workers import Finding, drafting, orders_worker, products_worker, refunds_worker

NAME = "support-desk"
MAX_REVISIONS = 1
WORKERS = {"orders": orders_worker, "refunds": refunds_worker, "products": products_worker}


class Desk(TypedDict, total=False):
    """The state of a ticket."""

    text: str
    topics: list[Topic]
    findings: Annotated[list[Finding], add]
    draft: str
    verdict: str
    revisions: int
    reply: str


def support_desk(
    model: BaseChatModel, tools: ShopTools, *, checkpointer: BaseCheckpointSaver[Any] | None = None
) -> CompiledStateGraph[Any, Any, Any, Any]:
    """Build the graph: give it `{"text": …}`, and it ends with a `reply`, empty where a person has to take over.

    Args:
        model: Any LangChain chat model that knows JSON schemas.
        tools: The shop's tools. They read the tenant from `configurable["tenant"]`.
        checkpointer: Where a run waits that a person is asked about; None for runs that ask nobody.
    """
    supervisor = _Supervisor(Clerk(model))
    graph: StateGraph[Any, Any, Any, Any] = StateGraph(Desk)
    for node in (supervisor.triage, supervisor.join, supervisor.verify, supervisor.revise):
        graph.add_node(node.__name__, node)
    graph.add_node("answer", lambda state: {"reply": state["draft"]})
    graph.add_node("hand_over", lambda _: {"reply": ""})
    for name, worker in WORKERS.items():
        graph.add_node(name, worker(supervisor.clerk, tools))
        graph.add_edge(name, "join")
    graph.add_edge(START, "triage")
    graph.add_conditional_edges("triage", _send, [*WORKERS, "hand_over"])
    graph.add_conditional_edges("join", lambda state: "verify" if state["draft"] else "hand_over")
    graph.add_conditional_edges("verify", _judge, ["answer", "revise", "hand_over"])
    graph.add_edge("revise", "verify")
    graph.add_edge("answer", END)
    graph.add_edge("hand_over", END)
    return graph.compile(name=NAME, checkpointer=checkpointer)


class _Supervisor:
    """The nodes that the supervisor runs itself."""

    def __init__(self, clerk: Clerk) -> None:
        self.clerk = clerk

    def triage(self, state: Desk, config: RunnableConfig) -> Desk:
        chosen = self.clerk.choose(Triage, examples=TRIAGE, text=f"Message: {state['text']}", config=config)
        return {"topics": held_to_words(chosen.topic if chosen else None, state["text"])}

    def join(self, state: Desk) -> Desk:
        findings = sorted(state.get("findings", []), key=lambda finding: list(WORKERS).index(finding["topic"]))
        return {"draft": " ".join(finding["draft"] for finding in findings), "revisions": 0}

    def verify(self, state: Desk, config: RunnableConfig) -> Desk:
        checked = self.clerk.choose(
            Verdict,
            examples=VERIFY,
            text=f"Facts: {_facts(state)}.\nReply: {state['draft']}",
            config=config,
            purpose="verification",
        )
        invented = figures(state["draft"]) - figures(f"{_facts(state)} {state['text']}")
        return {"verdict": "fail" if invented or checked is None else checked.verdict}

    def revise(self, state: Desk, config: RunnableConfig) -> Desk:
        asked = drafting(state["findings"][0]["topic"], text=state["text"], facts=_facts(state))
        again = HumanMessage(f"That was not right. State these facts: {_facts(state)}.")
        draft = self.clerk.write([*asked, AIMessage(state["draft"]), again], config)
        return {"draft": draft, "revisions": state["revisions"] + 1}


def held_to_words(chosen: Topic | None, text: str) -> list[Topic]:
    """Hold the model's topic to the words of the message; a message may have further topics than the one it names.

    Example:
        >>> held_to_words("products", "Where is my parcel?"), held_to_words("orders", "Hello!")
        (['orders'], ['orders'])
    """
    said: list[Topic] = [topic for topic, words in TOPIC_WORDS.items() if any(word in text.lower() for word in words)]
    return said or ([chosen] if chosen else [])


def figures(text: str) -> set[str]:
    """Give the numbers in a text: a reply may have none that the facts and the message do not have.

    Example:
        >>> sorted(figures("Order 1001 costs 24.50 dollars."))
        ['1001', '24.50']
    """
    return set(re.findall(r"\d+(?:\.\d+)?", text))


def _send(state: Desk) -> list[Send] | str:
    return [Send(topic, {"text": state["text"]}) for topic in state["topics"]] or "hand_over"


def _judge(state: Desk) -> str:
    if state["verdict"] == "pass":
        return "answer"
    return "revise" if state["revisions"] < MAX_REVISIONS else "hand_over"


def _facts(state: Desk) -> str:
    return "; ".join(finding["facts"] for finding in state["findings"])
