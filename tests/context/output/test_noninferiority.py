"""A paired test that a changed wording is no worse."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_agentcost.context.noninferiority import noninferior
from langchain_agentcost.quality import QualityFloor

FLOOR = QualityFloor("answers right", min=0.9)

KEPT, LOST, WON, NEVER = (True, True), (True, False), (False, True), (False, False)


def test_no_examples_prove_nothing() -> None:
    """Without examples all of those that the floor needs are missing."""
    verdict = noninferior([], FLOOR)
    assert not verdict
    assert verdict.missing == FLOOR.needed() == 29


def test_enough_kept_examples_prove_it() -> None:
    """As many kept examples as the floor needs prove it, and one less does not."""
    assert noninferior([KEPT] * 29, FLOOR)
    verdict = noninferior([KEPT] * 28, FLOOR)
    assert not verdict.proven
    assert verdict.missing == 1
    assert "1 more" in str(verdict)


def test_examples_that_fail_either_way_say_nothing() -> None:
    """Examples that were wrong before do not dilute the lost ones."""
    pairs = [KEPT] * 20 + [LOST] * 5
    assert noninferior(pairs + [NEVER] * 1000, FLOOR).lower == noninferior(pairs, FLOOR).lower


def test_won_examples_do_not_make_up_for_lost_ones() -> None:
    """What is won is told, and the lost ones still count."""
    verdict = noninferior([KEPT] * 20 + [LOST] * 20 + [WON] * 500, FLOOR)
    assert (verdict.kept, verdict.lost, verdict.won) == (20, 20, 500)
    assert not verdict


def test_a_change_that_is_proven_worse_asks_for_no_more_examples() -> None:
    """Where the floor is refuted, more examples are not asked for."""
    verdict = noninferior([KEPT] * 10 + [LOST] * 10, FLOOR)
    assert verdict.refuted
    assert verdict.missing is None
    assert str(verdict).startswith("Worse: 10 of 20")


def test_a_floor_of_one_is_never_proven() -> None:
    """A floor of 1 is neither proven nor said to be provable."""
    verdict = noninferior([KEPT] * 10_000, QualityFloor("answers right", min=1))
    assert not verdict
    assert verdict.missing is None


def test_a_nearly_impossible_floor_does_not_run_on() -> None:
    """A floor that would take millions of examples says so by None."""
    assert noninferior([KEPT], QualityFloor("answers right", min=0.9999999)).missing is None


@given(st.lists(st.sampled_from([KEPT, LOST, WON, NEVER]), max_size=60))
def test_what_is_missing_is_exactly_what_is_missing(pairs: list[tuple[bool, bool]]) -> None:
    """With the missing examples it is proven, with one less it is not."""
    verdict = noninferior(pairs, FLOOR)
    if verdict.missing is None:
        assert verdict.refuted
        return
    assert noninferior(pairs + [KEPT] * verdict.missing, FLOOR)
    if verdict.missing:
        assert not noninferior(pairs + [KEPT] * (verdict.missing - 1), FLOOR)


@pytest.mark.parametrize("pair", [KEPT, LOST])
def test_a_verdict_never_says_both(pair: tuple[bool, bool]) -> None:
    """Nothing is proven and refuted at once, however many examples there are."""
    for number in range(200):
        verdict = noninferior([pair] * number, FLOOR)
        assert not (verdict.proven and verdict.refuted)
