from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from langchain_agentcost.interval import bootstrap, percent_saved

_bills = st.lists(st.integers(1, 10**12), min_size=2, max_size=30)


@settings(deadline=None, max_examples=40)
@given(_bills)
def test_nothing_saved_is_nothing_with_certainty(bills: list[int]) -> None:
    """Where every task costs what it cost before, the saving and both ends are exactly 0."""
    assert percent_saved(bills, bills) == 0
    assert bootstrap(bills, bills, draws=200) == (0, 0)


@settings(deadline=None, max_examples=40)
@given(before=_bills, shares=st.lists(st.integers(0, 150), min_size=30, max_size=30))
def test_the_ends_lie_around_each_other_and_within_what_single_tasks_save(before: list[int], shares: list[int]) -> None:
    """The lower end is not above the upper one, and no draw saves more than the best task or less than the worst."""
    now = [bill * share // 100 for bill, share in zip(before, shares, strict=False)]
    ends = bootstrap(now, before, draws=200)
    assert ends is not None
    each = [100 * (1 - after / bill) for after, bill in zip(now, before, strict=True)]
    assert min(each) - 1e-9 <= ends[0] <= ends[1] <= max(each) + 1e-9


def test_the_interval_holds_the_saving() -> None:
    """On many tasks that differ, what was saved in all lies well inside."""
    before = [1000 + 37 * (number % 11) for number in range(60)]
    now = [bill * (40 + number % 20) // 100 for number, bill in enumerate(before)]
    ends, saved = bootstrap(now, before), percent_saved(now, before)
    assert ends is not None
    assert saved is not None
    assert ends[0] < saved < ends[1]
    assert ends[1] - ends[0] < 5


def test_its_width_is_that_of_the_normal_interval_on_many_tasks() -> None:
    """For tasks of equal cost the ends are near mean plus or minus 1.96 standard errors."""
    now = [0, 100] * 200
    ends = bootstrap(now, [100] * 400, draws=2000)
    assert ends is not None
    assert ends[0] == pytest.approx(50 - 1.96 * 50 / 20, abs=0.8)
    assert ends[1] == pytest.approx(50 + 1.96 * 50 / 20, abs=0.8)


def test_the_same_data_give_the_same_interval() -> None:
    """Nothing depends on when it is asked for; another seed draws otherwise."""
    now, before = [10, 20, 80, 90], [100, 100, 100, 100]
    assert bootstrap(now, before) == bootstrap(list(now), list(before))
    assert bootstrap(now, before, seed=1, draws=200) != bootstrap(now, before, seed=2, draws=200)


@pytest.mark.parametrize(("now", "before"), [([], []), ([5], [10]), ([0, 0], [0, 0])])
def test_too_little_gives_no_interval(now: list[int], before: list[int]) -> None:
    """One task, or none that cost anything, says nothing of others: None, and not 0."""
    assert bootstrap(now, before) is None


def test_nothing_spent_has_no_percentage() -> None:
    """A share of nothing is not known."""
    assert percent_saved([], []) is None
    assert percent_saved([5], [0]) is None


def test_what_costs_more_saves_less_than_nothing() -> None:
    """A strategy that doubles the bill saves minus 100 %."""
    assert percent_saved([200], [100]) == -100


def test_tasks_that_cost_nothing_do_not_break_it() -> None:
    """A draw of tasks that cost nothing is left out."""
    ends = bootstrap([0, 0, 0, 50], [0, 0, 0, 100], draws=200)
    assert ends == (50, 50)


def test_very_many_tasks_are_drawn_less_often() -> None:
    """With tens of thousands of tasks the interval is narrow after the least number of draws."""
    tasks = 20_000
    ends = bootstrap([number % 100 for number in range(tasks)], [100] * tasks)
    assert ends is not None
    assert 49 < ends[0] < ends[1] < 52
