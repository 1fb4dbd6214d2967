"""Recorded outcomes: what routing whole runs costs and achieves, on runs that their authors made up."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_agentcost.replay import Episode, Fidelity, Tariffs
from langchain_agentcost.replay.outcomes import (
    Always,
    Cascade,
    Coin,
    MeasuredTier,
    Oracle,
    OutcomePolicy,
    Outcomes,
    Pair,
    Sticky,
    TaskRecord,
    TierRecord,
    compare,
    pairs,
)
from langchain_agentcost.replay.strategies.limits import Breakers
from tests.replay.made import PRICES, counted, episode, says, uses

OWN = Tariffs(PRICES)


def ran(
    task: str, model: str, *, success: bool | None, source: str = "", prompt: int = 1_000, **fields: object
) -> Episode:
    """A run of one call without a prompt cache in play."""
    return episode(
        says("Done.", recorded=counted(prompt, 10)),
        name=f"{task}-{model}-{source}-{fields.get('trial', 0)}",
        task=task,
        model=model,
        source=source or model,
        benchmark="desk",
        success=success,
        user=f"Please do {task}.",
        biased=bool(fields.get("biased", False)),
    )


def tier(name: str, nanos: Sequence[int], solved: Sequence[int], *, runs: int = 1, opening: str = "Hi") -> TierRecord:
    """A tier on tasks t0, t1, …: what each run costs, and how many of them succeed."""
    tasks = {
        f"t{place}": TaskRecord(opening, runs=runs, solved=good, nano=nano * runs)
        for place, (nano, good) in enumerate(zip(nanos, solved, strict=True))
    }
    return TierRecord(name, name, tasks)


def pair_of(cheap: TierRecord, strong: TierRecord) -> Pair:
    """Both on all tasks of the cheap one."""
    return Pair("desk", cheap, strong, tuple(sorted(cheap.tasks)))


TEN = pair_of(
    tier("small", [100] * 10, [1, 1, 1, 1, 1, 0, 0, 0, 0, 0]),
    tier("large", [1000] * 10, [1, 1, 1, 1, 0, 1, 1, 1, 0, 0]),
)


def totals(policy: OutcomePolicy, pair: Pair = TEN) -> tuple[int, float]:
    """What a policy costs and solves in all."""
    made = policy.expect(pair)
    return sum(one.cost_nano for one in made), sum(one.success for one in made)


def test_each_run_costs_what_its_own_model_charges() -> None:
    """Llama has no prompt cache: a thousand tokens in and ten out at its own price, and so for every task."""
    outcomes = Outcomes(OWN).add_all(ran(f"t{n}", "llama-3.3-70b", success=n > 0) for n in range(3))
    [record] = outcomes.tiers()["desk"]
    assert [task.cost_nano for task in record.tasks.values()] == [1_000 * 1_000 + 10 * 2_000] * 3
    assert [task.solved for task in record.tasks.values()] == [0, 1, 1]


def test_several_runs_of_a_task_are_one_task() -> None:
    """Four trials are a mean success and a mean cost, and not four tasks."""
    trials = [ran("t", "llama-3.3-70b", success=n == 0, trial=n, prompt=1_000 * (n + 1)) for n in range(4)]
    [record] = Outcomes(OWN).add_all(trials).tiers()["desk"]
    assert record.tasks["t"].success == 0.25
    assert record.tasks["t"].cost_nano == 2_500 * 1_000 + 10 * 2_000


def test_runs_that_say_nothing_of_quality_are_left_out_and_counted() -> None:
    """Not judged, or published because they succeeded: neither counts as a success."""
    outcomes = Outcomes(OWN)
    outcomes.add(ran("t", "gpt-4.1", success=None))
    outcomes.add(ran("u", "gpt-4.1", success=True, biased=True))
    outcomes.add(ran("v", "no-such-model", success=True))
    assert outcomes.tiers() == {}
    assert (outcomes.unjudged, outcomes.unpriced) == (2, {"no-such-model": 1})


def test_the_prompt_cache_of_each_model_is_simulated() -> None:
    """A second call that goes on from the first is billed at the cached rate where the model has one."""
    turns = [uses("look", recorded=counted(20_000)), says("Done.", recorded=counted(20_500))]
    runs = [episode(*turns, model=model, source=model, success=True) for model in ("gpt-4.1", "llama-3.3-70b")]
    cached, plain = Outcomes(OWN).add_all(runs).tiers()["traces"]
    assert cached.tasks["task-1"].nano < 40_500 * 2_000
    assert plain.tasks["task-1"].nano == 40_500 * 1_000 + 20 * 2_000


def test_two_agents_with_the_same_model_are_two_systems_and_no_pair() -> None:
    """They are told apart by their source, and each is a pair with another model; no router chooses between them."""
    runs = [ran(f"t{n}", "gpt-4.1", success=True, source=source) for n in range(3) for source in ("plain", "clever")]
    runs += [ran(f"t{n}", "sonar", success=True) for n in range(3)]
    tiers = Outcomes(OWN).add_all(runs).tiers()
    assert [one.name for one in tiers["desk"]] == ["gpt-4.1 (clever)", "gpt-4.1 (plain)", "sonar"]
    assert len(list(pairs(tiers, min_tasks=3))) == 2
    [pair] = pairs(tiers, ["gpt-4.1 (plain)", "sonar"], min_tasks=3)
    assert pair.tasks == ("t0", "t1", "t2")


def test_the_cheap_tier_is_the_one_that_cost_less_whatever_its_list_price() -> None:
    """A model at half the price that needs five times the tokens is the dear one; few common tasks are no pair."""
    runs = [ran(f"t{n}", "llama-3.3-70b", success=True, prompt=50_000) for n in range(4)]
    runs += [ran(f"t{n}", "gpt-4.1", success=True, prompt=1_000) for n in range(1, 5)]
    tiers = Outcomes(OWN).add_all(runs).tiers()
    [pair] = pairs(tiers, min_tasks=3)
    assert (pair.cheap.name, pair.strong.name, pair.tasks) == ("gpt-4.1", "llama-3.3-70b", ("t1", "t2", "t3"))
    assert list(pairs(tiers, min_tasks=4)) == []


def test_a_run_that_a_limit_stops_is_not_solved() -> None:
    """A strategy that all runs are played under changes what they cost and, where it stops them, how they end."""
    turns = [uses("get_order", "none", recorded=counted(1_000 + 10 * n)) for n in range(12)]
    run = episode(*turns, model="llama-3.3-70b", success=True)
    [recorded] = Outcomes(OWN).add_all([run]).tiers()["traces"]
    [limited] = Outcomes(OWN, by=Breakers()).add_all([run]).tiers()["traces"]
    assert recorded.tasks["task-1"].solved == 1
    assert limited.tasks["task-1"].solved == 0
    assert limited.tasks["task-1"].nano < recorded.tasks["task-1"].nano


def test_a_failed_draft_is_spend() -> None:
    """A perfect verifier keeps five drafts; five more runs of the strong tier come on top of ten drafts."""
    assert totals(Cascade()) == (10 * 100 + 5 * 1000, 8.0)


def test_a_verifiers_mistakes_are_expected_values() -> None:
    """It pays the strong tier for a tenth of the right drafts, and keeps a fifth of the wrong ones."""
    cost, success = totals(Cascade(0.9, 0.2))
    assert cost == 10 * 100 + round((5 * 0.1 + 5 * 0.8) * 1000)
    assert success == pytest.approx(5 * 0.9 + 4 * 0.1 + 0.8 * 3)
    assert Cascade(0.9, 0.2).precision(TEN) == pytest.approx(0.9 / 1.1)


def test_the_router_would_refuse_a_cascade_that_loses_money() -> None:
    """Where the cheap tier costs most of the strong one and half its drafts are thrown away, that is said by name."""
    dear = pair_of(tier("small", [800] * 4, [1, 1, 0, 0]), tier("large", [1000] * 4, [1, 1, 1, 1]))
    row, fine = (compare(pair, [Cascade()])[0] for pair in (dear, TEN))
    assert row.refused == ("loses money",)
    assert row.saved_pct is not None
    assert row.saved_pct < 0
    assert fine.refused == ()


def test_a_gated_cascade_stands_back_where_the_other_tasks_say_that_it_loses_money() -> None:
    """It is then the strong tier alone, and else the cascade itself; the task that is decided on is not looked at."""
    dear = pair_of(tier("small", [800] * 4, [1, 1, 0, 0]), tier("large", [1000] * 4, [1, 1, 1, 1]))
    assert totals(Cascade(gated=True), dear) == totals(Always(), dear)
    assert totals(Cascade(gated=True)) == totals(Cascade())
    one_dear = pair_of(tier("small", [100, 100, 5000], [1, 1, 1]), tier("large", [1000] * 3, [1, 1, 1]))
    assert [one.strong for one in Cascade(gated=True).expect(one_dear)] == [1.0, 1.0, 0.0]


def test_a_verifier_that_accepts_all_is_the_cheap_tier_and_one_that_accepts_nothing_pays_both() -> None:
    """The ends of the scale."""
    assert totals(Cascade(1, 1)) == totals(Always(strong=False))
    assert totals(Cascade(0, 0)) == (10 * 1100, 7.0)


def test_the_oracle_pays_for_the_strong_tier_only_where_that_alone_succeeds() -> None:
    """Three tasks; where neither succeeds it takes the cheaper one."""
    assert totals(Oracle()) == (7 * 100 + 3 * 1000, 8.0)


def test_a_sticky_rule_decides_by_the_first_words_of_other_tasks() -> None:
    """What is longer than the median of the others goes to the strong tier; its own length does not move the line."""
    openings = {f"t{n}": TaskRecord("x" * (n + 1), runs=1, solved=0, nano=100) for n in range(3)}
    made = Sticky().expect(pair_of(TierRecord("small", "small", openings), tier("large", [1000] * 3, [1] * 3)))
    assert [one.strong for one in made] == [0.0, 1.0, 1.0]


def test_a_floor_that_too_few_tasks_prove_leaves_the_strong_tier() -> None:
    """Nine kept successes of nine prove nothing about 95 %; fifty-nine others do."""
    few, many = (pair_of(tier("small", [100] * n, [1] * n), tier("large", [1000] * n, [1] * n)) for n in (10, 60))
    assert {one.strong for one in MeasuredTier(0.95).expect(few)} == {1.0}
    assert {one.strong for one in MeasuredTier(0.95).expect(many)} == {0.0}


def test_the_measured_tier_never_sees_the_task_that_it_decides_on() -> None:
    """Each task alone would tip the scale the other way, were it looked at."""
    pair = pair_of(tier("small", [500] * 3, [1, 0, 0]), tier("large", [1000] * 3, [1, 1, 0]))
    assert [one.strong for one in MeasuredTier().expect(pair)] == [1.0, 0.0, 1.0]


def test_rows_compare_with_the_strong_tier_and_with_a_coin_for_the_same_money() -> None:
    """A coin is as good as itself; the oracle is not better than the cascade with a perfect verifier, but cheaper."""
    rows = {row.policy: row for row in compare(TEN, [Coin(0.3), Cascade(), Oracle(), Always()])}
    coin, cascade, oracle = rows["coin 30% strong"], rows["cascade, perfect verifier"], rows["oracle"]
    assert coin.over_coin == pytest.approx(0)
    assert coin.over_coin_interval is not None
    assert max(map(abs, coin.over_coin_interval)) < 1e-9
    assert cascade.success_pct == oracle.success_pct == 80
    assert (oracle.hindsight, coin.hindsight) == (True, False)
    assert oracle.usd_per_task == Decimal("0.000000370")
    assert oracle.saved_pct == pytest.approx(63)
    assert oracle.points == pytest.approx(10)
    assert oracle.over_coin == pytest.approx(80 - (50 + 20 * 0.3))
    assert rows["always strong"].saved_interval == (0.0, 0.0)
    assert {row.fidelity for row in rows.values()} == {Fidelity.RECORDED_OUTCOME}


def test_another_models_price_on_recorded_answers_is_labelled_as_a_bound() -> None:
    """It says nothing of success, and leaves out that the cheap model takes more tokens."""
    runs = [ran(f"t{n}", "llama-3.3-70b", success=False, prompt=3_000) for n in range(3)]
    runs += [ran(f"t{n}", "sonar", success=True, prompt=1_000) for n in range(3)]
    outcomes = Outcomes(OWN, bounds=["llama-3.3-70b"]).add_all(runs)
    [pair] = pairs(outcomes.tiers(), min_tasks=3)
    assert pair.cheap.name == "llama-3.3-70b"
    always, bound = compare(pair, [Always(strong=False)])
    assert (bound.fidelity, bound.success_pct, bound.over_coin) == (Fidelity.PRICE_BOUND, None, None)
    assert bound.usd_per_task == Decimal("0.001020000") < always.usd_per_task


@pytest.mark.parametrize("bad", [-0.1, 1.1])
def test_shares_are_shares(bad: float) -> None:
    """What is no probability is refused when it is written down."""
    for make in (Coin, Cascade, MeasuredTier, lambda share: Cascade(1.0, share)):
        with pytest.raises(ValueError, match="from 0 to 1"):
            make(bad)


RUNS = st.integers(1, 3).flatmap(
    lambda runs: st.lists(
        st.tuples(st.integers(1, 10**9), st.integers(0, runs), st.integers(1, 10**9), st.integers(0, runs)),
        min_size=2,
        max_size=8,
    ).map(lambda tasks: (runs, tasks))
)


@given(RUNS, st.floats(0, 1), st.floats(0, 1))
def test_no_policy_solves_more_than_both_tiers_or_costs_more_than_both(
    drawn: tuple[int, list[tuple[int, int, int, int]]], right: float, wrong: float
) -> None:
    """On each task success is a probability, and the cost lies between that of the cheaper run and that of both."""
    runs, tasks = drawn
    cheap = tier("a", [one[0] for one in tasks], [one[1] for one in tasks], runs=runs)
    strong = tier("b", [one[2] for one in tasks], [one[3] for one in tasks], runs=runs)
    pair = pair_of(cheap, strong)
    policies: list[OutcomePolicy] = [Coin(right), Cascade(right, wrong), Oracle(), Sticky(), MeasuredTier()]
    for policy in policies:
        for made, (low, high) in zip(policy.expect(pair), pair, strict=True):
            assert 0 <= made.success <= min(1.0, low.success + high.success) + 1e-9
            assert 0 <= made.strong <= 1 + 1e-9
            assert min(low.cost_nano, high.cost_nano) - 1 <= made.cost_nano <= low.cost_nano + high.cost_nano + 1
    assert totals(Oracle(), pair)[1] >= max(totals(Always(strong), pair)[1] for strong in (False, True)) - 1e-9


def test_rows_do_not_depend_on_who_was_read_first() -> None:
    """Runs in any order give the same rows, intervals too."""
    runs = [
        ran(f"t{n}", model, success=n % 3 > 0, prompt=1_000 + n) for n in range(12) for model in ("gpt-4.1", "sonar")
    ]
    first, second = (Outcomes(OWN).add_all(order).tiers() for order in (runs, runs[::-1]))
    assert [compare(pair, [Oracle()]) for pair in pairs(first)] == [compare(pair, [Oracle()]) for pair in pairs(second)]
