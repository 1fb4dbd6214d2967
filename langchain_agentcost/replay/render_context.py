"""A plot of what recorded prompts are made of, model call by model call: areas on top of each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate

from langchain_agentcost.finops.amounts import written_count
from langchain_agentcost.replay.render_plot import (
    WIDTH,
    Point,
    Scale,
    across,
    area,
    colour,
    figure,
    text,
    upward,
    with_hint,
)
from langchain_agentcost.replay.sums import PARTS

_LEFT, _TOP, _BOTTOM = 62, 10, 216
_HEIGHT = 256


def context(steps: Sequence[Mapping[str, float]], says: str) -> str:
    """Draw the composition of prompts.

    Args:
        steps: For each model call the mean tokens of each of `PARTS`.
        says: What it shows, for people who cannot see it.
    """
    levels = [[0.0, *accumulate(step[part] for part in PARTS)] for step in steps]
    x = Scale(0.5, len(steps) + 0.5, _LEFT, WIDTH - 12)
    y = Scale(0, max(level[-1] for level in levels) * 1.05 or 1.0, _BOTTOM, _TOP)
    parts = [with_hint(area(_band(levels, at, x, y), f"band {colour(at)}"), part) for at, part in enumerate(PARTS)]
    parts += across(x, _TOP, _BOTTOM, lambda call: f"{call:.0f}")
    parts += upward(y, _LEFT, x.end, lambda tokens: written_count(round(tokens)))
    parts.append(text(((_LEFT + x.end) / 2, _BOTTOM + 34), "model call of a run", "tick", anchor="middle"))
    return figure(_HEIGHT, says, parts)


def _band(levels: Sequence[Sequence[float]], at: int, x: Scale, y: Scale) -> list[Point]:
    """The outline of a part: a stair with a step for each call."""
    upper, lower = (_stair([level[side] for level in levels], x, y) for side in (at + 1, at))
    return [*upper, *reversed(lower)]


def _stair(values: Sequence[float], x: Scale, y: Scale) -> list[Point]:
    return [(x.at(call + side), y.at(value)) for call, value in enumerate(values, start=1) for side in (-0.5, 0.5)]
