from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from math import comb, exp, nan
from threading import Thread

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from langchain_agentcost.caching.error_budget import GRID, ErrorBudget, Evidence, _evidence
from langchain_agentcost.caching.store import Audit
from langchain_agentcost.errors import CacheError

LOOSE = ErrorBudget(0.1, window=1000)
AUDITS = st.lists(st.builds(Audit, st.floats(0.5, 1), st.booleans(), st.just(0.0)), max_size=80)


def fed(evidence: Evidence, number: int, *, wrong: float = 0.0, score: float = 0.995, seed: int = 0) -> Evidence:
    """Evidence with more audits of one score, a random share of which is wrong."""
    dice = random.Random(seed)  # noqa: S311  # a simulation
    for _ in range(number):
        evidence.record(Audit(score, dice.random() >= wrong, 0.0))
    return evidence


def mixed(seed: int, number: int, wrong_at: Callable[[float], float], score: Callable[[float], float]) -> list[Audit]:
    """Audits whose scores come of a distribution, and which are wrong as often as their score says."""
    dice = random.Random(seed)  # noqa: S311  # a simulation
    scores = [score(dice.random()) for _ in range(number)]
    return [Audit(one, dice.random() >= wrong_at(one), 0.0) for one in scores]


@pytest.mark.parametrize(
    "wrong",
    [{"max_wrong_per_hit": 0.0}, {"max_wrong_per_hit": 0.51}, {"confidence": 0.5}, {"confidence": 1.0},
     {"audit_rate": 0.0}, {"audit_rate": 1.1}, {"window": 600}, {"max_wrong_per_hit": nan}],
)  # fmt: skip
def test_a_budget_that_cannot_be_is_refused(wrong: dict[str, float]) -> None:
    """Shares out of their bounds, and a window that never proves the budget, are errors."""
    with pytest.raises(CacheError, match=r"window|max_wrong|confidence|audit_rate"):
        ErrorBudget(**wrong)  # type: ignore[arg-type]


@given(st.floats(0, 1), st.floats(0, 1, exclude_max=True))
def test_in_shadow_mode_every_would_be_hit_is_audited(score: float, draw: float) -> None:
    """Without evidence nothing is served, and all that could ever be a hit is compared."""
    assert Evidence(LOOSE).decide(score, draw) == ("audit" if score >= GRID[-1] else "ask")


@settings(deadline=None, max_examples=30)
@given(st.floats(GRID[-1], 1), st.floats(0, 1, exclude_max=True))
def test_audits_are_drawn_alike_at_every_score(score: float, draw: float) -> None:
    """While it serves, whether a candidate is audited depends on the draw alone, so no score is over-represented."""
    serving = fed(Evidence(LOOSE), 80, score=0.95)
    assert (serving.decide(score, draw) == "audit") == (draw < LOOSE.audit_rate)


def test_it_serves_from_the_threshold_on_and_asks_below() -> None:
    """The threshold is a score of the grid that the audits reached."""
    serving = fed(Evidence(LOOSE), 100, score=0.93)
    threshold = serving.threshold
    assert threshold in GRID
    assert serving.decide(threshold or 0, 0.5) == "serve"
    fed(serving, 200, wrong=0.5, score=0.8)
    assert serving.threshold is not None
    assert serving.threshold > 0.8
    assert serving.decide(0.8, 0.5) == "ask"


def test_it_does_not_serve_scores_that_it_has_not_seen() -> None:
    """Audits of high scores alone say nothing of low ones, though no wrong one was among them."""
    serving = fed(Evidence(LOOSE), 300, score=0.97)
    assert serving.decide(0.97, 0.5) == "serve"
    assert serving.decide(0.9, 0.5) == "ask"


def test_a_score_that_is_no_number_is_asked_and_proves_nothing() -> None:
    """NaN is neither served nor counted."""
    serving = fed(Evidence(LOOSE), 100)
    before = serving.outlook()
    serving.record(Audit(nan, right=False, at_s=0.0))
    assert serving.decide(nan, 0.0) == "ask"
    assert serving.outlook() == before


@pytest.mark.parametrize("most", [0.01, 0.02, 0.05, 0.1])
def test_it_serves_after_exactly_as_many_right_audits_as_it_said(most: float) -> None:
    """`needed` counts down to 0 with right audits, goes up with a wrong one, and is at least the rule of three."""
    evidence = Evidence(ErrorBudget(most))
    needed = evidence.needed()
    assert needed > 3 / most
    fed(evidence, needed - 1)
    assert (evidence.needed(), evidence.wrong_upper) == (1, None)
    evidence.record(Audit(0.999, right=False, at_s=0.0))
    fed(evidence, evidence.needed() - 1)
    assert evidence.needed() == 1
    fed(evidence, 1)
    assert evidence.needed() == 0
    assert evidence.threshold is not None


@given(st.integers(0, 60), st.floats(0.001, 0.5))
def test_betting_against_the_largest_rate_allowed_wins_nothing_on_average(audits: int, most: float) -> None:
    """Where the wrong rate is exactly the budget, what is won is 1 in the mean, as Ville's bound needs it."""
    chances = [comb(audits, wrong) * most**wrong * (1 - most) ** (audits - wrong) for wrong in range(audits + 1)]
    won = [exp(_evidence(audits, wrong, most)) for wrong in range(audits + 1)]
    assert sum(chance * win for chance, win in zip(chances, won, strict=True)) == pytest.approx(1)


@pytest.mark.parametrize(
    "score",
    [lambda draw: 0.5 + draw / 2, lambda draw: 1 - 0.5 * 0.01**draw, lambda _: 0.999],
    ids=["even", "log", "top"],
)
def test_a_cache_at_its_budget_seldom_ever_serves(score: Callable[[float], float]) -> None:
    """Where the wrong rate is the budget at all scores, at most 1 - confidence of caches serve at any time at all."""
    served = 0
    for seed in range(80):
        evidence = Evidence(ErrorBudget(0.2, window=120))
        served += any(serves_after(evidence, audit) for audit in mixed(seed, 120, lambda _: 0.2, score))
    assert served <= 0.05 * 80


def serves_after(evidence: Evidence, audit: Audit) -> bool:
    """Whether it serves after one more audit."""
    evidence.record(audit)
    return evidence.threshold is not None


@pytest.mark.parametrize("seed", range(5))
def test_the_threshold_stays_above_the_scores_that_are_wrong(seed: int) -> None:
    """Where hits below 0.9 are wrong half of the time and none above, it serves those above only, but does serve."""
    audits = mixed(seed, 900, lambda score: 0.5 if score < 0.9 else 0.0, lambda draw: 0.6 + 0.4 * draw)
    threshold = Evidence(LOOSE, audits).threshold
    assert threshold is not None
    assert 0.83 < threshold < 0.98  # some below 0.9 fit in: it is the rate of all hits that is bounded


@settings(deadline=None, max_examples=50)
@given(AUDITS, st.floats(0.1, 0.5))
def test_what_it_serves_is_bounded_by_the_budget(audits: list[Audit], most: float) -> None:
    """There is a bound exactly where there is a threshold, and it is within the budget."""
    evidence = Evidence(ErrorBudget(most), audits)
    assert (evidence.wrong_upper is None) == (evidence.threshold is None)
    assert (evidence.wrong_upper or 0) <= most


@settings(deadline=None, max_examples=50)
@given(AUDITS, st.floats(0.5, 1))
def test_a_wrong_audit_never_makes_it_serve_more(audits: list[Audit], score: float) -> None:
    """After a wrong audit the threshold is the same, stricter, or gone."""
    evidence = Evidence(ErrorBudget(0.3), audits)
    before = evidence.threshold
    evidence.record(Audit(score, right=False, at_s=0.0))
    assert (evidence.threshold or 2) >= (before or 2)


@settings(deadline=None, max_examples=50)
@given(AUDITS)
def test_evidence_from_a_store_is_the_evidence_that_was(audits: list[Audit]) -> None:
    """Another process comes to the same threshold and bounds from what is stored."""
    live = Evidence(ErrorBudget(0.3))
    for audit in audits:
        live.record(audit)
    again = Evidence.restored(ErrorBudget(0.3), audits)
    assert (again.threshold, again.outlook()) == (live.threshold, live.outlook())


def test_the_outlook_says_what_serving_would_have_done() -> None:
    """In shadow mode it shows, for each threshold, the audits at or above it, the wrong ones, and their bound."""
    evidence = fed(fed(Evidence(LOOSE), 30, score=0.97), 20, wrong=1.0, score=0.7)
    at = {score: next(step for step in evidence.outlook() if step.threshold <= score) for score in (0.98, 0.97, 0.7)}
    assert (at[0.97].audits, at[0.97].wrong) == (30, 0)
    assert (at[0.7].audits, at[0.7].wrong) == (50, 20)
    assert at[0.98].audits == 0
    assert at[0.98].wrong_upper == pytest.approx(1)
    assert 0.1 < at[0.97].wrong_upper < 0.4 < at[0.7].wrong_upper
    assert not any(step.proven for step in evidence.outlook())


def test_old_audits_leave_the_window() -> None:
    """Only the newest audits count."""
    evidence = fed(fed(Evidence(ErrorBudget(0.1, window=100)), 100, wrong=1.0), 100)
    assert evidence.outlook()[-1][1:3] == (100, 0)


@pytest.mark.parametrize("seed", range(3))
def test_a_jump_of_the_error_ends_serving_and_is_all_that_is_remembered(seed: int) -> None:
    """After 900 good audits, some tens of bad ones end it, and the good ones are forgotten."""
    evidence = fed(Evidence(ErrorBudget(0.05)), 900, wrong=0.005, seed=seed)
    assert not evidence.needed()
    for spent in range(60):
        fed(evidence, 1, wrong=0.5, seed=100 * seed + spent)
        if evidence.needed():
            break
    assert evidence.outlook()[-1].audits <= 60
    assert evidence.needed() > 100


def test_a_stricter_threshold_survives_a_jump_below_it() -> None:
    """Where only the lower scores turn bad, what is above goes on being served once it is proven on its own."""
    evidence = fed(fed(Evidence(LOOSE), 300, score=0.8), 300, score=0.97)
    assert (evidence.threshold or 1) < 0.81
    for seed in range(200):
        fed(evidence, 1, score=0.97)
        fed(evidence, 1, wrong=0.8, score=0.8, seed=seed)
    assert evidence.decide(0.97, 0.5) == "serve"
    assert evidence.decide(0.8, 0.5) == "ask"


@pytest.mark.parametrize("seed", range(5))
def test_a_rate_within_the_budget_raises_no_alarm(seed: int) -> None:
    """At half the budget it goes on serving for thousands of audits once it does."""
    evidence = fed(Evidence(LOOSE), 500, wrong=0.03, seed=seed)
    assert evidence.threshold is not None
    fed(evidence, 3000, wrong=0.05, seed=seed + 50)
    assert evidence.threshold is not None
    assert evidence.outlook()[-1].audits == LOOSE.window


def test_many_threads_lose_no_audit() -> None:
    """Audits that are recorded at the same time all count."""
    evidence = Evidence(ErrorBudget(0.1, window=4000))
    threads = [Thread(target=fed, args=(evidence, 300)) for _ in range(6)]
    run(threads)
    assert evidence.outlook()[0][1:3] == (1800, 0)


def run(threads: Sequence[Thread]) -> None:
    """Run threads to their end."""
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
