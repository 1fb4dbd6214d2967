from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from random import Random
from threading import Thread

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_agentcost.errors import RoutingError
from langchain_agentcost.routing.calibration import Calibration
from langchain_agentcost.routing.drift import DriftMonitor, chi_squared, distance
from langchain_agentcost.routing.score_bins import ScoreBins

Draw = Callable[[Random], float]


def spread(random: Random) -> float:
    """Scores as a policy gives that goes by text."""
    return random.gauss(0.2, 0.1)


def kinds(random: Random) -> float:
    """Scores as a policy gives that goes by a table: a few values."""
    return random.choices([0.02, 0.1, 0.3, 0.6, 0.9], [50, 25, 15, 9, 1])[0]


def calibrated(*scores: Sequence[float]) -> Calibration:
    """A calibration on such scores."""
    return Calibration(
        policy="step",
        tiers={"small": None, "big": None},
        floor=0.95,
        confidence=0.95,
        examples=len(scores[0]),
        draws=len(scores[0]),
        steps=(),
        missing=0,
        scores=ScoreBins.of(*scores),
    )


def drawn(draw: Draw, count: int, *, seed: int) -> list[float]:
    """So many scores."""
    random = Random(seed)  # noqa: S311  # scores that can be had again
    return [draw(random) for _ in range(count)]


def bursts(draw: Draw, count: int, *, seed: int) -> list[float]:
    """Scores of conversations of eight calls on average, in each of which most calls are alike."""
    random = Random(seed)  # noqa: S311  # scores that can be had again
    scores: list[float] = []
    while len(scores) < count:
        alike = draw(random)
        scores += [alike if random.random() < 0.6 else draw(random) for _ in range(1 + int(random.expovariate(1 / 7)))]
    return scores[:count]


def watched(monitor: DriftMonitor, scores: Sequence[float]) -> int | None:
    """After how many calls it raised the alarm; None for never."""
    for number, score in enumerate(scores, start=1):
        monitor.observe(score)
        if monitor.drifted:
            return number
    return None


@pytest.mark.parametrize("draw", [spread, kinds])
@pytest.mark.parametrize("examples", [100, 400, 2000])
def test_stable_traffic_raises_no_alarm(draw: Draw, examples: int) -> None:
    """In 20 times 6000 calls of the calibrated traffic there is no alarm, few examples or many."""
    for seed in range(20):
        monitor = DriftMonitor(calibrated(drawn(draw, examples, seed=seed)))
        assert watched(monitor, drawn(draw, 6000, seed=1000 + seed)) is None


def test_traffic_in_bursts_raises_hardly_any_alarm() -> None:
    """Calls of one conversation are alike, which is no drift: one alarm in 20 times 6000 calls at the most."""
    alarms = 0
    for seed in range(20):
        monitor = DriftMonitor(calibrated(drawn(kinds, 400, seed=seed)))
        alarms += watched(monitor, bursts(kinds, 6000, seed=1000 + seed)) is not None
        assert monitor.as_dict()["design_effect"] > 2
    assert alarms <= 1


def turns(half: int, count: int, *, seed: int) -> list[float]:
    """Scores of traffic that is mostly easy for so many calls, and then mostly hard for as many."""
    random = Random(seed)  # noqa: S311  # scores that can be had again
    return [0.1 if random.random() < (0.85, 0.15)[place // half % 2] else 0.9 for place in range(count)]


@pytest.mark.parametrize(("half", "window", "alarms"), [(150, 300, 0), (300, 300, 10), (300, 600, 0)])
def test_traffic_in_turns_is_stable_where_a_window_holds_them(half: int, window: int, alarms: int) -> None:
    """Day and night are drift to a window of one of them, and none to a window of both."""
    found = 0
    for seed in range(10):
        monitor = DriftMonitor(calibrated([0.1, 0.9] * 200), window=window)
        found += watched(monitor, turns(half, 6000, seed=seed)) is not None
    assert found == alarms


@pytest.mark.parametrize("draw", [spread, kinds])
def test_other_traffic_raises_an_alarm_soon(draw: Draw) -> None:
    """Where two of five calls become hard ones, the first or the second look finds it."""

    def changed(random: Random) -> float:
        return 0.6 + random.random() / 10 if random.random() < 0.4 else draw(random)

    for seed in range(20):
        monitor = DriftMonitor(calibrated(drawn(draw, 400, seed=seed)))
        assert watched(monitor, drawn(changed, 600, seed=1000 + seed)) is not None
        assert "are not those of the 400 examples" in monitor.why


def test_kinds_of_call_without_an_example_are_seen() -> None:
    """One call in ten that nothing is known of is drift, though the hardest calls of the examples are hardly easier."""

    def changed(random: Random) -> float:
        return 1.0 if random.random() < 0.1 else kinds(random)

    def alike(random: Random) -> float:
        return 0.97 if random.random() < 0.1 else kinds(random)

    for seed in range(20):
        calibration = calibrated(drawn(alike, 400, seed=seed))
        assert watched(DriftMonitor(calibration), drawn(changed, 600, seed=1000 + seed)) is not None
        assert watched(DriftMonitor(calibration), drawn(alike, 600, seed=1000 + seed)) is None


def test_change_is_found_after_long_quiet() -> None:
    """That many looks went by without an alarm does not blind it to the next one."""
    monitor = DriftMonitor(calibrated(drawn(kinds, 400, seed=1)))
    assert watched(monitor, drawn(kinds, 30_000, seed=2)) is None
    assert watched(monitor, [0.9] * 300) == 300


def test_drift_stays_until_there_is_another_calibration() -> None:
    """An alarm is not taken back by calls that are as they were, and what was found first is what it says."""
    monitor = DriftMonitor(calibrated(drawn(kinds, 400, seed=1)))
    watched(monitor, [0.9] * 300)
    why = monitor.why
    for number, score in enumerate(drawn(kinds, 600, seed=2)):
        monitor.observe(score, escalated=number >= 300)
    assert monitor.as_dict()["escalations"] > 1
    assert (monitor.drifted, monitor.why) == (True, why)


def test_traffic_may_look_like_either_reference() -> None:
    """What the deployed policy gives counts as calibrated too, where cross-fitted scores are a little off."""
    folds, used = [0.1, 0.12] * 200, [0.11] * 400
    alone, both = calibrated(folds), calibrated(folds, [0.1] * 400)
    assert watched(DriftMonitor(alone), [0.1] * 300) == 300
    assert watched(DriftMonitor(both), [0.1] * 300) is None
    assert watched(DriftMonitor(calibrated(used)), [0.11] * 300) is None


def test_escalations_that_become_frequent_raise_an_alarm() -> None:
    """A verifier that lets fewer drafts pass than in the first window is drift, whatever the scores are."""
    monitor = DriftMonitor(calibrated([0.1] * 400))
    for number in range(1200):
        monitor.observe(0.1, escalated=number % 10 == 0)
    assert not monitor.drifted
    for number in range(300):
        monitor.observe(0.1, escalated=number % 10 < 5)
    assert "answered again at another rate" in monitor.why


def test_calls_without_a_draft_say_nothing_of_escalations() -> None:
    """None is not counted as passed."""
    monitor = DriftMonitor(calibrated([0.1] * 400))
    for number in range(3000):
        monitor.observe(0.1, escalated=True if number % 2 else None)
    assert not monitor.drifted
    assert monitor.as_dict()["escalations"] == 0


def test_threads_may_share_it() -> None:
    """Every call is counted once, whoever makes it."""
    monitor = DriftMonitor(calibrated([0.1] * 400))
    threads = [Thread(target=watched, args=(monitor, [0.1] * 1000)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert monitor.as_dict()["calls"] == 4000
    assert monitor.as_dict()["looks"] == 4000 // 300


def test_state_is_plain_data() -> None:
    """What it knows can be written as JSON, before and after the first look."""
    monitor = DriftMonitor(calibrated([0.1] * 400))
    assert json.loads(json.dumps(monitor.as_dict()))["scores"] is None
    watched(monitor, [0.1] * 300)
    assert json.loads(json.dumps(monitor.as_dict()))["scores"] == 0


@pytest.mark.parametrize("wrong", [{"window": 49}, {"confidence": 0.5}, {"confidence": 1.0}])
def test_numbers_out_of_bounds_are_refused(wrong: dict[str, float]) -> None:
    """A window that is too short to tell, or a confidence that makes no sense, is a RoutingError."""
    with pytest.raises(RoutingError, match="50 calls or more"):
        DriftMonitor(calibrated([0.1] * 400), **wrong)  # type: ignore[arg-type]


@given(st.lists(st.integers(0, 100), min_size=2, max_size=8).filter(any), st.data())
def test_distance_is_zero_for_the_same_shares_alone(counts: list[int], data: st.DataObject) -> None:
    """Tables with the same shares are at no distance, others are, and the order does not matter."""
    times = data.draw(st.integers(1, 9))
    assert distance(counts, [count * times for count in counts]) == pytest.approx(0)
    others = data.draw(st.lists(st.integers(0, 100), min_size=len(counts), max_size=len(counts)).filter(any))
    assert distance(counts, others) == pytest.approx(distance(others, counts))
    assert distance(counts, others) >= 0


@pytest.mark.parametrize(("level", "freedom", "found"), [(0.05, 1, 3.84), (0.01, 4, 13.28), (1e-6, 7, 40.52)])
def test_quantile_is_that_of_the_tables(level: float, freedom: int, found: float) -> None:
    """The approximation is within 4 % of the exact quantile, far out too."""
    assert chi_squared(level, freedom) == pytest.approx(found, rel=0.04)


@given(st.lists(st.floats(-1, 1), max_size=200), st.integers(2, 12))
def test_bins_hold_every_score_once(scores: list[float], bins: int) -> None:
    """There are at most so many bins as asked for, and equal scores are never apart."""
    found = ScoreBins.of(scores, bins=bins)
    assert list(found.edges) == sorted(set(found.edges))
    assert len(found.edges) < bins
    assert sum(found.references[0]) == len(scores)
    assert [sum(found.bin(score) == at for score in scores) for at in range(found.count)] == list(found.references[0])
