from __future__ import annotations

from collections import Counter
from itertools import pairwise
from statistics import quantiles

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.messages import ChatMessage, HumanMessage, SystemMessage

from langchain_agentcost.replay.episode import Episode
from langchain_agentcost.replay.run import Outcome
from langchain_agentcost.replay.sizes import Sizes
from langchain_agentcost.replay.sums import CURVE_STEPS, PARTS, Composition, Sums, part_of, quantile, three_digits
from langchain_agentcost.tokens import TokenCounter
from tests.replay.made import counted, episode, played, says, schemas, uses


def _outcome(costs: list[int], *, stopped: str | None = None) -> Outcome:
    """A run with calls of these costs, all of it output."""
    total = sum(costs)
    steps = [1000 * cost + 7 for cost in costs]
    return Outcome(
        calls=len(costs),
        stopped=stopped,
        on_nano=total,
        off_nano=2 * total,
        output_nano=total,
        steps=steps,
        costs=list(costs),
        tally=Counter({"dangling_steps": len(costs)}),
    )


_judged = st.sampled_from([None, True, False])
_run = st.tuples(
    st.sampled_from(["task-1", "task-2", "task-3"]),
    _judged,
    st.booleans(),
    st.lists(st.integers(0, 50), max_size=5),
    st.sampled_from([None, None, "budget", "tool_errors"]),
)
Run = tuple[str, bool | None, bool, list[int], str | None]


def _summed(runs: list[Run]) -> Sums:
    sums = Sums()
    for task, success, biased, costs, stopped in runs:
        of = Episode("run", (), task=task, success=success, biased=biased)
        sums.add(of, _outcome([50] * len(costs)), _outcome(costs, stopped=stopped))
    return sums


@settings(deadline=None)
@given(runs=st.lists(_run, max_size=12), cuts=st.lists(st.integers(0, 12), max_size=3), backwards=st.booleans())
def test_sums_of_parts_are_the_sum(runs: list[Run], cuts: list[int], backwards: bool) -> None:
    """However runs are divided among processes, and in whatever order they come back, the sums are the same."""
    whole = _summed(runs)
    places = [0, *sorted(cuts), len(runs)]
    parts = [_summed(runs[start:end]) for start, end in pairwise(places)]
    merged = Sums()
    for part in reversed(parts) if backwards else parts:
        merged.merge(part)
    assert merged == whole
    assert [merged.column(place) for place in range(6)] == [whole.column(place) for place in range(6)]


@settings(deadline=None)
@given(runs=st.lists(_run, max_size=12))
def test_the_columns_sum_to_the_bill(runs: list[Run]) -> None:
    """Every nano-USD is in one task, in the split, and in one step of the curve."""
    sums = _summed(runs)
    bill = sum(sum(costs) for *_, costs, _ in runs)
    assert sum(sums.column(1)) == sums.amounts["output_nano"] == sum(sums.curve) == bill
    assert sum(sums.column(2)) == 2 * bill
    assert sum(sums.steps.values()) == sums.amounts["calls"]
    assert sums.judged_nano <= bill
    assert sums.failed_nano <= sums.judged_nano


def test_a_success_that_was_stopped_is_killed_and_its_money_lost() -> None:
    """Stopped runs count as failed; killed are those of them that succeeded when they were recorded."""
    sums = _summed(
        [
            ("a", True, False, [10], None),
            ("a", True, False, [20], "budget"),
            ("a", False, False, [30], None),
            ("a", False, False, [40], "budget"),
            ("a", None, False, [50], "budget"),
            ("a", True, True, [60], "budget"),  # chosen by how it ended: says nothing
        ]
    )
    assert (sums.judged, sums.successes, sums.killed, sums.stopped) == (4, 2, 1, 4)
    assert (sums.judged_nano, sums.failed_nano) == (100, 90)
    assert sums.stops == {"budget": 4}


def test_the_strategys_own_calls_count_against_it() -> None:
    """Tokens of summaries and the like are taken off what is saved."""
    sums = Sums()
    now = _outcome([1])
    now.overhead_tokens = 500
    sums.add(Episode("run", (), task="a"), _outcome([2]), now)
    assert (sums.column(0), sums.column(3)) == ([1507], [2007])


def test_columns_are_in_the_order_of_tasks() -> None:
    """An interval must not depend on which task came first."""
    runs: list[Run] = [("b", None, False, [2], None), ("a", None, False, [1], None)]
    assert _summed(runs).column(1) == _summed(runs[::-1]).column(1) == [1, 2]


def test_the_curve_is_a_mean_that_adds_up() -> None:
    """What a run has cost on average up to each step; steps beyond the last are the last."""
    sums = _summed([("a", None, False, [10**9, 2 * 10**9], None), ("b", None, False, [10**9], None)])
    assert sums.cumulative_usd() == [1.0, 2.0]
    assert Sums().cumulative_usd() == []
    long = _summed([("a", None, False, [1] * (CURVE_STEPS + 50), None)])
    assert len(long.cumulative_usd()) == CURVE_STEPS
    assert long.curve[-1] == 51


@pytest.mark.parametrize(("tokens", "rounded"), [(0, 0), (999, 999), (1004, 1000), (1005, 1000), (123_456, 123_000)])
def test_three_digits_are_kept(tokens: int, rounded: int) -> None:
    """Up to 999 exactly, beyond it three digits."""
    assert three_digits(tokens) == rounded


@settings(deadline=None)
@given(st.integers(0, 10**9))
def test_rounding_is_half_a_percent_at_most(tokens: int) -> None:
    """No step is off by more than half of a hundredth."""
    assert abs(three_digits(tokens) - tokens) <= tokens / 200


@settings(deadline=None)
@given(values=st.lists(st.integers(0, 1000), min_size=1), share=st.sampled_from([0.1, 0.5, 0.9, 1.0]))
def test_a_quantile_is_by_nearest_rank(values: list[int], share: float) -> None:
    """At least that share of the values is not above it, and less than that is below it."""
    found = quantile(Counter(values), share)
    assert found in values
    assert sum(value <= found for value in values) >= share * len(values) - 1e-9
    assert sum(value < found for value in values) < share * len(values) + 1e-9


def test_a_quantile_of_nothing_is_not_known() -> None:
    """Unknown is None, and many values agree with the standard library."""
    assert quantile({}, 0.5) is None
    assert quantile(Counter(range(1, 1000)), 0.9) == pytest.approx(quantiles(range(1, 1000), n=10)[-1], abs=1)


def test_the_composition_of_a_run_is_its_prompts() -> None:
    """Step by step the parts sum to the recorded prompts, each message counted as what it is."""
    totals = (2000, 3000, 4500)
    of = episode(*(uses("search", "x " * 50, recorded=counted(total)) for total in totals), tools=schemas("search"))
    made = Composition()
    made.add(of, Sizes(of, TokenCounter()))
    assert [sum(tokens) for tokens in made.tokens[:3]] == list(totals)
    first, second, _ = list(made.by_step())
    assert first["tool results"] == 0 < second["tool results"]
    assert first["tools"] == second["tools"] > 0
    assert list(first) == list(PARTS)


def test_compositions_add_up() -> None:
    """Merged by processes or added one by one, they are the same."""
    runs = [episode(*(uses("a", "x", n=n) for n in range(length)), says("Done.")) for length in (1, 5, 3)]
    whole, parts = Composition(), Composition()
    for of in runs:
        part = Composition()
        part.add(of, Sizes(of, TokenCounter()))
        parts.merge(part)
        whole.add(of, Sizes(of, TokenCounter()))
    assert parts == whole


def test_a_composition_is_drawn_as_long_as_a_tenth_of_the_runs_goes_on() -> None:
    """A single long run among many short ones does not stretch the plot."""
    made = Composition()
    for length in [1] * 20 + [50]:
        of = episode(*(uses("a", "x", n=n) for n in range(length)))
        made.add(of, Sizes(of, TokenCounter()))
    assert len(list(made.by_step())) == 1
    assert list(Composition().by_step()) == []


def test_a_prompt_that_goes_back_is_composed_as_it_is() -> None:
    """A sub-agent's history and a retry's shorter prompt have their own parts, and not those of the call before."""
    one, other = episode(uses("a"), uses("a"), says("Hi."), user="word " * 100), episode(says("Ho."), user="word")
    mixed = Episode("mixed", (*one.calls, one.calls[1], *other.calls))
    made, sizes = Composition(), Sizes(mixed, TokenCounter())
    made.add(mixed, sizes)
    prompts = [sum(sizes.of(message).tokens for message in call.messages) for call in mixed.calls]
    assert [sum(tokens) for tokens in made.tokens[: len(prompts)]] == prompts


def test_what_is_neither_counts_as_the_users() -> None:
    """A message of an unknown role is what somebody said."""
    assert PARTS[part_of(ChatMessage(content="Hi", role="critic"))] == "user"
    assert PARTS[part_of(HumanMessage("Hi"))] == "user"
    assert PARTS[part_of(SystemMessage("Hi"))] == "system"


def test_a_replayed_run_adds_what_was_replayed() -> None:
    """The sums of a real run are those of its outcome."""
    of = episode(uses("search", recorded=counted(2000)), says("Done.", recorded=counted(3000)), success=True)
    outcome, sums = played(of), Sums()
    sums.add(of, outcome, outcome)
    assert sums.tasks == {"task-1": (5000, outcome.on_nano, outcome.off_nano) * 2}
    assert (sums.episodes, sums.judged, sums.successes, sums.killed) == (1, 1, 1, 0)
    assert sums.tally == {"acting_steps": 1}
