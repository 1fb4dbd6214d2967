"""What is left is said at the prompt's end, and nowhere else."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from langchain.agents.middleware import wrap_model_call
from langchain_core.messages import AIMessage, HumanMessage

from langchain_agentcost import CostMeter
from langchain_agentcost.limits.breakers import CircuitBreaker
from langchain_agentcost.limits.budget import Budget
from langchain_agentcost.limits.remaining import Remaining
from langchain_agentcost.middleware.remaining import of_limit, remaining_line
from tests.canned_provider import CannedProvider, anthropic_message
from tests.middleware.desk import (
    NO_TOOLS,
    QUESTION,
    agent_of,
    claude,
    config_of,
    last,
    looks_twice,
    model_of,
)


def meter_of(*limits: Any) -> CostMeter:
    """A meter with limits."""
    return CostMeter(budgets=limits)


def test_the_line_stands_at_the_end_of_each_prompt_and_is_not_kept() -> None:
    """It counts down, and neither the agent's state nor the next prompt has it."""
    meter, model = meter_of(Budget(usd="0.05", per="session"), Budget(steps=10)), model_of(looks_twice)
    state = agent_of(meter, model, show_remaining=True).invoke(QUESTION, config_of(meter))
    assert [prompt[-1].text for prompt in model.prompts] == [
        "Budget: $0.05 of $0.05 left; 10 of 10 steps left.",
        "Budget: $0.0488 of $0.05 left; 9 of 10 steps left.",
        "Budget: $0.0475 of $0.05 left; 8 of 10 steps left.",
    ]
    assert not [message for message in state["messages"] if "Budget" in message.text]
    for earlier, later in zip(model.prompts, model.prompts[1:], strict=False):
        assert later[: len(earlier) - 1] == earlier[:-1]


def test_the_mark_of_a_cache_stays_on_the_conversation() -> None:
    """Anthropic caches up to the mark: on the line it would never be found again."""

    @wrap_model_call
    def caching(request: Any, handler: Any) -> Any:
        return handler(request.override(model_settings={"cache_control": {"type": "ephemeral"}}))

    meter = meter_of(Budget(steps=9))
    with CannedProvider(anthropic_message("Hi", usage={"input_tokens": 9, "output_tokens": 1})) as provider:
        agent = agent_of(meter, claude(provider), before=[caching], options=NO_TOOLS, show_remaining=True)
        agent.invoke(QUESTION, config_of(meter))
        [sent] = provider.requests
    assert "cache_control" not in sent
    [message] = sent["messages"]
    assert message["content"] == [
        {"type": "text", "text": "Where is my order?", "cache_control": {"type": "ephemeral"}},
        {"type": "text", "text": "Budget: 9 of 9 steps left."},
    ]


def test_a_run_that_gets_nowhere_is_seen_though_the_line_changes() -> None:
    """The line is no progress."""
    meter = CostMeter(budgets=[Budget(usd=1, per="session")], breakers=[CircuitBreaker(kind="no_progress", stop=3)])
    again = AIMessage("", tool_calls=[{"name": "track", "args": {"order": "7"}, "id": "x"}])
    model = model_of(lambda messages: again.model_copy())
    state = agent_of(meter, model, show_remaining=True).invoke(QUESTION, config_of(meter))
    assert last(state).text.startswith("Stopped: ")
    assert len(model.prompts) < 6


def test_of_several_budgets_of_a_unit_the_tightest_is_said() -> None:
    """A model needs one number, the one that will stop it."""
    wide = Remaining("day", "steps", "", 100, 1, 0, 99)
    tight = Remaining("run", "steps", "", 5, 1, 0, 4)
    assert remaining_line([wide, tight]) == remaining_line([tight, wide]) == "Budget: 4 of 5 steps left."
    assert remaining_line([]) == ""


def test_amounts_are_short() -> None:
    """Money to a hundredth of a cent, time to a second, counts with separators."""
    assert of_limit("usd", Decimal("1234.5"), Decimal(2000)) == "$1,234.50 of $2,000.00"
    assert of_limit("wall_time", Decimal("12.6"), Decimal(60)) == "13 of 60 s"
    assert of_limit("total_tokens", 1_500, 8_000) == "1,500 of 8,000 tokens"


def test_an_empty_prompt_stays_empty() -> None:
    """There is nothing to stand behind."""
    meter, model = meter_of(Budget(steps=3)), model_of(["Hi"])
    agent = agent_of(meter, model, options={**NO_TOOLS, "system_prompt": "Be kind."}, show_remaining=True)
    agent.invoke({"messages": []}, config_of(meter))
    assert not any(isinstance(message, HumanMessage) for message in model.prompts[0])
