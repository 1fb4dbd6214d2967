"""Budgets through a real meter: whose they are, what they count, and what they say."""

from __future__ import annotations

import asyncio
import operator
import time
import warnings
from collections.abc import Callable
from decimal import Decimal
from typing import Annotated, Any, TypedDict

import pytest
from langchain_core.caches import InMemoryCache
from langchain_core.runnables import RunnableConfig, RunnableLambda
from langchain_core.tools import tool
from langgraph.graph import END, START, StateGraph

from langchain_agentcost import (
    AttributionMap,
    Budget,
    BudgetExceeded,
    CostMeter,
    LimitReached,
    UnenforcedBudgetWarning,
    budget,
)
from langchain_agentcost.errors import BudgetError
from langchain_agentcost.limits.alerts import Alert
from langchain_agentcost.testing import FakeCounts, FakeMeteredChatModel

PRICES = {"models": [{"model": "cents", "input": 0, "output": 10_000}]}
"""A model whose every output token costs one cent, and whose input is free: worst case and actual are one figure."""


def cents_model(tokens: int = 1, **kwargs: Any) -> Any:
    """A model whose calls cost that many cents, exactly what is reserved for them."""
    model = FakeMeteredChatModel(model="cents", counts=FakeCounts(10, tokens), **kwargs)
    return model.bind(max_tokens=tokens)


def calls_until_stopped(meter: CostMeter, model: Any, config: RunnableConfig | None = None, *, most: int = 20) -> int:
    """How many calls of one run are made before a limit stops it."""
    made = 0

    def work(_: object) -> None:
        nonlocal made
        for _ in range(most):
            model.invoke("Hi")
            made += 1

    try:
        RunnableLambda(work).invoke(None, {**(config or {}), "callbacks": meter.callbacks})
    except LimitReached:
        return made
    return most


def meter_with(*budgets: Budget, **kwargs: Any) -> CostMeter:
    """A meter that knows the price of a cent."""
    return CostMeter(prices=PRICES, budgets=budgets, **kwargs)


def of(**metadata: str) -> RunnableConfig:
    """The config of calls with these labels."""
    return {"metadata": metadata}


@pytest.mark.parametrize(
    ("limit", "calls"),
    [
        ({"usd": "0.05"}, 5),
        ({"usd": "0.049999999"}, 4),
        ({"output_tokens": 5}, 5),
        ({"llm_calls": 5}, 5),
        ({"steps": 5}, 5),
        ({"usd": 0}, 0),
    ],
)
def test_a_limit_lets_exactly_so_many_calls_pass(limit: dict[str, Any], calls: int) -> None:
    """Each unit is held to the last whole amount, and not one call more is made."""
    assert calls_until_stopped(meter_with(Budget(**limit)), cents_model()) == calls


def test_input_tokens_are_reserved_with_a_margin_and_settled_as_counted() -> None:
    """The provider's count is what is spent, whatever was reserved."""
    meter = meter_with(Budget(input_tokens=1_000))
    cents_model().invoke("Hi", {"callbacks": meter.callbacks, "metadata": {"run": "r1"}})
    (left,) = meter.remaining({"run": run_of(meter)})
    assert (left.spent, left.reserved) == (10, 0)


def run_of(meter: CostMeter) -> str:
    """The workflow run of the meter's first entry."""
    run = next(iter(meter.ledger.entries())).attribution.run
    assert run is not None
    return run


@pytest.mark.parametrize("subject", ["session", "user", "tenant", "workflow", "deployment", "agent", "tag:team"])
def test_each_subject_has_a_budget_of_its_own(subject: str) -> None:
    """What one spends is not another's."""
    key = subject.removeprefix("tag:")
    meter = CostMeter(
        prices=PRICES, budgets=[Budget(usd="0.03", per=subject)],
        attribution=None if subject == key else AttributionMap(tags=(key,)),
    )  # fmt: skip
    model = cents_model()
    assert calls_until_stopped(meter, model, of(**{key: "a"}), most=2) == 2
    assert calls_until_stopped(meter, model, of(**{key: "b"})) == 3
    assert calls_until_stopped(meter, model, of(**{key: "a"})) == 1


def test_several_subjects_make_one_budget() -> None:
    """Per tenant and user: the same user of another tenant has another budget, whatever the names look like."""
    meter = meter_with(Budget(usd="0.02", per=("tenant", "user")))
    model = cents_model()
    assert calls_until_stopped(meter, model, of(tenant="a,user=b", user="c")) == 2
    assert calls_until_stopped(meter, model, of(tenant="a", user="b,user=c")) == 2
    assert calls_until_stopped(meter, model, of(tenant="a,user=b", user="c")) == 0


def test_a_call_has_to_have_room_in_every_budget_and_takes_from_none_if_it_has_not() -> None:
    """All or nothing: the tenant pays nothing for a call that the user's budget stops."""
    meter = meter_with(Budget(usd=1, per="tenant"), Budget(usd="0.02", per="user"))
    assert calls_until_stopped(meter, cents_model(), of(tenant="acme", user="ann")) == 2
    (tenant,) = meter.remaining("tenant=acme")
    assert (tenant.spent, tenant.reserved) == (Decimal("0.02"), 0)


def test_a_budget_that_is_not_about_a_call_leaves_it_alone() -> None:
    """`where` narrows a budget to the calls that it names."""
    meter = meter_with(Budget(usd=0, per="tenant", where={"tenant": "blocked"}))
    assert calls_until_stopped(meter, cents_model(), of(tenant="fine"), most=3) == 3
    assert calls_until_stopped(meter, cents_model(), of(tenant="blocked")) == 0


def test_calls_that_state_no_subject_share_one_budget_and_are_warned_about() -> None:
    """Leaving the user out is no way round the user's budget."""
    meter = meter_with(Budget(usd="0.02", per="user"))
    with pytest.warns(UnenforcedBudgetWarning, match="per user, and a call states none"):
        assert calls_until_stopped(meter, cents_model()) == 2
    assert calls_until_stopped(meter, cents_model()) == 0


def test_a_run_without_a_session_is_a_session_of_its_own() -> None:
    """Two runs that name no session do not share its budget."""
    meter = meter_with(Budget(usd="0.02", per="session"))
    assert [calls_until_stopped(meter, cents_model()) for _ in range(2)] == [2, 2]


def test_a_call_budget_holds_for_one_call() -> None:
    """A call that may cost more than the limit is not made; smaller ones are, without end."""
    meter = meter_with(Budget(usd="0.02", per="call"))
    assert calls_until_stopped(meter, cents_model(3)) == 0
    assert calls_until_stopped(meter, cents_model(2), most=5) == 5


def test_a_step_budget_starts_anew_with_each_model_call() -> None:
    """A step is a model call with the tools that it asks for."""
    meter = meter_with(Budget(usd="0.02", per="step"))
    assert calls_until_stopped(meter, cents_model(2), most=4) == 4
    assert calls_until_stopped(meter, cents_model(3), most=4) == 0


def test_an_outcome_budget_starts_anew_with_each_success() -> None:
    """What a session spends until it succeeds is limited, not what it spends for all its successes."""
    meter = meter_with(Budget(usd="0.02", per="outcome"))
    config = of(session="s1")
    assert calls_until_stopped(meter, cents_model(), config) == 2
    assert calls_until_stopped(meter, cents_model(), config) == 0
    meter.record_outcome("resolved", success=False, session="s1")
    assert calls_until_stopped(meter, cents_model(), config) == 0
    meter.record_outcome("resolved", success=True, session="s1")
    assert calls_until_stopped(meter, cents_model(), config) == 2


def test_cached_answers_are_steps_and_no_provider_calls() -> None:
    """A loop over cached answers is still a loop; it costs nothing."""
    meter = meter_with(Budget(steps=4), Budget(llm_calls=1, name="calls"), Budget(usd="0.01", name="money"))
    assert calls_until_stopped(meter, cents_model(cache=InMemoryCache())) == 1
    (steps, calls, money) = meter.remaining({"run": run_of(meter)})
    assert (calls.spent, money.spent) == (1, Decimal("0.01"))
    assert steps.spent == 1


class State(TypedDict):
    """A list that grows."""

    done: Annotated[list[str], operator.add]


@tool
def look_up(key: str) -> str:
    """Look something up."""
    return f"value of {key}"


@tool
def refund(key: str) -> str:
    """Give money back."""
    return f"refunded {key}"


def test_tool_calls_are_counted_all_together_or_one_tool_alone() -> None:
    """A budget for one tool leaves the others alone."""
    meter = meter_with(Budget(tool_calls=5), Budget(tool_calls=1, tool="refund", name="refunds"))

    def work(_: object) -> None:
        look_up.invoke({"key": "a"})
        refund.invoke({"key": "a"})
        look_up.invoke({"key": "b"})
        refund.invoke({"key": "b"})

    with pytest.raises(BudgetExceeded, match=r"The refunds of 1 tool call .* has no room"):
        RunnableLambda(work).invoke(None, {"callbacks": meter.callbacks})
    tools = [entry.attribution.tool for entry in meter.ledger.entries(where={"kind": "tool"})]
    assert tools == ["look_up", "refund", "look_up"]


def test_priced_tools_are_held_to_the_dollars() -> None:
    """A tool that costs money is not called when there is none left."""
    meter = CostMeter(prices={"tools": {"look_up": 0.01}}, budgets=[Budget(usd="0.02")])

    def work(_: object) -> None:
        for _ in range(5):
            look_up.invoke({"key": "a"})

    with pytest.raises(BudgetExceeded):
        RunnableLambda(work).invoke(None, {"callbacks": meter.callbacks})
    assert meter.report(by="tool").total.cost.usd == Decimal("0.02")


def test_wall_time_is_the_time_of_the_run_and_ends_it() -> None:
    """A run that has taken its time makes no further call."""
    meter = meter_with(Budget(wall_time_s=0.2))
    started = time.perf_counter()
    made = calls_until_stopped(meter, cents_model(latency_s=0.05), most=1_000)
    assert 1 <= made < 1_000
    assert time.perf_counter() - started >= 0.2


def test_a_graph_with_parallel_branches_takes_its_time_once() -> None:
    """Branches that run side by side share the run's clock: their time is not added up."""
    meter = meter_with(Budget(wall_time_s=60, per="workflow"))
    graph = StateGraph(State)
    for name in ("a", "b", "c", "d"):
        graph.add_node(name, _slow_node)
        graph.add_edge(START, name)
        graph.add_edge(name, END)
    started = time.perf_counter()
    graph.compile(name="desk").invoke({"done": []}, {"callbacks": meter.callbacks})
    elapsed = Decimal(str(time.perf_counter() - started))
    (left,) = meter.remaining("workflow=desk")
    assert Decimal("0.1") <= Decimal(left.spent) <= elapsed


def _slow_node(state: State) -> dict[str, list[str]]:
    cents_model(latency_s=0.1).invoke("Hi")
    return {"done": ["x"]}


def test_a_model_without_a_price_is_denied_under_a_dollar_budget() -> None:
    """An unknown price is no free pass, and the denial says what to do."""
    meter = meter_with(Budget(usd=100))
    with pytest.raises(BudgetExceeded, match=r"the price of mystery-1 is not known"):
        FakeMeteredChatModel(model="mystery-1").invoke("Hi", {"callbacks": meter.callbacks})


def test_a_model_without_a_price_can_be_allowed_with_a_warning() -> None:
    """unknown_price="allow" is a choice, and said once."""
    meter = meter_with(Budget(usd=0, unknown_price="allow"))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(2):
            FakeMeteredChatModel(model="mystery-1").invoke("Hi", {"callbacks": meter.callbacks})
    assert len([w for w in caught if issubclass(w.category, UnenforcedBudgetWarning)]) == 1


def test_a_model_without_a_price_can_be_held_to_the_dearest() -> None:
    """unknown_price="assume_dearest" reserves, and spends, as if it were the dearest model of its provider."""
    meter = CostMeter(budgets=[Budget(usd=1_000, per="session", unknown_price="assume_dearest")])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = FakeMeteredChatModel(model="mystery-1").bind(max_tokens=1_000)
        model.invoke("Hi", {"callbacks": meter.callbacks, "metadata": {"session": "s"}})
    (left,) = meter.remaining("session=s")
    assert left.spent > Decimal("0.01")


def test_the_denial_names_limit_actual_and_the_number_that_made_it_so() -> None:
    """Without max_tokens the longest answer is the dear part, and the message says so and what would fit."""
    meter = CostMeter(budgets=[Budget(usd="0.01", per="session")])
    with pytest.raises(BudgetExceeded) as denied:
        FakeMeteredChatModel().invoke("Hi", {"callbacks": meter.callbacks, "metadata": {"session": "s"}})
    message = str(denied.value)
    assert "128,000 tokens" in message
    assert "set max_tokens" in message
    assert denied.value.limit == Decimal("0.01")
    assert denied.value.scope == "session budget:usd|session=s"
    assert denied.value.evidence["fits_output_tokens"] > 0


def test_a_threshold_fires_once_for_a_subject_and_limit() -> None:
    """Crossing 50 % is told once, with its share, though every later call is beyond it as well."""
    told: list[Alert] = []
    meter = meter_with(
        Budget(usd="0.10", per="session", thresholds={0.5: "warn", 0.8: told.append}), alerts=[told.append]
    )
    calls_until_stopped(meter, cents_model(), of(session="s"))
    shares = [alert.share for alert in told if alert.kind == "threshold"]
    assert shares == [0.5, 0.8, 0.8, 1.0]  # the function at 0.8 is told besides the meter's own sink


def test_a_threshold_at_the_limit_and_the_limit_are_both_told() -> None:
    """A function at 100 % does not keep the one at the limit from hearing of it."""
    at_threshold: list[Alert] = []
    at_limit: list[Alert] = []
    meter = meter_with(
        Budget(llm_calls=1, per="session", thresholds={1.0: at_threshold.append}, on_limit=at_limit.append)
    )
    cents_model().invoke("Hi", {"callbacks": meter.callbacks, **of(session="s")})
    assert [alert.kind for alert in at_threshold] == [alert.kind for alert in at_limit] == ["threshold"]


def test_a_downgrade_that_nobody_heeds_is_warned_about_and_its_limit_still_holds() -> None:
    """A callback cannot change the model: it says so, once, and stops the call that does not fit."""
    meter = meter_with(Budget(usd="0.04", thresholds={0.5: "downgrade"}, on_limit="downgrade"))
    with pytest.warns(UnenforcedBudgetWarning, match="nothing here takes a cheaper model"):
        assert calls_until_stopped(meter, cents_model()) == 4


def test_whoever_asks_is_told_when_a_cheaper_model_is_wanted() -> None:
    """`meter.should_downgrade()` is True from the threshold on, in the run that it is asked in."""
    meter = meter_with(Budget(usd="0.04", thresholds={0.5: "downgrade"}))
    wanted: list[bool] = []

    def work(_: object) -> None:
        for _ in range(3):
            wanted.append(meter.should_downgrade())
            cents_model().invoke("Hi")

    RunnableLambda(work).invoke(None, {"callbacks": meter.callbacks})
    assert wanted == [False, False, True]
    assert meter.should_downgrade() is False


def test_a_threshold_that_raises_stops_calls_below_the_limit() -> None:
    """From half of the limit on nothing is granted any more."""
    meter = meter_with(Budget(usd="0.10", thresholds={0.5: "raise"}))
    assert calls_until_stopped(meter, cents_model()) == 5


def test_observe_mode_stops_nothing_and_says_what_it_would_have_stopped() -> None:
    """The same budgets, watched: every call is made, and the first one over a limit is told of."""
    told: list[Alert] = []
    meter = meter_with(Budget(usd="0.03"), mode="observe", alerts=[told.append])
    assert calls_until_stopped(meter, cents_model(), most=5) == 5
    assert [alert.kind for alert in told].count("would_deny") == 1


def test_the_environment_overrules_the_mode(monkeypatch: pytest.MonkeyPatch) -> None:
    """AGENTCOST_MODE is the switch of whoever runs the process."""
    monkeypatch.setenv("AGENTCOST_MODE", "observe")
    assert calls_until_stopped(meter_with(Budget(usd=0)), cents_model(), most=2) == 2
    monkeypatch.setenv("AGENTCOST_MODE", "enforce")
    assert calls_until_stopped(meter_with(Budget(usd=0), mode="observe"), cents_model()) == 0
    monkeypatch.setenv("AGENTCOST_MODE", "sometimes")
    with pytest.raises(ValueError, match="The mode is one of enforce, observe, off"):
        meter_with()


def test_an_overrun_is_posted_in_full_and_denies_what_follows() -> None:
    """A provider that sends more than was capped is paid, and the budget knows."""
    meter = meter_with(Budget(usd="0.05", per="session"))
    greedy = FakeMeteredChatModel(model="cents", counts=FakeCounts(10, 9)).bind(max_tokens=5)
    assert calls_until_stopped(meter, greedy, of(session="s")) == 1
    (left,) = meter.remaining("session=s")
    assert (left.spent, left.remaining) == (Decimal("0.09"), 0)
    assert calls_until_stopped(meter, cents_model(), of(session="s")) == 0


def test_a_failed_call_gives_its_money_back_and_counts_as_a_call() -> None:
    """A refused request costs nothing, but a loop of refusals is a loop."""
    meter = meter_with(Budget(usd="0.01", per="session"), Budget(llm_calls=3, per="session", name="calls"))
    model = cents_model(failures={1: ConnectionError("refused")})
    with pytest.raises(ConnectionError):
        model.invoke("Hi", {"callbacks": meter.callbacks, "metadata": {"session": "s"}})
    money, calls = meter.remaining("session=s")
    assert (money.spent, money.reserved, calls.spent) == (0, 0, 1)


def test_blocks_nest_and_each_holds() -> None:
    """The inner block's calls count in the outer one; what the inner one leaves can be spent outside."""
    model = cents_model()
    with budget(llm_calls=3) as outer:
        with budget(llm_calls=2) as inner:
            model.invoke("Hi")
            model.invoke("Hi")
            with pytest.raises(BudgetExceeded, match="block budget of 2 model calls"):
                model.invoke("Hi")
        model.invoke("Hi")
        assert (outer.remaining[0].remaining, inner.remaining[0].remaining) == (0, 0)
        with pytest.raises(BudgetExceeded, match="block budget of 3 model calls"):
            model.invoke("Hi")
    model.invoke("Hi")


def test_a_block_holds_for_a_meter_that_is_passed_as_well() -> None:
    """The block counts a call once, and the meter that is passed books it."""
    meter = CostMeter(prices=PRICES)
    with budget(usd="0.02") as block:
        assert calls_until_stopped(meter, cents_model()) == 2
    assert block.remaining[0].spent == Decimal("0.02")
    assert meter.report(by=()).total.llm_calls == 2


async def test_tasks_that_a_block_starts_are_in_it_and_others_are_not() -> None:
    """A ContextVar carries the block: each task sees its own."""
    model = cents_model()

    async def spend(calls: int) -> str:
        try:
            with budget(llm_calls=calls):
                for _ in range(3):
                    await model.ainvoke("Hi")
        except LimitReached:
            return f"stopped at {calls}"
        return "done"

    assert await asyncio.gather(*(spend(n) for n in (1, 2, 3))) == ["stopped at 1", "stopped at 2", "done"]


def test_what_is_left_can_be_read_inside_a_run_by_the_agent() -> None:
    """`meter.remaining()` in a tool or node says what the run may still take."""
    meter = meter_with(Budget(usd="0.05"), Budget(llm_calls=9, name="calls"))
    seen: list[str] = []

    def work(_: object) -> None:
        cents_model().invoke("Hi")
        seen.extend(str(left) for left in meter.remaining())

    RunnableLambda(work).invoke(None, {"callbacks": meter.callbacks})
    assert seen == ["$0.04 of $0.05 left (run budget)", "8 of 9 model calls left (calls)"]


def test_reading_what_is_left_outside_a_run_says_what_to_pass() -> None:
    """There is nothing to read without a scope."""
    with pytest.raises(ValueError, match="No run is under way"):
        meter_with(Budget(usd=1)).remaining()


def test_two_budgets_of_one_name_are_refused() -> None:
    """Accounts are found by name: two of them would be one."""
    with pytest.raises(ValueError, match="give one of them another name"):
        meter_with(Budget(usd=1), Budget(usd=2))


@pytest.mark.parametrize("wrong", [{}, {"usd": -1}, {"usd": "much"}, {"steps": 1.5}, {"usd": True}])
def test_a_budget_that_cannot_be_is_refused(wrong: dict[str, Any]) -> None:
    """A limit is a number that makes sense."""
    with pytest.raises(ValueError, match=r"budget|number"):
        Budget(**wrong)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Budget(usd=1, per="planet"),
        lambda: Budget(usd=1, window="week"),  # type: ignore[arg-type]  # on purpose
        lambda: Budget(usd=1, on_limit="explode"),  # type: ignore[arg-type]  # on purpose
        lambda: Budget(usd=1, thresholds={85: "warn"}),
        lambda: Budget(usd=1, tool="search"),
        lambda: Budget(usd=1, per=("call", "user")),
        lambda: Budget(usd=1, name="a|b"),
        lambda: Budget(usd=10**18),
        lambda: Budget(usd=1, per=5),  # type: ignore[arg-type]  # on purpose
        lambda: Budget(usd=1, per=()),
        lambda: Budget(usd=1, thresholds={"a": "warn"}),  # type: ignore[dict-item]  # on purpose
        lambda: Budget(usd=1, where={"tenant": 7}),  # type: ignore[dict-item]  # on purpose
    ],
)
def test_a_budget_with_a_wrong_word_says_what_it_may_be(make: Callable[[], Budget]) -> None:
    """Mistakes are found when the budget is made, not when money is gone."""
    with pytest.raises(BudgetError):
        make()
