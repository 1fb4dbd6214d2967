"""Cheaper models are taken when a budget says so, with all that the dearer one was given."""

from __future__ import annotations

from typing import Any

import pytest
from langchain.agents.middleware import ModelFallbackMiddleware

from langchain_agentcost import CostMeter
from langchain_agentcost.errors import BudgetExceeded
from langchain_agentcost.limits.budget import Budget
from langchain_agentcost.testing import FakeCounts
from tests.canned_provider import CannedProvider, openai_chat
from tests.middleware.desk import (
    QUESTION,
    WAYS,
    agent_of,
    config_of,
    last,
    looks_twice,
    model_of,
    openai,
    reserved,
)

USAGE = {"prompt_tokens": 1_000, "completion_tokens": 100, "total_tokens": 1_100}


def session(**limits: Any) -> CostMeter:
    """A meter that holds a session to a budget."""
    return CostMeter(budgets=[Budget(per="session", **limits)])


@pytest.mark.parametrize("way", WAYS)
def test_from_a_threshold_on_the_cheaper_model_answers(way: str) -> None:
    """A call of gpt-5 takes more than a tenth of five cents: the two that follow are gpt-5-nano's."""
    meter = session(usd="0.05", thresholds={0.1: "downgrade"})
    dear, cheap = model_of(looks_twice, model="gpt-5"), model_of(looks_twice, model="gpt-5-nano")
    state = WAYS[way](agent_of(meter, dear, downgrade_to=cheap), config_of(meter))
    assert (len(dear.prompts), len(cheap.prompts)) == (1, 2)
    assert last(state).text == "It is in Lyon."
    assert reserved(meter) == 0


def test_the_cheaper_model_is_sent_the_tools() -> None:
    """What is bound to the dearer model is bound to the cheaper one."""
    meter = session(usd=1, thresholds={0.0001: "downgrade"})
    with CannedProvider(openai_chat("It is in Lyon.", usage=USAGE)) as provider:
        dear, cheap = openai(provider, model="gpt-5"), openai(provider, model="gpt-5-nano")
        agent = agent_of(meter, dear, downgrade_to=[cheap])
        agent.invoke(QUESTION, config_of(meter))
        agent.invoke(QUESTION, config_of(meter))
        first, second = provider.requests
    assert (first["model"], second["model"]) == ("gpt-5", "gpt-5-nano")
    assert first["tools"] == second["tools"]
    assert first["messages"] == second["messages"]


def test_where_the_dearer_model_has_no_room_the_cheaper_one_is_asked() -> None:
    """With "downgrade" at the limit, models are tried in order, and the agent ends when none has room."""
    meter = session(usd="0.0046", on_limit="downgrade")
    counts = FakeCounts(500, 300)
    models = [model_of(model=name, counts=counts) for name in ("gpt-5", "gpt-5-mini", "gpt-5-nano")]
    state = agent_of(meter, models[0], downgrade_to=models[1:], least_output_tokens=200).invoke(
        QUESTION, config_of(meter)
    )
    assert [len(model.prompts) for model in models] == [1, 1, 1]
    assert last(state).text.startswith("Budget reached: $0.0045 of $0.0046 is used")
    assert reserved(meter) == 0


def test_a_budget_that_raises_stops_the_cheaper_models_too() -> None:
    """Only a budget that says "downgrade" lets a cheaper model be asked."""
    meter, dear, cheap = session(usd="0.001"), model_of(model="gpt-5"), model_of(model="gpt-5-nano")
    state = agent_of(meter, dear, downgrade_to=cheap).invoke(QUESTION, config_of(meter))
    assert (dear.prompts, cheap.prompts) == ([], [])
    assert last(state).text.startswith("Budget reached")


def test_a_budget_for_one_call_that_raises_stops_the_cheaper_models_too() -> None:
    """It stops nothing but that call, and that call it stops."""
    meter = CostMeter(budgets=[Budget(usd="0.001", per="call")])
    dear, cheap = model_of(model="gpt-5"), model_of(model="gpt-5-nano")
    with pytest.raises(BudgetExceeded):
        agent_of(meter, dear, downgrade_to=cheap, on_limit="raise").invoke(QUESTION, config_of(meter))
    assert (dear.prompts, cheap.prompts) == ([], [])


def test_without_cheaper_models_a_downgrade_stops() -> None:
    """There is nothing to go down to."""
    meter, model = session(steps=1, on_limit="downgrade"), model_of()
    state = agent_of(meter, model).invoke(QUESTION, config_of(meter))
    assert len(model.prompts) == 1
    assert last(state).text.startswith("Budget reached: 1 of 1 step")


def test_a_cheaper_model_that_another_middleware_chose_is_not_gone_up_from() -> None:
    """What has come down to the middle tier stays there or goes further down."""
    meter = session(usd=1, thresholds={0.0001: "downgrade"})
    dear = model_of(model="gpt-5", failures={number: ConnectionError() for number in range(1, 9)})
    dearer, middle = model_of(model="gpt-5.1", failures=dear.failures), model_of(looks_twice)
    agent = agent_of(
        meter, dear, before=[ModelFallbackMiddleware(middle)], downgrade_to=[dearer, middle, model_of(looks_twice)]
    )
    state = agent.invoke(QUESTION, config_of(meter))
    assert last(state).text == "It is in Lyon."
    assert len(middle.prompts) == 3


def test_a_model_may_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name is what init_chat_model takes."""
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    meter = session(usd=1, thresholds={0.0001: "downgrade"})
    with CannedProvider(openai_chat("It is in Lyon.", usage=USAGE)) as provider:
        monkeypatch.setenv("OPENAI_API_BASE", provider.openai_url)
        agent = agent_of(meter, model_of(["Hi"], model="gpt-5"), downgrade_to="openai:gpt-5-nano")
        agent.invoke(QUESTION, config_of(meter))
        agent.invoke(QUESTION, config_of(meter))
    assert [request["model"] for request in provider.requests] == ["gpt-5-nano"]
