"""What the router's tests share: tiers that say who they are, and a handler that counts events."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import tool

from langchain_agentcost.routing.policy import Choice, Offers
from langchain_agentcost.routing.request import RouteRequest
from langchain_agentcost.routing.runnable import RouterRunnable
from langchain_agentcost.routing.tier import Tier
from langchain_agentcost.routing.verdict import Verdict
from langchain_agentcost.testing import FakeMeteredChatModel

SMALL, STRONG = "gpt-4.1-mini", "gpt-4.1"


def tier(name: str, model: str, *answers: str | AIMessage, **facts: Any) -> Tier:
    """A tier of a fake model with a real one's name and price."""
    return Tier(name, FakeMeteredChatModel(model=model, answers=answers or (f"I am {name}.",)), **facts)


def two_tiers() -> list[Tier]:
    """A small tier and a frontier one."""
    return [tier("small", SMALL), tier("frontier", STRONG)]


def router(*given: Tier, **facts: Any) -> RouterRunnable:
    """A router of these tiers, or of the usual two."""
    return RouterRunnable(list(given) or two_tiers(), **facts)


class Heard(BaseCallbackHandler):
    """Hears model calls: when they start, with which metadata and tags, and how many tokens stream."""

    run_inline = True

    def __init__(self) -> None:
        self.starts: list[dict[str, Any]] = []
        self.tags: list[list[str]] = []
        self.ids: list[UUID] = []
        self.tokens = 0
        self.ends = 0

    def on_chat_model_start(
        self, serialized: dict[str, Any], messages: list[list[BaseMessage]], *, run_id: UUID, **kwargs: Any
    ) -> None:
        """Hear a call."""
        self.starts.append(kwargs.get("metadata") or {})
        self.tags.append(kwargs.get("tags") or [])
        self.ids.append(run_id)

    def on_llm_new_token(self, token: Any, **_: Any) -> None:
        """Hear a token."""
        self.tokens += 1

    def on_llm_end(self, response: Any, **_: Any) -> None:
        """Hear an answer."""
        self.ends += 1

    @property
    def models(self) -> list[str]:
        """Which models were asked."""
        return [start["ls_model_name"] for start in self.starts]

    @property
    def roles(self) -> list[str]:
        """What for."""
        return [start["agentcost_role"] for start in self.starts]


class Checked:
    """A policy that has the weakest tier answer, and a check look at it."""

    name = "checked"

    def __init__(self, *says: str) -> None:
        self.says = says
        self.seen: list[Any] = []

    def choose(self, request: RouteRequest, offers: Offers) -> Choice:
        """Choose the weakest."""
        return Choice(tier=offers[0].name, policy=self.name, verifier=self, escalate_to=offers[-1].name)

    def check(self, request: RouteRequest, answer: Any, config: RunnableConfig) -> Verdict:
        """Accept as it was told."""
        self.seen.append(answer)
        return Verdict(self.says[len(self.seen) - 1] == "yes", ("as told",))

    async def acheck(self, request: RouteRequest, answer: Any, config: RunnableConfig) -> Verdict:
        """Accept as it was told."""
        return self.check(request, answer, config)


@tool
def search(query: str) -> str:
    """Search the shop."""
    return f"Nothing about {query}."


@tool
def cancel() -> str:
    """Cancel the order."""
    return "Cancelled."


def calls(name: str, number: int = 1, **args: Any) -> AIMessage:
    """An answer that calls a tool."""
    return AIMessage("", tool_calls=[{"name": name, "args": args, "id": f"c{number}"}])
