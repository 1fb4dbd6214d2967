"""Where the difference of two bills comes from, feature by feature, each nano-dollar counted once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from langchain_agentcost.ledger.entry import Entry
from langchain_agentcost.ledger.fold import unpriced
from langchain_agentcost.ledger.query import column_of
from langchain_agentcost.pricing import PriceCard
from langchain_agentcost.routed import TIER
from langchain_agentcost.usage import Usage

_Place = tuple[object, object]
"""A ticket and a node: where both runs make the same call."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Savings:
    """What each feature took off a bill. All amounts are nano-USD; below 0 it cost more than it saved.

    Features stand behind one another: the router chose first, then a cache answered in the chosen tier's place. So a
    cached answer saved that tier's price, and what the tier is cheaper than the strong model is the router's.

    Args:
        off: The bill with everything off.
        on: The bill with everything on.
        router: What the same tokens would have cost on the strong model, less what was paid and what caches spared.
        answers: What spared model calls would have cost on the tier that was chosen.
        tools: What spared tool calls would have cost.
        prompt_cache: What the models' own prompt caches took off, at the strong model's prices, less what they did in
            the other run: two models have two caches to fill.
        unknown: Calls and hits of either run without a known price: no sum has them.

    Example:
        >>> savings = Savings(off=100, on=30, router=50, answers=10, tools=5, prompt_cache=-2)
        >>> savings.differ, savings.saved
        (7, 70)
    """

    off: int
    on: int
    router: int = 0
    answers: int = 0
    tools: int = 0
    prompt_cache: int = 0
    unknown: int = 0

    @property
    def saved(self) -> int:
        """The difference of the bills."""
        return self.off - self.on

    @property
    def differ(self) -> int:
        """What no feature explains: the runs had other numbers of calls or tokens."""
        return self.saved - self.router - self.answers - self.tools - self.prompt_cache

    @classmethod
    def of(cls, off: Iterable[Entry], on: Iterable[Entry], cards: Mapping[str, PriceCard]) -> Savings:
        """Tell the features apart.

        A model call that a cache spared counts as what was billed for it in the other run, cache reads included, at the
        price of its tier. Where the other run made no such call, it counts as the ledger has it.

        Args:
            off: The entries of the run with everything off: the strong model answered all.
            on: Those of the run with everything on; a router asked each model at once, without drafts.
            cards: The prices of the tiers, the strong one last.
        """
        strong = [*cards.values()][-1]
        before, after = _Sums(strong, cards), _Sums(strong, cards)
        for entry in off:
            before.take(entry)
        after.others = before.made
        for entry in on:
            after.take(entry)
        return cls(
            off=before.bill,
            on=after.bill,
            router=after.at_strong - after.models - after.answers,
            answers=after.answers,
            tools=after.tools,
            prompt_cache=after.discount - before.discount,
            unknown=before.unknown + after.unknown,
        )


@dataclass(slots=True)
class _Sums:
    """One run, added up in nano-USD.

    Attributes:
        strong: The strong model's prices.
        cards: The prices of all tiers.
        bill: All that was paid.
        models: What was paid for model calls.
        at_strong: What those would have cost on the strong model, spared ones included.
        discount: What its prompt cache would have taken off that, by the cache reads that there were.
        answers: What spared model calls would have cost.
        tools: What spared tool calls would have cost.
        unknown: How many have no price.
        made: What model calls took, by ticket and node.
        others: The same of the other run.
    """

    strong: PriceCard
    cards: Mapping[str, PriceCard]
    bill: int = 0
    models: int = 0
    at_strong: int = 0
    discount: int = 0
    answers: int = 0
    tools: int = 0
    unknown: int = 0
    made: dict[_Place, list[Usage]] = field(default_factory=lambda: defaultdict(list))
    others: dict[_Place, list[Usage]] = field(default_factory=dict)

    def take(self, entry: Entry) -> None:
        """Add an entry."""
        paid = 0 if entry.cost is None else entry.cost.total_nano
        self.bill += paid
        self.unknown += unpriced(entry)
        if entry.attribution.tool is not None:
            self.tools += 0 if entry.saved is None else entry.saved.total_nano
            return
        self.models += paid
        place = column_of(entry, "tag:ticket"), entry.attribution.node
        if entry.kind == "cache_hit":
            self._spared(entry, self.others.get(place, []))
        elif entry.usage is not None:  # a correction has none: it moves money only
            self.made[place].append(entry.usage)
            self._reprice(entry.usage)

    def _spared(self, entry: Entry, same: list[Usage]) -> None:
        usage = same.pop(0) if same else entry.usage
        nano = 0 if entry.saved is None else entry.saved.total_nano
        if usage is not None:
            cost = self.cards.get(str(column_of(entry, f"tag:{TIER}")), self.strong).cost(usage)
            nano = nano if cost is None else cost.total_nano
            self._reprice(usage)
        self.answers += nano

    def _reprice(self, usage: Usage) -> None:
        plain, cached = self.strong.cost(replace(usage, cache_read_tokens=0)), self.strong.cost(usage)
        if plain is None or cached is None:
            self.unknown += 1
            return
        self.at_strong += cached.total_nano
        self.discount += plain.total_nano - cached.total_nano
