"""What plots are drawn with, as SVG without script: scales, axes, texts. Colours are classes of the page's style."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Literal

from langchain_agentcost.attribution import label

WIDTH = 640
"""Of every plot, in pixels; a page may show it smaller."""

COLOURS = 10
"""Strategies have colours in turn; after these, the lines are dashed."""

Anchor = Literal["start", "middle", "end"]
Point = tuple[float, float]

_TICK_STEPS = (1, 2, 5, 10)


@dataclass(frozen=True, slots=True)
class Scale:
    """Values along an axis, and where they are drawn.

    Args:
        low: The least value.
        high: The greatest one.
        start: Where the least one is, in pixels.
        end: Where the greatest one is.
    """

    low: float
    high: float
    start: float
    end: float

    def at(self, value: float) -> float:
        """Give the place of a value; one that is beyond an end is drawn at that end.

        Example:
            >>> Scale(0, 10, 100, 200).at(5), Scale(0, 10, 100, 200).at(-655)
            (150.0, 100.0)
        """
        share = (value - self.low) / (self.high - self.low) if self.high > self.low else 0.0
        return self.start + (self.end - self.start) * min(1.0, max(0.0, share))

    def holds(self, value: float) -> bool:
        """Whether a value lies between the ends."""
        return self.low <= value <= self.high

    def ticks(self, most: int = 6) -> list[float]:
        """Give round values between the ends.

        Args:
            most: How many at most.

        Example:
            >>> Scale(0, 43, 0, 1).ticks()
            [0.0, 10.0, 20.0, 30.0, 40.0]
        """
        span = self.high - self.low
        if span <= 0:
            return [self.low]
        rough = span / most
        unit = 10.0 ** math.floor(math.log10(rough))
        step = next(unit * size for size in _TICK_STEPS if unit * size >= rough * (1 - 1e-9))
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return [number * step for number in range(first, last + 1)]


def figure(height: float, says: str, parts: Iterable[str]) -> str:
    """Put parts together to a plot.

    Args:
        height: Its height in pixels.
        says: What it shows, for people who cannot see it.
        parts: What it is drawn from.
    """
    size = f'viewBox="0 0 {WIDTH} {height:.0f}" width="{WIDTH}" height="{height:.0f}"'
    return f'<svg {size} role="img" aria-label="{escape(label(says))}">{"".join(parts)}</svg>'


def text(place: Point, said: str, style: str = "", *, anchor: Anchor = "start", most: int = 80) -> str:
    """Write a text, on one line; one that is too long is cut, and whole where the pointer rests on it.

    Args:
        place: Where it stands.
        said: What it says. It may come from a trace.
        style: Its classes.
        anchor: Which end of it is at the place.
        most: How many characters are shown.
    """
    said = label(said)
    short = said if len(said) <= most else f"{said[: most - 1]}…"
    whole = "" if short == said else f"<title>{escape(said)}</title>"
    return (
        f'<text x="{place[0]:.1f}" y="{place[1]:.1f}" class="{style}" text-anchor="{anchor}">'
        f"{whole}{escape(short)}</text>"
    )


def line(points: Sequence[Point], style: str) -> str:
    """Draw a line through points.

    Args:
        points: The points.
        style: Its classes.
    """
    return f'<polyline points="{_written(points)}" class="{style}"/>'


def area(points: Sequence[Point], style: str) -> str:
    """Fill what is inside of points.

    Args:
        points: The points.
        style: Its classes.
    """
    return f'<polygon points="{_written(points)}" class="{style}"/>'


def dot(place: Point, style: str, *, radius: float = 4) -> str:
    """Draw a dot.

    Args:
        place: Its middle.
        style: Its classes.
        radius: Its size, in pixels.
    """
    return f'<circle cx="{place[0]:.1f}" cy="{place[1]:.1f}" r="{radius}" class="{style}"/>'


def arrow(place: Point, towards: Point, style: str) -> str:
    """Draw the arrow head that marks a value beyond the end of an axis.

    Args:
        place: Its tip.
        towards: The direction, such as (-1, 0) for left.
        style: Its classes.
    """
    (x, y), (right, down) = place, towards
    back = (x - 8 * right, y - 8 * down)
    return area([place, (back[0] - 5 * down, back[1] - 5 * right), (back[0] + 5 * down, back[1] + 5 * right)], style)


def with_hint(shown: str, hint: str) -> str:
    """Let a text appear where the pointer rests on something.

    Args:
        shown: What is drawn.
        hint: The text.
    """
    return f"<g><title>{escape(label(hint))}</title>{shown}</g>"


def across(scale: Scale, top: float, bottom: float, write: Callable[[float], str]) -> list[str]:
    """Draw the horizontal axis: a line up from each round value, and the value below.

    Args:
        scale: The axis.
        top: Where the lines end.
        bottom: Where they begin.
        write: Writes a value.
    """
    places = [(scale.at(value), write(value)) for value in scale.ticks()]
    drawn = [line([(x, top), (x, bottom)], "grid") for x, _ in places]
    return drawn + [text((x, bottom + 15), said, "tick", anchor="middle") for x, said in places]


def upward(scale: Scale, left: float, right: float, write: Callable[[float], str]) -> list[str]:
    """Draw the vertical axis: a line to the right from each round value, and the value beside it.

    Args:
        scale: The axis.
        left: Where the lines begin.
        right: Where they end.
        write: Writes a value.
    """
    places = [(scale.at(value), write(value)) for value in scale.ticks(5)]
    drawn = [line([(left, y), (right, y)], "grid") for y, _ in places]
    return drawn + [text((left - 6, y + 4), said, "tick", anchor="end") for y, said in places]


def spread(wanted: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Move places apart, so that labels do not overlap; they stay in order, and as near as they can.

    Args:
        wanted: Where they would be, in rising order.
        gap: How far apart they have to be at least.
        low: The least place.
        high: The greatest one, kept where there is room for all.

    Example:
        >>> spread([10, 11, 50], 10, 0, 100)
        [10, 20, 50]
        >>> spread([95, 96], 10, 0, 100)
        [90, 100]
    """
    places: list[float] = []
    for place in wanted:
        places.append(max(place, places[-1] + gap if places else low))
    most = high
    for at in range(len(places) - 1, -1, -1):
        places[at] = max(min(places[at], most), low + at * gap)
        most = places[at] - gap
    return places


def colour(number: int) -> str:
    """Give the classes of the colour of a strategy or part.

    Args:
        number: Which one it is, from 0.
    """
    return f"c{number % COLOURS}{' dashed' if number >= COLOURS else ''}"


def _written(points: Sequence[Point]) -> str:
    return " ".join([f"{x:.1f},{y:.1f}" for x, y in points])
