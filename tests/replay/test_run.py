from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage

from langchain_agentcost.replay.episode import Call, Episode, Recorded
from langchain_agentcost.replay.run import Outcome, run
from langchain_agentcost.replay.strategies import DEFAULT, STRATEGIES
from langchain_agentcost.replay.strategies.reference import FETCH_TOKENS
from langchain_agentcost.replay.strategy import Combined
from langchain_agentcost.replay.tariff import Tariffs
from langchain_agentcost.usage import Usage
from tests.replay.made import (
    PRICES,
    Asked,
    Turn,
    counted,
    episode,
    played,
    says,
    scene,
    schemas,
    strategy,
    uses,
)

THREE = episode(
    uses("search", "found", recorded=counted(2000, 50)),
    uses("search", "found more", recorded=counted(3000, 70)),
    says("Done.", recorded=counted(4500, 100)),
    tools=schemas("search"),
)
"""Three calls of 2,000, 3,000 and 4,500 tokens, whose prompts go on from each other."""


class Bill(NamedTuple):
    """What `THREE` costs, in nano-USD: a nano-USD is a tenth of a cent per million tokens, for one token."""

    read: int
    write: int
    uncached: int
    output: int
    off: int


BILLS: Mapping[str, Bill] = {
    # all that is not read is written: 2,000 + 1,000 + 1,500 at 3.75; read 2,000 + 3,000 at 0.30
    "claude-sonnet-4-5": Bill(5000 * 300, 4500 * 3750, 0, 220 * 15_000, 9500 * 3000 + 220 * 15_000),
    # read in steps of 128: 1,920 + 2,944; the rest is plain input
    "gpt-4.1": Bill(4864 * 500, 0, 4636 * 2000, 220 * 8000, 9500 * 2000 + 220 * 8000),
    # the same steps, and the rest is written
    "gpt-5.6": Bill(4864 * 400, 4636 * 5000, 0, 220 * 20_000, 9500 * 4000 + 220 * 20_000),
    # steps of 64: 1,984 + 2,944
    "deepseek-chat": Bill(4928 * 70, 0, 4572 * 270, 220 * 1100, 9500 * 270 + 220 * 1100),
    # no cache
    "llama-3.3-70b": Bill(0, 0, 9500 * 1000, 220 * 2000, 9500 * 1000 + 220 * 2000),
    # no cache, and a fee of 0.012 for each request
    "sonar": Bill(0, 0, 9500 * 1000 + 3 * 12_000_000, 220 * 1000, 9500 * 1000 + 220 * 1000 + 3 * 12_000_000),
}


@pytest.mark.parametrize("model", BILLS)
def test_a_bill_is_what_one_works_out_by_hand(model: str) -> None:
    """Every part of the bill with caching, and the bill without, to the nano-USD."""
    bill, outcome = BILLS[model], played(THREE, tariffs=Tariffs(PRICES, model=model))
    parts = (outcome.read_nano, outcome.write_nano, outcome.uncached_nano, outcome.output_nano)
    assert parts == (bill.read, bill.write, bill.uncached, bill.output)
    assert outcome.on_nano == sum(parts)
    assert outcome.off_nano == bill.off
    assert (outcome.calls, outcome.steps, outcome.output_tokens) == (3, [2000, 3000, 4500], 220)


def test_a_prompt_below_the_minimum_is_neither_read_nor_written() -> None:
    """A first call of 1,000 tokens is not in Anthropic's cache when the second one asks for it."""
    short = episode(
        uses("a", recorded=counted(1000)), uses("a", recorded=counted(2000)), says("", recorded=counted(2500))
    )
    outcome = played(short)
    assert outcome.read_nano == 2000 * 300
    assert outcome.write_nano == (2000 + 500) * 3750
    assert outcome.uncached_nano == 1000 * 3000


def test_a_warm_cache_serves_the_static_part_of_the_first_call() -> None:
    """Tools and system message are read, and the bill differs by just that."""
    one = episode(says("Hi.", recorded=counted(5000)), system="You help. " * 600, tools=schemas("search"))
    cold, warm = played(one), played(one, warm=True)
    assert cold.read_tokens == 0
    assert 4000 < warm.read_tokens < 5000
    assert cold.on_nano - warm.on_nano == warm.read_tokens * (3750 - 300)
    assert cold.off_nano == warm.off_nano


def test_a_gap_longer_than_the_caches_memory_is_paid() -> None:
    """After more than five minutes the whole prompt is written again."""
    times = (0.0, 100.0, 500.0)
    late = episode(*(uses("a", recorded=counted(2000 + 1000 * n, at_s=at)) for n, at in enumerate(times)))
    assert played(late).read_tokens == 2000
    assert played(late).steps == [2000, 3000, 4000]


def test_each_call_is_billed_as_the_model_that_answered_it() -> None:
    """Where no model is named, a run of two models has two prices and two caches."""
    models = ("claude-sonnet-4-5", "gpt-4.1", "claude-sonnet-4-5")
    mixed = episode(*(uses("a", recorded=counted(2000 + 100 * n, model=model)) for n, model in enumerate(models)))
    outcome = played(mixed, tariffs=Tariffs(PRICES))
    assert outcome.uncached_nano == 2100 * 2000  # gpt-4.1 has never seen the prompt
    assert outcome.write_nano == (2000 + 200) * 3750
    assert outcome.read_nano == 2000 * 300


def test_a_route_alternates_between_two_caches() -> None:
    """Each model reads only what it was sent itself: the cheap one pays for what it missed."""
    reads = episode(
        *(uses("get_order", recorded=counted(2000 + 1000 * n, 0)) for n in range(2)), says("", recorded=counted(4000))
    )
    outcome = played(reads, "route_reads:to=gpt-4.1")
    assert outcome.read_nano == 1920 * 500
    assert outcome.uncached_nano == (2000 + 3000 - 1920) * 2000
    assert outcome.write_nano == 4000 * 3750


def test_a_served_call_costs_nothing_and_sends_nothing() -> None:
    """A hit of the response cache is neither billed nor known to the provider's cache."""
    memory: dict[str, Any] = {}
    turns = (uses("get_order", "A1", recorded=counted(2000)), says("Done.", recorded=counted(3000)))
    played(episode(*turns), "response_cache", memory=memory)
    outcome = played(episode(*turns, name="run-2", task="task-2"), "response_cache", memory=memory)
    assert (outcome.served, outcome.calls, outcome.on_nano, outcome.off_nano) == (2, 0, 0, 0)
    assert outcome.costs == [0, 0]


def test_a_stopped_run_pays_for_what_was_made() -> None:
    """The calls up to the stop are billed as recorded, and none after."""
    loop = episode(*(uses("get_order", "same", recorded=counted(2000 + 100 * n)) for n in range(20)))
    whole, stopped = played(loop), played(loop, "breakers")
    assert stopped.stopped == "identical_calls"
    assert stopped.calls == 8
    assert stopped.on_nano == sum(whole.costs[:8])
    assert sum(stopped.costs) == stopped.on_nano


def test_the_split_with_overhead_sums_to_the_bill() -> None:
    """Summaries and fetches are in the bill, and beside the run's own parts."""
    names = " ".join(f"item_{n}" for n in range(400))  # more than a stub lists
    long = episode(
        *(uses("search", f"{names} AB-{n:07} {'word ' * 400}", order=f"AB-{n - 1:07}") for n in range(30)),
        tools=schemas("search"),
    )
    for by in ("summarize:above=3000:keep=2:to=100:margin=0:break_even=no", "reference:above=300"):
        outcome = played(long, by)
        parts = (outcome.read_nano, outcome.write_nano, outcome.uncached_nano, outcome.output_nano)
        assert outcome.overhead_nano > 0
        assert outcome.on_nano == sum(parts) + outcome.overhead_nano == sum(outcome.costs)
        assert outcome.overhead_calls == outcome.tally["summaries"] + outcome.tally["fetches"]
        written = 100 * outcome.tally["summaries"] + FETCH_TOKENS * outcome.tally["fetches"]
        plain = outcome.input_tokens + outcome.overhead_tokens - written
        assert outcome.off_nano == plain * 3000 + (outcome.output_tokens + written) * 15_000


_texts = st.sampled_from(["ok", "AB-1234567 found", '{"id": "AB-1234567", "n": 1}', "word " * 300, ""])
_turns = st.one_of(
    st.builds(uses, st.sampled_from(["get_order", "cancel_order", "bash"]), _texts, failed=st.booleans(), order=_texts),
    st.builds(says, _texts, then=st.none() | _texts),
    st.lists(st.builds(Asked, st.sampled_from(["get", "put"]), st.just({}), _texts), max_size=3).map(
        lambda asked: Turn(asked=tuple(asked))
    ),
)
_runs = st.lists(_turns, min_size=1, max_size=10)


@settings(deadline=None, max_examples=40)
@given(turns=_runs, name=st.sampled_from(list(STRATEGIES)), model=st.sampled_from(list(BILLS)), warm=st.booleans())
def test_books_balance_whatever_the_run(turns: list[Turn], name: str, model: str, warm: bool) -> None:
    """For any run, strategy and price the parts sum to the bill, and reads never exceed the prompts."""
    run_ = episode(*turns, tools=schemas("get_order", "cancel_order"))
    outcome = played(run_, name, warm=warm, tariffs=Tariffs(PRICES, model=model))
    parts = (outcome.read_nano, outcome.write_nano, outcome.uncached_nano, outcome.output_nano, outcome.overhead_nano)
    assert outcome.on_nano == sum(parts) == sum(outcome.costs)
    assert 0 <= outcome.read_tokens <= outcome.input_tokens
    assert outcome.calls + outcome.served + (outcome.stopped is not None) == len(outcome.costs)
    assert outcome.stopped or len(outcome.costs) == len(turns)
    assert all(count >= 0 for count in outcome.tally.values())
    assert outcome.tally["dangling_steps"] <= outcome.tally["acting_steps"]


@settings(deadline=None, max_examples=40)
@given(turns=_runs, name=st.sampled_from(list(STRATEGIES)))
def test_nothing_beside_a_strategy_changes_nothing(turns: list[Turn], name: str) -> None:
    """A strategy composed with none, before or behind it, comes out as it does alone."""
    of, one, none = episode(*turns, tools=schemas("get_order")), strategy(name), strategy("none")
    alone = run(scene(of), one)
    for parts in ((none, one), (one, none), (none, one, none)):
        assert run(scene(of), Combined(parts)) == alone


@settings(deadline=None, max_examples=40)
@given(turns=_runs, name=st.sampled_from(["prompt_cache", "tool_cache"]))
def test_what_sends_the_same_requests_costs_the_same(turns: list[Turn], name: str) -> None:
    """Strategies that change no request save not one nano-USD of the model's bill."""
    of = episode(*turns, tools=schemas("get_order"))
    recorded, outcome = played(of), played(of, name)
    assert (outcome.on_nano, outcome.off_nano, outcome.steps) == (recorded.on_nano, recorded.off_nano, recorded.steps)


HINDSIGHT = ("prune_tools_oracle", "route_reads", "route_short")
"""Strategies whose docstring says that they use hindsight."""


@pytest.mark.parametrize("name", HINDSIGHT)
def test_hindsight_says_so(name: str) -> None:
    """What looks at what came later is labelled a bound, and says it in its description."""
    kind = STRATEGIES[name]
    assert "hindsight" in (kind.__doc__ or "")
    assert kind.fidelity == "price bound only"


@settings(deadline=None, max_examples=60)
@given(turns=_runs, more=_runs, name=st.sampled_from([name for name in STRATEGIES if name not in HINDSIGHT]))
def test_no_strategy_looks_ahead(turns: list[Turn], more: list[Turn], name: str) -> None:
    """What a strategy makes of the first calls does not depend on what comes after them."""
    of = schemas("get_order", "cancel_order")
    short, long = played(episode(*turns, tools=of), name), played(episode(*turns, *more, tools=of), name)
    assert long.costs[: len(short.costs)] == short.costs
    assert long.steps[: len(short.steps)] == short.steps
    assert short.stopped in (None, long.stopped)


@pytest.mark.parametrize("name", STRATEGIES)
def test_hostile_runs_are_replayed(name: str) -> None:
    """Calls without messages, repeated ids, missing results, no tools and odd content come out with a bill."""
    same = AIMessage("", tool_calls=[{"name": "get_order", "args": {"": None}, "id": None}] * 2)
    odd: list[BaseMessage] = [HumanMessage([]), same, HumanMessage([{"type": "image", "url": "x"}, "text"])]
    calls = (
        Call((), 0, AIMessage("")),
        Call([], 0, same),
        Call(odd, 1, same),
        Call(odd, 3, AIMessage([{"type": "text", "text": "ok"}])),
        Call(odd, 2, same, recorded=counted(5)),
        Call(odd[::-1], 3, AIMessage("\ud83d", invalid_tool_calls=[])),
    )
    outcome = played(Episode("odd", calls), name)
    assert outcome.calls == len(calls)
    assert outcome.on_nano >= 0


@pytest.mark.parametrize("name", STRATEGIES)
def test_a_run_without_calls_costs_nothing(name: str) -> None:
    """Where nothing was called there is nothing to pay."""
    assert played(episode(), name) == Outcome()


def test_repeated_tool_call_ids_are_no_fault() -> None:
    """Agents that number their tool calls from 0 in every answer are replayed like others."""
    asked = [{"name": "get_order", "args": {"n": 1}, "id": "call_0"}]
    history: list[BaseMessage] = [HumanMessage("Hi"), *(AIMessage("", tool_calls=asked) for _ in range(6))]
    of = Episode(
        "same ids",
        tuple(Call(history, place, answer) for place, answer in enumerate(history) if isinstance(answer, AIMessage)),
    )
    for name in STRATEGIES:
        assert played(of, name).calls == 6


def test_ten_thousand_calls_are_one_run_like_another() -> None:
    """A run of ten thousand calls is replayed, and one of five hundred by each default strategy."""
    turns = [uses("get_order", f"AB{n:07}", order=f"AB{n - 1:07}") for n in range(10_000)]
    long = episode(*turns, tools=schemas("get_order"))
    given = scene(long)
    assert run(given, strategy("none")).calls == 10_000
    short = Episode(long.id, long.calls[:500], tools=long.tools)
    sizes = scene(short)
    for name in DEFAULT:
        assert run(sizes, strategy(name)).calls <= 500


def test_what_was_read_when_it_was_recorded_says_nothing() -> None:
    """The bill is that of the simulated cache: a first call reads nothing, whatever it read in its day."""
    warm_then = Recorded(Usage(2000, 10, cache_read_tokens=1900), knows_cache=True)
    assert played(episode(uses("a", recorded=warm_then))).read_tokens == 0


def test_the_price_of_a_step_may_rise_with_its_length() -> None:
    """A prompt beyond a model's long-context step is billed at that step, as the price list has it."""
    long = episode(says("", recorded=counted(200_001, 10)))
    outcome = played(long, tariffs=Tariffs(model="claude-sonnet-4-5"))
    assert outcome.off_nano == 200_001 * 6000 + 10 * 22_500
