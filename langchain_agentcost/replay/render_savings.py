"""A plot of what strategies save on a benchmark: with prompt caching as a dot with its interval, without as a ring."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from langchain_agentcost.replay.render_plot import WIDTH, Scale, across, arrow, dot, figure, line, text, with_hint
from langchain_agentcost.replay.render_table import DEARER, MIRAGE, OFF, Block, believed, interval, mark, saved

if TYPE_CHECKING:
    from langchain_agentcost.replay.result import Row

LOWEST = -50.0
"""Losses beyond this are not drawn to scale: an arrow has their number."""

_ROW = 24
_TOP, _FOOT = 6, 22
_NAMES, _FIGURES = 214, 132
"""The room for the names on the left, and for the figures on the right."""

_TONES = {MIRAGE: "warned", DEARER: "bad"}


def common_scale(blocks: tuple[Block, ...]) -> Scale:
    """Give the scale on which several benchmarks can be compared.

    Args:
        blocks: The benchmarks.
    """
    values = [
        value
        for block in blocks
        for row in block.rows
        for value in (row.usd_saved_pct_cache_on, row.usd_saved_pct_cache_off, row.ci_low, row.ci_high)
        if value is not None
    ]
    low = min((value for value in values if value >= LOWEST), default=0.0)
    high = max(values, default=0.0)
    if any(value < LOWEST for value in values):
        low = LOWEST / 2 if low > LOWEST / 2 else low
    return Scale(min(-10.0, low // 10 * 10), max(10.0, -(-high // 10) * 10), _NAMES, WIDTH - _FIGURES)


def savings(block: Block, scale: Scale) -> str:
    """Draw what the strategies save on a benchmark.

    Args:
        block: The benchmark.
        scale: The percentages, by `common_scale`.
    """
    rows = [row for row in block.rows if not row.recorded]
    bottom = _TOP + _ROW * len(rows)
    parts = across(scale, _TOP, bottom, lambda percent: f"{percent:.0f}%")
    parts.append(line([(scale.at(0), _TOP), (scale.at(0), bottom)], "zero"))
    for at, row in enumerate(rows):
        parts.append(with_hint("".join(_row(row, scale, _TOP + _ROW * (at + 0.5))), _said(row)))
    return figure(bottom + _FOOT, f"Savings on {block.title}", parts)


def _row(row: Row, scale: Scale, y: float) -> Iterator[str]:
    yield text((0, y + 4), row.strategy, "name", most=19)
    yield text((_NAMES - 8, y + 4), believed(row), "tick", anchor="end")
    on, off = row.usd_saved_pct_cache_on, row.usd_saved_pct_cache_off
    if on is not None and off is not None:
        tone = _TONES.get(mark(row), "good")
        if scale.holds(off):
            yield dot((scale.at(off), y), "ring", radius=5.5)
        if scale.holds(on):
            yield line([(scale.at(off), y), (scale.at(on), y)], "between")
        yield from _with_caching(row, on, scale, y, tone)
    yield text((WIDTH - 80, y + 4), saved(on), anchor="end")
    yield text((WIDTH - 72, y + 4), mark(row), _TONES.get(mark(row), ""))


def _with_caching(row: Row, on: float, scale: Scale, y: float, tone: str) -> Iterator[str]:
    """The dot and its whisker; an arrow with the number where the dot is beyond the scale."""
    if not scale.holds(on):
        yield arrow((scale.at(on), y), (-1, 0), tone)
        yield text((scale.at(on) + 12, y + 4), f"{on:,.0f}%", tone)
        return
    if row.ci_low is not None and row.ci_high is not None:
        low, high = scale.at(row.ci_low), scale.at(row.ci_high)
        yield line([(low, y), (high, y)], f"whisker {tone}")
        for x in (low, high):
            yield line([(x, y - 4), (x, y + 4)], f"whisker {tone}")
    yield dot((scale.at(on), y), tone)


def _said(row: Row) -> str:
    on, off = saved(row.usd_saved_pct_cache_on), saved(row.usd_saved_pct_cache_off)
    return f"{row.strategy}: saves {on} (95%: {interval(row)}); {OFF}: {off}"
