"""A provider that counts its own hits, and a meter that holds calls to it to a budget.

An answer costs five cents, at worst and in fact: input is free, and no answer is shorter than it may be.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Literal

import httpx2
from langchain_core.language_models import BaseChatModel
from langchain_core.runnables import RunnableConfig
from langchain_openai import ChatOpenAI
from pydantic import SecretStr

from langchain_agentcost import CostMeter
from langchain_agentcost.limits.budget import Budget
from langchain_agentcost.limits.holds import Account, BudgetStore
from langchain_agentcost.testing import FakeCounts, FakeMeteredChatModel
from tests.canned_provider import CannedProvider, openai_chat

ANSWER_TOKENS = 50
PRICES: Any = {"models": [{"model": "gpt-5-mini*", "input": 0, "output": 1000}]}
PER_CALL = Decimal("0.05")
USAGE = {"prompt_tokens": 9, "completion_tokens": ANSWER_TOKENS, "total_tokens": 9 + ANSWER_TOKENS}

Unit = Literal["usd", "llm_calls"]
UNITS: tuple[Unit, ...] = ("usd", "llm_calls")


def allowing(calls: int, unit: Unit = "llm_calls", **rest: Any) -> Budget:
    """A session's budget that this many calls fit into."""
    return Budget(**{"per": "session", unit: calls * PER_CALL if unit == "usd" else calls, **rest})


@dataclass(slots=True)
class World:
    """What a test of limits needs.

    Args:
        meter: The meter that holds the limits.
        provider: The provider, with every request that reached it.
        model: A model of the provider.
        thread: The thread of graphs, and the session that budgets are per.
    """

    meter: CostMeter
    provider: CannedProvider
    model: BaseChatModel
    thread: str = "t1"
    metadata: dict[str, Any] = field(default_factory=dict)

    @property
    def hits(self) -> int:
        """How many calls reached the provider, as it says itself."""
        return len(self.provider.requests)

    @property
    def config(self) -> RunnableConfig:
        """The config of an outermost call."""
        metadata = {"session": self.thread, **self.metadata}
        return {
            "callbacks": self.meter.callbacks,
            "metadata": metadata,
            "configurable": {"thread_id": self.thread},
        }

    @property
    def account(self) -> Account:
        """The one account that there is."""
        [account] = store_of(self.meter).accounts()
        return account

    def allow_more(self, calls: int) -> None:
        """Raise the limit as a person would, by what so many calls take."""
        account = self.account
        each = 1 if ":llm_calls|" in account.scope or ":tool_calls|" in account.scope else int(PER_CALL * 10**9)
        store_of(self.meter).raise_limit(account.scope, calls * each, window=account.window)


def store_of(meter: CostMeter) -> BudgetStore:
    """The store that a meter's budgets are in."""
    assert meter.enforcer is not None
    return meter.enforcer.store


def openai_model(provider: CannedProvider) -> ChatOpenAI:
    """A real ChatOpenAI of the provider, that never tries again by itself.

    Its connections are for one request each, so that event loops may come and go, and it reads no certificates.
    """
    single: Any = {"verify": False, "limits": httpx2.Limits(max_keepalive_connections=0)}
    return ChatOpenAI(
        model="gpt-5-mini",
        base_url=provider.openai_url,
        api_key=SecretStr("none"),
        max_retries=0,
        max_completion_tokens=ANSWER_TOKENS,
        stream_usage=True,
        http_client=httpx2.Client(**single),
        http_async_client=httpx2.AsyncClient(**single),
    )


def fake_model(**changes: Any) -> Any:
    """A model without a network, whose calls cost the same: `prompts` are its own counter."""
    return FakeMeteredChatModel(**{"model": "gpt-5-mini", "counts": FakeCounts(9, ANSWER_TOKENS), **changes})


CAPPED = {"max_tokens": ANSWER_TOKENS}
"""What a fake model is bound to, so that its worst case is what it costs."""


@contextmanager
def world(*budgets: Any, **meter: Any) -> Iterator[World]:
    """A provider, and a meter with these budgets."""
    with (
        CannedProvider(openai_chat("Hello there", usage=USAGE)) as provider,
        CostMeter(prices=PRICES, budgets=budgets, **meter) as made,
    ):
        yield World(made, provider, openai_model(provider))
