"""What is measured of a router: the gap it recovers, what it costs at a floor, and how sure that is.

A router is a score a call: the higher, the more the strong model is expected to add. Where scores are equal any of the
calls may be first, so a curve is a straight line there: what a coin would give on average.

Intervals are of paired bootstraps: one set of draws of the scored calls (`draws`), the same for every system.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from routing_data import Calls, Numbers

Counts = NDArray[np.float32]
"""How often each call is in each draw: a row a draw."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure and where it lies in 95 % of the draws."""

    value: float
    low: float
    high: float

    @classmethod
    def of(cls, value: Numbers, drawn: Numbers) -> Interval:
        """Take it of the figure on all calls, an array of one, and of the figures of the draws."""
        low, high = np.quantile(drawn, (0.025, 0.975))
        return cls(float(value[0]), float(low), float(high))


@dataclass(frozen=True, slots=True)
class Reached:
    """What a threshold reaches on the scored calls.

    Args:
        cost: The share of what the strong model alone costs.
        quality: The share of the strong model's quality.
        small: The share of calls that the cheap model answers.
        above_random: How much better it is than a coin with the same share, in points of quality.
    """

    cost: float
    quality: float
    small: float
    above_random: Interval


def draws(calls: int, *, number: int = 1000, seed: int = 0) -> Counts:
    """Draw the calls with replacement, many times."""
    dice = np.random.default_rng(seed)
    return dice.multinomial(calls, np.full(calls, 1 / calls), size=number).astype(np.float32)


def apgr(scores: Numbers, calls: Calls, counts: Counts | None = None) -> Numbers:
    """Give the average share of the quality gap that is recovered, over all shares of strong calls (RouteLLM).

    Args:
        scores: A call's score.
        calls: The calls.
        counts: The draws; None takes every call once.

    Returns:
        One figure a draw: 0.5 is a coin, and 1 is what the strong model alone would be at every share.

    Example:
        >>> two = Calls(("a", "b"), ("", ""), np.array([1.0, 0.0]), np.array([1.0, 1.0]), np.ones(2), np.ones(2))
        >>> apgr(np.array([0.0, 1.0]), two), apgr(np.array([0.5, 0.5]), two)
        (array([0.75]), array([0.5]))
    """
    weights, gains = _grouped(scores, calls.gain, counts)
    passed = weights.cumsum(axis=1) - weights / 2  # of what has the same score, half was asked before
    still = 1 - passed / weights.sum(axis=1, keepdims=True)
    return (gains * still).sum(axis=1) / gains.sum(axis=1)  # type: ignore[no-any-return]


def gain_at(scores: Numbers, gain: Numbers, *, small: float, counts: Counts | None = None) -> Numbers:
    """Give what is gained over the cheap model alone when that answers a share of the calls, one figure a draw."""
    weights, gains = _grouped(scores, gain, counts)
    after = weights.cumsum(axis=1)
    room = (1 - small) * after[:, -1:] - (after - weights)
    part = np.divide(np.clip(room, 0, weights), weights, out=np.zeros_like(weights), where=weights > 0)
    return (gains * part).sum(axis=1) / after[:, -1]  # type: ignore[no-any-return]


def at_small_share(scores: Numbers, calls: Calls, counts: Counts, *, small: float) -> tuple[Interval, Interval]:
    """Compare a router at a share of cheap calls with the strong model alone and with a coin, in points of quality."""
    figures = []
    for some in (None, counts):
        weights = _weights(len(calls), some)
        gained = gain_at(scores, calls.gain, small=small, counts=some)
        whole = weights @ calls.gain / weights.sum(axis=1)
        figures.append((100 * (gained - whole), 100 * (gained - (1 - small) * whole)))
    (lost, above), (lost_drawn, above_drawn) = figures
    return Interval.of(lost, lost_drawn), Interval.of(above, above_drawn)


def cost_at_small_share(scores: Numbers, calls: Calls, *, small: float) -> float:
    """Give the cost at a share of cheap calls, as a share of the strong model alone."""
    dearer = gain_at(scores, calls.strong_usd - calls.cheap_usd, small=small)
    return float((calls.cheap_usd.mean() + dearer[0]) / calls.strong_usd.mean())


def reached(scores: Numbers, threshold: float, calls: Calls, counts: Counts) -> Reached:
    """Give what a threshold reaches: calls with a score above it go to the strong model."""
    strong = scores > threshold
    figures = []
    for some in (None, counts):
        weights = _weights(len(calls), some)
        total = weights.sum(axis=1)
        routed = weights @ np.where(strong, calls.gain, 0) / total
        figures.append(100 * (routed - (weights @ strong / total) * (weights @ calls.gain / total)))
    return Reached(
        cost=cost(scores, threshold, calls),
        quality=relative_quality(scores, threshold, calls),
        small=float(1 - strong.mean()),
        above_random=Interval.of(figures[0], figures[1]),
    )


def cost(scores: Numbers, threshold: float, calls: Calls) -> float:
    """Give what a threshold costs, as a share of the strong model alone."""
    return float(np.where(scores > threshold, calls.strong_usd, calls.cheap_usd).sum() / calls.strong_usd.sum())


def relative_quality(scores: Numbers, threshold: float, calls: Calls) -> float:
    """Give the share of the strong model's quality that a threshold keeps."""
    return float(np.where(scores > threshold, calls.strong, calls.cheap).mean() / calls.strong.mean())


def plain_threshold(scores: Numbers, calls: Calls, *, floor: float) -> float:
    """Give the highest threshold that keeps the floor on the calls it is set on, without any confidence."""
    order = np.argsort(scores, kind="stable")
    kept = calls.strong.sum() - np.cumsum(calls.gain[order])  # after each further call is given to the cheap model
    last = np.append(scores[order][1:] != scores[order][:-1], True)
    good = np.flatnonzero(last & (kept >= floor * calls.strong.sum()))
    return float(scores[order][good[-1]]) if len(good) else -np.inf


def _weights(calls: int, counts: Counts | None) -> NDArray[np.float32]:
    return np.ones((1, calls), np.float32) if counts is None else counts


def _grouped(scores: Numbers, gain: Numbers, counts: Counts | None) -> tuple[Numbers, Numbers]:
    """Give how many calls there are of each score, the highest first, and what they gain together."""
    order = np.argsort(-scores, kind="stable")
    starts = np.flatnonzero(np.append(True, np.diff(scores[order]) != 0))
    ordered = _weights(len(scores), counts)[:, order].astype(np.float64)
    return np.add.reduceat(ordered, starts, axis=1), np.add.reduceat(ordered * gain[order], starts, axis=1)
