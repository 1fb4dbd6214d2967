from __future__ import annotations

from fractions import Fraction
from math import log
from random import Random
from statistics import linear_regression

import pytest

from langchain_agentcost.quality import QualityFloor
from langchain_agentcost.replay.advice.exponent import Growth
from langchain_agentcost.replay.advice.finding import Kept, Verdict, judge
from langchain_agentcost.replay.advice.findings.dominated_model import retained
from langchain_agentcost.replay.advice.saved import Saved, Saving
from langchain_agentcost.replay.advice.seen import Basis, SeenCall, SeenRun, Unit
from langchain_agentcost.replay.advice.step_caps import StepCaps
from langchain_agentcost.replay.advice.traffic import Traffic
from langchain_agentcost.replay.strategy import Fidelity

FLOOR = QualityFloor("successes kept", min=0.95)
EXACT, OPEN, BOUND = Fidelity.EXACT, Fidelity.OPEN_LOOP, Fidelity.PRICE_BOUND
PROVEN, UNPROVEN, UNKNOWN = Kept(FLOOR, 60, 60), Kept(FLOOR, 5, 5), Kept(FLOOR, 0, 0)


def saving(pct: int, low: float | None = 1.0, *, fidelity: Fidelity = EXACT, off_pct: float | None = None) -> Saving:
    """A saving of so many percent."""
    return Saving(Unit.USD, pct, 100, fidelity, low, None if low is None else 99.0, off_pct)


@pytest.mark.parametrize(
    ("one", "kept", "verdict", "why"),
    [
        (saving(50), None, Verdict.WORTH, "quality is not touched"),
        (saving(50), PROVEN, Verdict.WORTH, "the quality floor is proven"),
        (saving(50), UNPROVEN, Verdict.YET, "the quality floor is not proven"),
        (saving(50, fidelity=OPEN), PROVEN, Verdict.YET, "information is removed: try it"),
        (
            saving(50, fidelity=OPEN),
            Kept(FLOOR, 2, 38),
            Verdict.YET,
            "information is removed that 36 of 38 successes used",
        ),
        (
            saving(50, fidelity=BOUND),
            None,
            Verdict.YET,
            "an upper bound, told by the lengths of prompts; quality is not touched",
        ),
        (saving(50, fidelity=BOUND), UNKNOWN, Verdict.YET, "an upper bound: what it does to quality is not recorded"),
        (saving(50, fidelity=BOUND), UNPROVEN, Verdict.YET, "the quality floor is not proven"),
        (saving(50, fidelity=BOUND), PROVEN, Verdict.WORTH, "the quality floor is proven"),
        (saving(50, None), None, Verdict.YET, "one task only"),
        (saving(50, 0.0), None, Verdict.NOT, "the interval reaches zero"),
        (saving(50, -3.0), PROVEN, Verdict.NOT, "the interval reaches zero"),
        (saving(1), None, Verdict.NOT, "a small saving: 1.0% of the bill"),
        (saving(0), None, Verdict.NOT, "it saves nothing of the bill"),
        (saving(-7), None, Verdict.NOT, "it would cost 7.0% more"),
        (saving(1, off_pct=44.0), None, Verdict.NOT, "a mirage: 44.0% without prompt caching, 1.0% with it"),
        (saving(-7, off_pct=38.0), None, Verdict.NOT, "a mirage: 38.0% without prompt caching, -7.0% with it"),
    ],
)
def test_a_saving_is_worth_it_only_where_it_is_large_sure_and_harmless(
    one: Saving, kept: Kept | None, verdict: Verdict, why: str
) -> None:
    """Small, uncertain, unproven and mirage savings are not, and the reason is said."""
    found, reason = judge(one, kept)
    assert found is verdict
    assert reason.startswith(why)


@pytest.mark.parametrize(
    ("kept", "said"),
    [
        (Kept(FLOOR, 60, 60), "60 of 60; proven: surely 95.1% at 95% confidence"),
        (Kept(FLOOR, 23, 23), "23 of 23; unproven: surely 87.8% at 95% confidence, where 95% is the floor; 59 of 59"),
        (Kept(FLOOR, 23, 23, share=0.8), "surely 80.0% at 95% confidence, where 95% is the floor; 72 of 72 would"),
        (Kept(FLOOR, 0, 0), "successes kept: unproven, as the recording does not tell"),
        (Kept(QualityFloor("kept", min=1), 9, 9), "surely 71.7% at 95% confidence, where 100% is the floor"),
    ],
)
def test_the_floor_is_told_with_its_numbers(kept: Kept, said: str) -> None:
    """How many were kept of how many, what that proves, and how many it would take."""
    assert said in str(kept)


def test_a_cheaper_model_is_proven_by_many_tasks_only() -> None:
    """Equal models are proven equal enough on many tasks; the same rates on few tasks prove nothing."""
    assert retained(FLOOR, 5, 5, 5) < 0.6
    assert retained(FLOOR, 5_000, 5_000, 5_000) > 0.99
    assert retained(FLOOR, 400, 500, 1_000) < 0.95
    assert retained(FLOOR, 0, 0, 10) == 0


def test_the_exponent_is_that_of_least_squares() -> None:
    """The sums give the slope of `statistics.linear_regression` over the logarithms."""
    dice = Random(7)  # noqa: S311  # noise, not a secret
    points = [(calls, round(1_000 * calls**1.6 * dice.uniform(0.7, 1.4))) for calls in range(2, 42)]
    growth = Growth()
    for number, (calls, tokens) in enumerate(points):
        growth.add(f"task {number}", calls, tokens)
    fitted = growth.fit()
    slope, _ = linear_regression([log(calls) for calls, _ in points], [log(tokens) for _, tokens in points])
    assert fitted is not None
    assert fitted.p == pytest.approx(slope)
    assert fitted.low < 1.6 < fitted.high


@pytest.mark.parametrize("p", [1, 2])
def test_exact_growth_has_a_narrow_interval(p: int) -> None:
    """A perfect power has its exponent at both ends."""
    growth = Growth()
    for calls in range(1, 30):
        growth.add(str(calls), calls, 1_000 * calls**p)
    assert growth.fit() == pytest.approx((p, p, p), abs=1e-6)


@pytest.mark.parametrize(
    "runs",
    [[(5, 100)] * 40, [(calls, 100 * calls) for calls in range(1, 9)], [], [(10 + n % 5, 100 + n) for n in range(40)]],
    ids=["one length", "few runs", "no runs", "much the same length"],
)
def test_no_exponent_is_fitted_where_runs_do_not_tell(runs: list[tuple[int, int]]) -> None:
    """Too few runs, or runs that are all about as long, have none."""
    growth = Growth()
    for number, (calls, tokens) in enumerate(runs):
        growth.add(str(number), calls, tokens)
    growth.add("nothing sent", 3, 0)
    assert growth.fit() is None


def test_savings_are_bootstrapped_by_task() -> None:
    """One task's runs move together: two runs of a task are one draw, and a single task has no interval."""
    saved = Saved()
    for _ in range(50):
        saved.add("a", 10, 100)
    assert saved.saving(Unit.USD, EXACT).low is None
    saved.add("b", 90, 100)
    one = saved.saving(Unit.USD, EXACT)
    assert (one.amount, one.bill) == (590, 5_100)
    assert one.low == pytest.approx(10)
    assert one.high == pytest.approx(90)


def test_intervals_do_not_depend_on_the_order_of_tasks() -> None:
    """The same tasks in another order have the same interval."""
    amounts = [(f"task {number}", number % 7, 10 + number) for number in range(30)]
    ends = []
    for given in (amounts, amounts[::-1]):
        saved = Saved()
        for one in given:
            saved.add(*one)
        ends.append(saved.saving(Unit.USD, EXACT))
    assert ends[0] == ends[1]


def test_a_mirage_is_told_by_the_bill_with_caching() -> None:
    """Both percentages of a mirage are shares of the bill that would be due in that case."""
    one = Saving(Unit.USD, 1, 100, EXACT, 0.5, 1.5, off_pct=12.0, on_pct=3.0)
    assert judge(one, None)[1] == "a mirage: 12.0% without prompt caching, 3.0% with it"
    assert judge(Saving(Unit.USD, 1, 100, EXACT, 0.5, 1.5, off_pct=12.0, on_pct=9.0), None)[1].startswith("a small")


def test_a_share_of_some_runs_is_told_of_the_whole_bill() -> None:
    """What was measured on half of the bill is expected of all of it."""
    saved = Saved()
    saved.add("a", 10, 100)
    assert saved.saving(Unit.USD, EXACT, of=1_000).amount == 100


def run(task: str, calls: int, *, success: bool) -> SeenRun:
    """A run whose calls cost 10 each."""
    call = SeenCall(100, 10, 10, Basis.RECORDED)
    return SeenRun(Traffic("f", "b", "s", "m"), task, Unit.USD, (call,) * calls, success, {}, Fraction(1))


def test_step_limits_are_tried_on_tasks_they_were_not_chosen_on() -> None:
    """The one success that needs more than all others is stopped, although a limit of all successes lets it pass."""
    caps = StepCaps()
    for number in range(40):
        caps.add(run(f"task {number}", 5, success=True))
        caps.add(run(f"hard {number}", 100, success=False))
    caps.add(run("slow", 30, success=True))
    assert caps.cap() == 32
    tried = caps.tried()
    assert (tried.successes, tried.kept) == (41, 40)
    assert tried.saved.saving_pct() > 50


def test_without_a_success_there_is_no_limit() -> None:
    """Nothing tells what a run needs: no limit, and nothing saved."""
    caps = StepCaps()
    caps.add(run("a", 100, success=False))
    assert caps.cap() is None
    assert caps.tried().saved.saving_pct() == 0
