from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import cycle
from typing import Any

import pytest

from langchain_agentcost.quality import QualityFloor
from langchain_agentcost.replay.advice import KINDS, Finding, Verdict, advise
from langchain_agentcost.replay.advice.advising import Advice
from langchain_agentcost.replay.advice.paid import StandIn
from langchain_agentcost.replay.episode import NOTHING, Episode, Recorded
from langchain_agentcost.replay.strategy import Fidelity
from langchain_agentcost.replay.tariff import Tariffs
from tests.replay.advice_runs import LIST, MISTAKES, RUNS, advice_on, billed, clean, in_a_loop, ordinary, support
from tests.replay.made import Turn, uses


def kinds(advice: Advice) -> list[str]:
    """The kinds of findings, in their order."""
    return [finding.kind for finding in advice.findings]


def the(kind: str) -> Finding:
    """The finding in traffic with just that mistake."""
    [found] = advice_on(kind).findings
    return found


def retold(runs: list[Episode], change: Callable[[Recorded], Recorded], **fields: Any) -> list[Episode]:
    """The same runs, with what was reported of each call changed; `fields` are `Episode`'s."""
    return [
        replace(run, calls=tuple(replace(c, recorded=change(c.recorded)) for c in run.calls), **fields) for run in runs
    ]


def unheard(runs: list[Episode]) -> list[Episode]:
    """The same runs, of which nobody reported anything."""
    return retold(runs, lambda _: NOTHING)


def ours(runs: list[Episode]) -> list[Episode]:
    """The same runs of a model that no list knows, recorded at a cost of 0."""
    return retold(runs, lambda told: replace(told, cost_nano=0, model="our-own"), model="our-own")


def silent(told: Recorded) -> Recorded:
    """The same report without a word about the cache."""
    assert told.usage is not None
    return replace(told, knows_cache=False, usage=replace(told.usage, cache_read_tokens=0))


def bill(runs: list[Episode]) -> int:
    """What was recorded as the cost of runs."""
    return sum(call.recorded.cost_nano or 0 for run in runs for call in run.calls)


def test_nothing_is_found_in_traffic_of_an_agent_that_does_nothing_wrong() -> None:
    """A prompt cache that is hit, a stable prefix, no loops, successes and tools in use give no finding."""
    assert kinds(advise(clean())) == []


@pytest.mark.parametrize("model", ["claude-sonnet-4-5", "deepseek-chat", "gemini-2.5-pro", "grok-3", "nobody-knows-it"])
@pytest.mark.parametrize("heard", [True, False], ids=["with usage", "without usage"])
def test_nothing_is_found_whoever_serves_it(model: str, heard: bool) -> None:
    """Good traffic is good with every kind of prompt cache, without a price, and where nothing was reported."""
    runs = support(model=model)
    priced = LIST.of(model) is not None
    assert kinds(advise(billed(runs) if heard and priced else unheard(runs))) == []


@pytest.mark.parametrize("kind", KINDS)
def test_each_mistake_is_found_and_nothing_else(kind: str) -> None:
    """Traffic with one mistake gives the finding of that mistake, once, and no other."""
    assert kinds(advice_on(kind)) == [kind]


@pytest.mark.parametrize("kind", KINDS)
def test_every_finding_says_what_it_takes(kind: str) -> None:
    """A finding has evidence, effort, latency, risk, a verdict with its reason, and lines of code."""
    found = the(kind)
    assert all((*found.evidence, *found.manner, found.why, found.code, found.title))
    assert found.verdict in Verdict
    assert found.traffic.source == "desk"


def test_an_unused_prompt_cache_is_worth_what_the_same_runs_cost_less_with_it() -> None:
    """The saving is the bill without the cache less that of the same requests with it, to the nano-USD."""
    runs = support(model="claude-sonnet-4-5")
    found = the("prompt_cache")
    paid = bill(billed(runs, cached=False))
    written = advise(unheard(runs)).bills[0]  # its bill is simulated without caching
    assert written.amount == found.saving.bill == paid
    tariff = LIST.of("claude-sonnet-4-5")
    assert tariff is not None
    cached = sum(
        tariff.nano(tariff.usage(use.input_tokens, use.output_tokens, read_tokens=use.cache_read_tokens))
        for run in billed(runs)
        for call in run.calls
        if (use := call.recorded.usage) is not None
    )
    assert found.saving.amount == paid - cached
    assert found.saving.fidelity is Fidelity.EXACT
    assert found.verdict is Verdict.WORTH
    assert float(str(found.facts["warm_pct"])) > found.saving.pct


def test_a_cost_below_the_uncached_price_tells_that_the_cache_was_hit() -> None:
    """Where the provider did not say what its cache served, the recorded cost does: no finding where it is low."""
    assert kinds(advise(retold(clean(), silent))) == []
    assert kinds(advise(retold(billed(support(), cached=False), silent))) == ["prompt_cache"]


def test_a_volatile_item_is_named_and_dated() -> None:
    """The finding says which part of the prompt changes, of what kind it is, and since when."""
    found = the("volatile_prefix")
    assert found.facts["items"] == [{"place": "system message, line 1", "kind": "clock time", "changes": 96}]
    assert found.facts["since"] == "2026-09-21T14:13:40+00:00"
    assert found.saving.low is not None
    assert found.saving.low > 40


def test_loops_tell_how_many_successes_the_breaker_kills() -> None:
    """A breaker that stops runs which succeeded is unproven against the floor, with its numbers."""
    found = the("loops")
    assert (found.facts["runs_stopped"], found.facts["successes_killed"]) == (6, 6)
    assert found.kept is not None
    assert (found.kept.good, found.kept.trials, found.kept.proven) == (18, 24, False)
    assert found.verdict is Verdict.YET
    assert found.facts["most_repeated"] == 14


def test_loops_of_failed_runs_are_worth_stopping_once_enough_successes_are_kept() -> None:
    """With 60 successes kept of 60 the floor is proven, and the breaker is worth it."""
    runs = billed(support(in_a_loop, success=lambda number: number % 4 > 0, runs=80))
    [loops] = [finding for finding in advise(runs).findings if finding.kind == "loops"]
    assert loops.kept is not None
    assert (loops.kept.good, loops.kept.trials, loops.kept.proven) == (60, 60, True)
    assert loops.verdict is Verdict.WORTH


def test_a_lower_floor_is_proven_by_fewer_successes() -> None:
    """The floor that is asked for decides: 18 of 24 kept prove a floor of one half."""
    [found] = advise(MISTAKES["loops"](), floor=QualityFloor("successes kept", min=0.5)).findings
    assert found.verdict is Verdict.WORTH


def test_failed_runs_are_a_ceiling_and_a_step_limit_is_tried() -> None:
    """Failed runs that are much longer than any success are ended by a limit that was chosen on other tasks."""

    def turns(number: int) -> Sequence[Turn]:
        long = [uses("get_order", f"{number} {turn}", order=f"{number}-{turn}") for turn in range(40)]
        return ordinary(number) if number % 3 else long

    runs = billed(support(turns, success=lambda number: number % 3 > 0, runs=90))
    [found] = [finding for finding in advise(runs).findings if finding.kind == "failed_runs"]
    assert found.facts["failed_runs"] == 30
    assert found.facts["step_limit"] == 6
    assert found.facts["successes_killed"] == 0
    assert "Budget(steps=6" in found.code
    assert found.saving.pct > 60
    assert found.saving.pct < float(str(found.facts["failed_pct"]))
    assert found.verdict is Verdict.WORTH


def test_tool_results_are_compared_with_prompt_caching_on_and_off() -> None:
    """Every way to send less of them is shown with its saving in both cases and what it takes away."""
    found = the("tool_results")
    said = "\n".join(found.evidence)
    assert all(name in said for name in ("truncate", "reference", "mask_batched"))
    assert said.count("with prompt caching") == 3
    assert found.saving.fidelity is Fidelity.OPEN_LOOP
    assert found.verdict is Verdict.YET


def test_a_dominated_model_is_compared_by_its_own_tokens() -> None:
    """The cheaper model's bill is that of its own runs on the same tasks; few tasks prove nothing."""
    found = the("dominated_model")
    assert found.facts["cheaper"] == "gpt-4.1-mini"
    assert found.facts["common_tasks"] == RUNS
    assert found.saving.pct == pytest.approx(80)
    assert found.verdict is Verdict.YET


def test_a_model_that_does_worse_does_not_dominate() -> None:
    """Where the cheaper model fails on more tasks than the floor allows, nothing is said of it."""
    worse = billed(support(model="gpt-4.1-mini", source="trial", success=lambda number: number % 10 > 0))
    assert kinds(advise([*clean(), *worse])) == []


def test_the_same_tasks_of_another_benchmark_are_other_tasks() -> None:
    """Models are compared within a benchmark only."""
    elsewhere = billed(support(model="gpt-4.1-mini", source="trial", benchmark="other"))
    assert kinds(advise([*clean(), *elsewhere])) == []


def test_growth_gives_the_fitted_exponent() -> None:
    """Where every turn brings as much as the one before, input grows with about the square of the calls."""
    found = the("context_growth")
    low, p, high = (float(str(found.facts[name])) for name in ("exponent_low", "exponent", "exponent_high"))
    assert 1.5 < low < p < high < 2.5


def test_repeats_count_what_would_have_been_answered_otherwise() -> None:
    """The first prompt of every run is the same, and each run looks up another order: all hits are wrong."""
    found = the("repeats")
    assert (found.facts["response_hits"], found.facts["wrong_action_hits"]) == (RUNS - 1, RUNS - 1)
    assert found.verdict is Verdict.YET


def test_without_a_price_findings_are_in_tokens_and_come_last() -> None:
    """A model that no list knows, recorded at a cost of 0, has findings in tokens, behind those in dollars."""
    unpriced = ours(billed(support(in_a_loop)))
    made = advise([*unpriced, *MISTAKES["loops"]()])
    assert [(finding.kind, finding.saving.unit) for finding in made.findings] == [("loops", "usd"), ("loops", "tokens")]
    tokens = sum(use.total_tokens for run in unpriced for call in run.calls if (use := call.recorded.usage) is not None)
    assert made.bills[1].amount == tokens


def test_another_models_price_can_stand_in() -> None:
    """With a stand-in the same findings are in dollars, and models that have a price keep theirs."""
    made = advise([*ours(billed(support(in_a_loop))), *clean()], tariffs=StandIn(Tariffs(), "gpt-4.1"))
    assert [(one.traffic.model, one.unit) for one in made.bills] == [("our-own", "usd"), ("gpt-4.1", "usd")]
    assert made.bills[1].amount == bill(clean())


def test_runs_are_added_up_by_benchmark_where_asked_for() -> None:
    """Two sources of one benchmark are two kinds of traffic, or one."""
    runs = [*billed(support(runs=4)), *billed(support(runs=4, source="night desk"))]
    assert [one.runs for one in advise(runs).bills] == [4, 4]
    assert [one.runs for one in advise(runs, by="benchmark").bills] == [8]


def test_ctrl_c_keeps_what_is_done() -> None:
    """An interrupted reading gives the findings of what was read, and says that it is not all."""

    def until_stopped() -> Iterator[Episode]:
        yield from MISTAKES["loops"]()
        raise KeyboardInterrupt

    made = advise(until_stopped())
    assert kinds(made) == ["loops"]
    assert not made.complete


def test_runs_are_forgotten_when_they_are_read() -> None:
    """Each run is read only after the one before was seen, so that one is in memory at a time."""
    seen: list[int] = []
    read: list[int] = []

    def one_by_one() -> Iterator[Episode]:
        for run in clean():
            read.append(len(seen))
            yield run

    advise(one_by_one(), seen=lambda: seen.append(1))
    assert read == list(range(RUNS))


def test_a_bill_that_is_no_list_price_is_what_counts() -> None:
    """Where recorded costs are neither list prices nor follow any rates, savings are scaled to what was paid."""
    factors = cycle((3, 4))
    odd = retold(MISTAKES["loops"](), lambda told: replace(told, cost_nano=(told.cost_nano or 0) * next(factors)))
    [plain], [dear] = advice_on("loops").findings, advise(odd).findings
    assert dear.saving.bill == bill(odd)
    assert Fraction(dear.saving.amount, plain.saving.amount) == pytest.approx(3.5, rel=0.1)
