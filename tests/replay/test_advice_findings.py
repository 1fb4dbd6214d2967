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
from langchain_agentcost.usage import Usage
from tests.replay.advice_runs import (
    GUIDE,
    LIST,
    MISTAKES,
    RUNS,
    TOOLS,
    advice_on,
    billed,
    clean,
    in_a_loop,
    ordinary,
    support,
    with_clock,
    with_long_results,
)
from tests.replay.made import Turn, says, uses


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


def in_full(usage: Usage) -> Usage:
    """Nothing was read, and nothing stored."""
    return replace(usage, cache_read_tokens=0, cache_write_tokens=0)


def stored(usage: Usage) -> Usage:
    """All of it was stored, and nothing read."""
    return replace(usage, cache_read_tokens=0, cache_write_tokens=usage.input_tokens)


def counted_otherwise(told: Recorded, model: str, was: Callable[[Usage], Usage]) -> Recorded:
    """A report of a provider that counts a third more tokens than this package, at list price."""
    tariff = LIST.of(model)
    assert tariff is not None
    assert told.usage is not None
    usage = was(replace(told.usage, input_tokens=round(1.3 * told.usage.input_tokens)))
    return replace(told, usage=usage, cost_nano=tariff.nano(usage))


def with_clocks(model: str, was: Callable[[Usage], Usage], **fields: Any) -> list[Episode]:
    """Runs with a clock at the top, as such a provider reported them."""
    runs = billed([with_clock(run) for run in support(model=model, **fields)], cached=False)
    return retold(runs, lambda told: counted_otherwise(told, model, was))


def at_best(runs: list[Episode], model: str) -> int:
    """What runs would cost if each call read all that the one before it sent, and stored the rest."""
    tariff = LIST.of(model)
    assert tariff is not None
    whole = 0
    for run in runs:
        known = 0
        for call in run.calls:
            usage = call.recorded.usage
            assert usage is not None
            reads = tariff.terms.cached(known, usage.input_tokens) if tariff.terms is not None else 0
            whole += tariff.nano(tariff.usage(usage.input_tokens, usage.output_tokens, read_tokens=reads))
            known = usage.input_tokens
    return whole


@pytest.mark.parametrize("told", ["by cost", "by usage"])
@pytest.mark.parametrize(
    ("model", "was"),
    [("gpt-4.1", in_full), ("claude-sonnet-4-5", in_full), ("claude-sonnet-4-5", stored)],
    ids=["automatic", "nobody asked", "stored in vain"],
)
def test_a_volatile_item_costs_no_more_than_was_billed_for_it(
    model: str, was: Callable[[Usage], Usage], told: str
) -> None:
    """The saving is the bill less that of the same calls with the cache hit, sized as the provider counted."""
    runs = with_clocks(model, was)
    paid, best = bill(runs), at_best(runs, model)
    if told == "by usage":
        runs = retold(runs, lambda told: replace(told, cost_nano=None))
    [found] = advise(runs).findings
    assert found.kind == "volatile_prefix"
    assert found.saving.bill == paid
    assert 0.9 * (paid - best) < found.saving.amount <= paid - best
    assert ("cache_control" in found.code) == (model != "gpt-4.1" and was is in_full)


def numbered(runs: list[Episode], change: Callable[[int, Recorded], Recorded]) -> list[Episode]:
    """The same runs, with what was reported of each call changed by its number in its run."""
    return [
        replace(
            run, calls=tuple(replace(call, recorded=change(at, call.recorded)) for at, call in enumerate(run.calls))
        )
        for run in runs
    ]


def test_a_cache_has_no_more_than_was_sent_before() -> None:
    """Where what a turn adds is much larger than this package counts, the part behind the clock is not taken for it."""

    def larger(at: int, told: Recorded) -> Recorded:
        assert told.usage is not None
        return replace(told, cost_nano=None, usage=replace(told.usage, input_tokens=2_000 * (at + 1)))

    runs = numbered(with_clocks("gpt-4.1", in_full), larger)
    [found] = advise(runs).findings
    assert found.kind == "volatile_prefix"
    assert found.saving.amount <= found.saving.bill - at_best(runs, "gpt-4.1")


def test_no_call_saves_more_than_it_was_billed() -> None:
    """Where all calls but the first were nearly free, so is what their prompts lost."""
    runs = numbered(
        with_clocks("gpt-4.1", in_full),
        lambda at, told: replace(told, cost_nano=(told.cost_nano or 0) // (100 if at else 1)),
    )
    later = sum(call.recorded.cost_nano or 0 for run in runs for call in run.calls[1:])
    [found] = advise(runs).findings
    assert found.kind == "volatile_prefix"
    assert 0 < found.saving.amount <= later


def test_what_nobody_cached_is_counted_once() -> None:
    """Where a cache was never asked for, its finding and that of the clock save no more than both together can."""
    manual = {"type": "function", "function": {"name": "guide", "description": GUIDE, "parameters": {}}}
    runs = with_clocks("claude-sonnet-4-5", in_full, tools=(*TOOLS, manual))
    made = {finding.kind: finding.saving for finding in advise(runs).findings}
    both = made["prompt_cache"].amount + made["volatile_prefix"].amount
    most = bill(runs) - at_best(runs, "claude-sonnet-4-5")
    assert made["prompt_cache"].amount > 0.1 * bill(runs)
    assert 0.9 * most < both <= most


def test_without_usage_a_volatile_item_is_priced_as_the_replay_counts() -> None:
    """Of runs of which nothing is reported the saving is a share of the simulated bill."""
    runs = unheard([with_clock(run) for run in support(model="claude-sonnet-4-5")])
    [found] = advise(runs).findings
    assert found.kind == "volatile_prefix"
    assert 40 < found.saving.pct < 75


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
    assert all(name in said for name in ("truncate", "reference", "mask_batched", "evict"))
    assert said.count("with prompt caching") == 4
    assert found.saving.fidelity is Fidelity.OPEN_LOOP
    assert found.verdict is Verdict.YET


def test_what_a_cut_saves_with_caching_is_a_share_of_the_bill_with_caching() -> None:
    """The percentage with prompt caching is the same whether the recorded runs used it or not."""
    runs = support(with_long_results)
    one, other = (
        next(finding for finding in advise(given).findings if finding.kind == "tool_results")
        for given in (billed(runs), billed(runs, cached=False))
    )
    assert one.evidence == other.evidence
    assert one.saving.on_pct == other.saving.on_pct == pytest.approx(one.saving.pct)
    assert other.saving.pct < one.saving.pct


def test_a_dominated_model_is_compared_by_its_own_tokens() -> None:
    """The cheaper model's bill is that of its own runs on the same tasks; few tasks prove nothing."""
    found = the("dominated_model")
    assert found.facts["cheaper"] == "gpt-4.1-mini"
    assert found.facts["common_tasks"] == RUNS
    assert found.saving.pct == pytest.approx(80)
    assert found.saving.bill == bill(clean())
    assert found.saving.fidelity is Fidelity.PRICE_BOUND
    assert (found.verdict, found.why) == (Verdict.YET, "the quality floor is not proven")


def test_each_source_of_a_dominated_model_is_compared_by_itself() -> None:
    """Two sources of one model are two findings, each a share of its own bill; of one model none dominates."""
    night = billed(support(source="night desk", runs=10))
    made = advise([*MISTAKES["dominated_model"](), *night])
    found = {finding.traffic.source: finding for finding in made.findings}
    assert {finding.facts["cheaper"] for finding in made.findings} == {"gpt-4.1-mini"}
    assert {source: one.saving.bill for source, one in found.items()} == {
        "desk": bill(clean()),
        "night desk": bill(night),
    }
    assert found["night desk"].facts["judged_runs"] == found["night desk"].facts["common_tasks"] == 10
    assert "10 judged runs, billed" in "\n".join(found["night desk"].evidence)


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


def test_what_could_not_be_looked_at_is_told_with_its_reason() -> None:
    """Few runs of one call, of which nothing was reported and nobody judged: next to nothing can be said of them."""
    runs = unheard(support(lambda number: [says(f"Order {number} is lost.")], runs=3, success=lambda _: None, tools=()))
    made = advise(runs)
    why = {one.kind: one.why for one in made.unjudged}
    assert why == {
        "context_growth": "it takes 10 runs of several tasks, one with 2 times the calls of another",
        "dominated_model": "no two models with a price were judged on the same 5 tasks",
        "failed_runs": "nobody said of a run whether it succeeded",
        "prompt_cache": "it is not recorded what the cache served",
        "unused_tools": "no descriptions of tools are known",
        "volatile_prefix": "no call follows another one whose text and price are known",
    }
    assert {one.runs for one in made.unjudged} == {3}
    assert {one.kind for one in advise(retold(runs, lambda told: told, model="our-own")).unjudged} - why.keys() == {
        "output"
    }


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_found_was_looked_at(kind: str) -> None:
    """No finding is said not to have been looked for."""
    assert kind not in {one.kind for one in advice_on(kind).unjudged}


def test_runs_in_another_order_give_the_same_figures() -> None:
    """Savings, intervals and exponents do not depend on which run was read first."""
    runs = MISTAKES["context_growth"]()
    one, other = (advise(given).to_dict() for given in (runs, runs[::-1]))
    assert one["findings"][0]["saving"] == other["findings"][0]["saving"]
    assert one["bills"] == other["bills"]


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
