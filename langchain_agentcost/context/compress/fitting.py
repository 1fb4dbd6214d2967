"""The best units that fit a number of tokens, and of the next best as much as fills it."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import islice, takewhile

from langchain_agentcost.context.compress.lossless import Count
from langchain_agentcost.context.compress.units import Layout, Piece, Unit

Place = tuple[int, int]
"""The number of a text, and of a unit in it."""

TOLERANCE = 0.015
"""The share of the target that may stay unused where parts of units could fill it."""

_PASSES = 6
_ROUNDS = 8
_CANDIDATES = 24
_SWAPS = 3
_MOST_CHARS_A_TOKEN = 16


class Fit:
    """What is kept of some texts.

    Args:
        layouts: The texts in units.
        count: Counts tokens. What is written is counted as a whole, as tokens of parts do not add up exactly.
    """

    def __init__(self, layouts: Sequence[Layout], count: Count) -> None:
        self._layouts = layouts
        self._count = count
        self._kept: list[dict[int, Piece]] = [{} for _ in layouts]
        self._tokens = [0] * len(layouts)
        self._costs: list[dict[int, int]] = [{} for _ in layouts]

    @property
    def tokens(self) -> int:
        """The tokens of all that is kept."""
        return sum(self._tokens)

    def texts(self) -> list[str]:
        """Write each text; an empty one where nothing of it is kept."""
        return [self._written(number, kept) for number, kept in enumerate(self._kept)]

    def dropped(self) -> Iterator[str]:
        """Give what is not kept, verbatim; neighbours together."""
        for layout, kept in zip(self._layouts, self._kept, strict=True):
            start: int | None = None
            end = 0
            for number, unit in enumerate(layout.units):
                cut = kept.get(number)
                if cut is not None:
                    yield from () if start is None else (layout.text[start:end],)
                    start = None
                if cut != unit.piece:
                    start, end = start if start is not None else cut[1] if cut else unit.start, unit.end
            yield from () if start is None else (layout.text[start:end],)

    def fill(self, ranked: Sequence[Place], target: int) -> None:
        """Keep the best units that fit, then parts of the next best until the target is met from below.

        Args:
            ranked: All units, the best first.
            target: The most tokens.
        """
        found = self._fitting_alone(ranked, target)
        for _ in range(_PASSES):
            if not self._keep(found, target) or not self._loose(target):
                break
            found = self._fitting_alone(ranked, target)
            if len(found) <= _ROUNDS:  # so few are better filled with parts of the best
                break
        self._fill_up(ranked, target)
        for _ in range(_SWAPS):
            if not self._loose(target):
                return
            before, tokens = [dict(kept) for kept in self._kept], list(self._tokens)
            self._drop_worst(ranked)
            self._fill_up(ranked, target)
            if self.tokens < sum(tokens):
                self._kept, self._tokens = before, tokens
                return

    def _loose(self, target: int) -> bool:
        """Whether more of the target is unused than need be."""
        return target - self.tokens > TOLERANCE * target

    def _fill_up(self, ranked: Sequence[Place], target: int) -> None:
        for _ in range(_ROUNDS):
            if not self._loose(target) or not self._fill_once(ranked, target):
                return

    def _drop_worst(self, ranked: Sequence[Place]) -> None:
        """Make room where what is left of it is too small for any part of a unit."""
        worst = next((place for place in reversed(ranked) if place[1] in self._kept[place[0]]), None)
        if worst is not None:
            del self._kept[worst[0]][worst[1]]
            self._recount(worst[0])

    def _fitting_alone(self, ranked: Sequence[Place], target: int) -> list[Place]:
        """The best units not kept that fit what is unused by their own counts; a pass of them is exact to some percent.

        Marks and brackets cost beside them; but many a line end costs nothing once the lines are joined.
        """
        room = target - self.tokens
        found: list[Place] = []
        for text, number in ranked:
            if room <= 0:
                break
            if number not in self._kept[text] and (cost := self._alone(text, number)) <= room:
                found.append((text, number))
                room -= cost
        return found

    def _alone(self, text: int, number: int) -> int:
        if (cost := self._costs[text].get(number)) is None:
            unit = self._unit(text, number)
            cost = self._count(unit.lead + self._layouts[text].text[unit.start : unit.end])
            self._costs[text][number] = cost
        return cost

    def _keep(self, found: Sequence[Place], target: int) -> int:
        """Keep as many of some units as fit together, the first first; so many are found in O(log n) counts."""
        before, tokens = self._kept, self._tokens

        def cost(many: int) -> int:
            self._kept, self._tokens = [dict(kept) for kept in before], list(tokens)
            for text, number in found[:many]:
                self._kept[text][number] = self._unit(text, number).piece
            for text in {text for text, _ in found[:many]}:
                self._recount(text)
            return self.tokens

        if not found or cost(len(found)) <= target:
            return len(found)
        many = bisect_right(range(1, len(found)), target, key=cost)
        cost(many)
        return many

    def _fill_once(self, ranked: Sequence[Place], target: int) -> bool:
        """Keep one more unit or part of one: the best that leaves little room, else what leaves least."""
        room = target - self.tokens
        best, spare = None, room
        for text, number in islice(((t, n) for t, n in ranked if n not in self._kept[t]), _CANDIDATES):
            piece, cost = self._part(text, number, room)
            left = room - cost
            if piece and left < spare and (fits := self._fitting(text, number, piece, target)):
                best, spare = (text, number, fits), left
                if left <= TOLERANCE * target:
                    break
        if best is None:
            return False
        text, number, piece = best
        self._kept[text][number] = piece
        self._recount(text)
        return True

    def _part(self, text: int, number: int, room: int) -> tuple[Piece | None, int]:
        """As much of a unit from its start as there is room for, and about what it costs."""
        layout, unit = self._layouts[text], self._unit(text, number)
        furthest = unit.start + room * _MOST_CHARS_A_TOKEN
        cuts = list(takewhile(lambda end: end <= furthest, layout.cuts(unit)))

        def cost(end: int) -> int:
            return self._count(unit.lead + layout.said((unit.start, end)))

        fitting = bisect_right(cuts, room, key=cost)
        return ((unit.start, cuts[fitting - 1]), cost(cuts[fitting - 1])) if fitting else (None, 0)

    def _fitting(self, text: int, number: int, piece: Piece, target: int) -> Piece | None:
        """The piece if the whole still fits with it, else None."""
        kept = {**self._kept[text], number: piece}
        others = self.tokens - self._tokens[text]
        return piece if others + self._count(self._written(text, kept)) <= target else None

    def _unit(self, text: int, number: int) -> Unit:
        return self._layouts[text].units[number]

    def _recount(self, text: int) -> None:
        self._tokens[text] = self._count(self._written(text, self._kept[text])) if self._kept[text] else 0

    def _written(self, text: int, kept: dict[int, Piece]) -> str:
        return self._layouts[text].written(kept) if kept else ""
