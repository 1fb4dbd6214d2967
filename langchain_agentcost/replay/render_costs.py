"""A plot of what a run has cost up to each model call, for the recorded runs and for each strategy."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import repeat

from langchain_agentcost.finops.amounts import written_usd
from langchain_agentcost.replay.render_plot import (
    WIDTH,
    Point,
    Scale,
    across,
    arrow,
    figure,
    line,
    spread,
    text,
    upward,
)

ALIKE = 0.005
"""Curves that are nowhere further than this share of the whole bill from the recorded one are named, not drawn."""

HEADROOM = 1.5
"""The axis ends at this multiple of the recorded cost; what costs more leaves the plot, with an arrow."""

_LEFT, _RIGHT, _TOP, _BOTTOM = 62, 196, 14, 256
_HEIGHT = 296
_LABEL_GAP = 15
_NANO = 10**9


@dataclass(frozen=True, slots=True)
class Curve:
    """What a run has cost on average.

    Args:
        strategy: The strategy.
        style: The classes of its colour.
        usd: The cost up to each model call, in USD.
    """

    strategy: str
    style: str
    usd: Sequence[float]


def costs(recorded: Curve, others: Sequence[Curve], says: str) -> tuple[str, list[str]]:
    """Draw the cumulative cost of a benchmark's runs.

    Args:
        recorded: The curve of the recorded runs.
        others: Those of the strategies.
        says: What it shows, for people who cannot see it.

    Returns:
        The plot, and the strategies that are not drawn because their curves are the recorded one.
    """
    alike = [curve for curve in others if _alike(curve.usd, recorded.usd)]
    curves = [recorded, *(curve for curve in others if curve not in alike)]
    calls = max(len(curve.usd) for curve in curves)
    highest = max(curve.usd[-1] for curve in curves if curve.usd)
    x = Scale(0, calls, _LEFT, WIDTH - _RIGHT)
    y = Scale(0, min(highest * 1.05, recorded.usd[-1] * HEADROOM) or 1.0, _BOTTOM, _TOP)
    parts = across(x, _TOP, _BOTTOM, lambda call: f"{call:.0f}")
    parts += upward(y, _LEFT, x.end, _usd)
    parts.append(text(((_LEFT + x.end) / 2, _BOTTOM + 34), "model calls of a run", "tick", anchor="middle"))
    parts += [drawn for curve in reversed(curves) for drawn in _curve(_points(curve.usd, calls), x, y, curve.style)]
    parts += _labels(curves, x, y)
    return figure(_HEIGHT, says, parts), [curve.strategy for curve in alike]


def _alike(usd: Sequence[float], recorded: Sequence[float]) -> bool:
    calls = max(len(usd), len(recorded))
    apart = [abs(a - b) for a, b in zip(_until(usd, calls), _until(recorded, calls), strict=True)]
    return max(apart) <= ALIKE * recorded[-1]


def _until(usd: Sequence[float], calls: int) -> list[float]:
    """A curve up to so many calls; where its runs have ended, nothing more is paid."""
    return [*usd, *repeat(usd[-1] if usd else 0.0, calls - len(usd))]


def _points(usd: Sequence[float], calls: int) -> list[Point]:
    """A curve from before the first call to the last one of all curves."""
    return [(0.0, 0.0), *((float(call), cost) for call, cost in enumerate(_until(usd, calls), start=1))]


def _curve(points: Sequence[Point], x: Scale, y: Scale, style: str) -> Iterator[str]:
    """A line, as far as it stays in the plot."""
    inside = [point for point in points if point[1] <= y.high]
    if len(inside) == len(points):
        yield line([(x.at(call), y.at(cost)) for call, cost in inside], f"curve {style}")
        return
    (before, paid), (after, higher) = points[len(inside) - 1], points[len(inside)]
    leaves = before + (after - before) * (y.high - paid) / (higher - paid)
    drawn = [(x.at(call), y.at(cost)) for call, cost in (*inside, (leaves, y.high))]
    yield line(drawn, f"curve {style}")
    yield arrow((drawn[-1][0], y.end - 6), (0, -1), f"filled {style}")


def _labels(curves: Iterable[Curve], x: Scale, y: Scale) -> Iterator[str]:
    """The names and ends of the curves, beside them."""
    ends = sorted((y.at(curve.usd[-1]) if curve.usd else y.start, -at, curve) for at, curve in enumerate(curves))
    places = spread([end for end, _, _ in ends], _LABEL_GAP, _TOP - 4, _HEIGHT - 4)
    for (end, _, curve), place in zip(ends, places, strict=True):
        usd = curve.usd[-1] if curve.usd else 0.0
        beyond = "▲ " if usd > y.high else ""
        yield line([(x.end + 2, end), (x.end + 14, place)], f"leader {curve.style}")
        yield text((x.end + 18, place + 4), f"{beyond}{_usd(usd)}", f"figure ink {curve.style}")
        yield text((x.end + 84, place + 4), curve.strategy, f"name ink {curve.style}", most=16)


def _usd(usd: float) -> str:
    return written_usd(round(usd * _NANO))
