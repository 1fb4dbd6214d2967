"""What a replay found: a row for each benchmark and strategy. FORMAT.md documents every field by its formula."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from langchain_agentcost.interval import DRAWS, bootstrap, percent_saved
from langchain_agentcost.money import from_nano
from langchain_agentcost.replay.render_html import fragment, page
from langchain_agentcost.replay.render_text import plain
from langchain_agentcost.replay.run import ACTING, DANGLING
from langchain_agentcost.replay.sums import SPLIT, Composition, Key, Sums, quantile
from langchain_agentcost.replay.traces.lines import Faults

if TYPE_CHECKING:
    from rich.console import RenderableType

FORMAT = "langchain-agentcost/replay"
FORMAT_VERSION = 1
"""Raised when a field changes its meaning or goes away; new fields do not raise it."""

RECORDED = "none"
"""The strategy that all others are compared with."""

HARMS = (DANGLING, "stale_hits", "wrong_action_hits", "missing_tool", "cut_answers")
"""What of a strategy's counts is harm to quality."""

EVERYTHING = "*"
"""The benchmark of a row that is about a whole family."""


@dataclass(frozen=True, slots=True)
class Row:
    """One strategy on one benchmark. Percentages are of what was recorded, on the same runs; None is not known.

    Args:
        benchmark_set: The benchmark; "*" is all of the family.
        family: The family.
        strategy: The strategy, as the command line takes it.
        fidelity: How far the figures can be believed.
        episodes: Runs.
        tasks: Different tasks among them.
        calls: Model calls that were made, those that only the strategy makes aside.
        tokens_saved_pct: Input tokens saved; those of the strategy's own calls count against it.
        usd_saved_pct_cache_on: Dollars saved with the provider's prompt caching on: the headline.
        ci_low: Its 95 % bootstrap interval over tasks.
        ci_high: The upper end.
        usd_saved_pct_cache_off: Dollars saved without prompt caching.
        usd: The bill with prompt caching.
        usd_cache_off: The bill without.
        usd_per_success: The bill of the judged runs for each that succeeds and was not stopped.
        usd_failed: The part of it that went into runs that fail or were stopped.
        split_usd: The bill with caching by cached, written, uncached, output and overhead.
        input_tokens: Input tokens of the runs' own calls.
        step_tokens_p50: The median of the input tokens of a call, to three digits.
        step_tokens_p90: The 90th percentile.
        cache_read_pct: The share of the input that the prompt cache served.
        overhead_calls: Model calls that only the strategy makes.
        served_calls: Calls that a cache answered.
        stopped: Runs that were stopped.
        stops: Why.
        verified: Runs that a real LangGraph graph with a real meter was billed the same for, of those that were tried.
        judged: Runs of which it is known whether they succeeded.
        successes: How many of those did, as recorded.
        harm: What it may have done to quality: counts, `dangling_pct` and `successes_killed`.
        counts: What else the strategy counted.
    """

    benchmark_set: str
    family: str
    strategy: str
    fidelity: str
    episodes: int
    tasks: int
    calls: int
    tokens_saved_pct: float | None
    usd_saved_pct_cache_on: float | None
    ci_low: float | None
    ci_high: float | None
    usd_saved_pct_cache_off: float | None
    usd: Decimal
    usd_cache_off: Decimal
    usd_per_success: Decimal | None
    usd_failed: Decimal | None
    split_usd: Mapping[str, Decimal]
    input_tokens: int
    step_tokens_p50: int | None
    step_tokens_p90: int | None
    cache_read_pct: float | None
    overhead_calls: int
    served_calls: int
    stopped: int
    stops: Mapping[str, int]
    verified: int
    judged: int
    successes: int
    harm: Mapping[str, float | int | None]
    counts: Mapping[str, int]

    @property
    def recorded(self) -> bool:
        """Whether it is what was recorded, which the other strategies are compared with."""
        return self.strategy == RECORDED

    @property
    def whole_family(self) -> bool:
        """Whether it is about all benchmarks of the family."""
        return self.benchmark_set == EVERYTHING


@dataclass(slots=True, repr=False)
class Result:
    """All that a replay found. `print` writes a plain table, Jupyter shows plots, `rich()` is for terminals.

    Args:
        sums: The sums behind the rows.
        composition: What recorded prompts are made of, by family and benchmark.
        fidelity: The fidelity of each strategy.
        caching: Strategies whose bill is with prompt caching whatever the column.
        faults: What of the traces could not be read.
        unpriced: Runs that were left out because the price of their model is not known, by model.
        unread: Runs that strategies left out because their texts are not known.
        settings: What the figures rest on: prices, warmth, versions.
        complete: Whether all traces were replayed: False where somebody stopped it.
        draws: Draws of the bootstrap.
    """

    sums: dict[Key, Sums] = field(default_factory=dict)
    composition: dict[tuple[str, str], Composition] = field(default_factory=dict)
    fidelity: dict[str, str] = field(default_factory=dict)
    caching: frozenset[str] = frozenset()
    faults: Faults = field(default_factory=Faults)
    unpriced: dict[str, int] = field(default_factory=dict)
    unread: int = 0
    settings: dict[str, Any] = field(default_factory=dict)
    complete: bool = True
    draws: int = DRAWS

    @property
    def episodes(self) -> int:
        """How many runs were replayed."""
        return sum(sums.episodes for key, sums in self.sums.items() if key.strategy == RECORDED)

    @property
    def calls(self) -> int:
        """How many recorded model calls they have."""
        return sum(sums.amounts["calls"] for key, sums in self.sums.items() if key.strategy == RECORDED)

    def rows(self) -> tuple[Row, ...]:
        """Give the rows: by benchmark, then for each family that has several; strategies in the order asked for."""
        return tuple(self._row(key, sums) for key, sums in self._grouped())

    def to_dict(self) -> dict[str, Any]:
        """Give everything as JSON has it; money is text."""
        return {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "version": version("langchain-agentcost"),
            "complete": self.complete,
            "settings": self.settings,
            "episodes": self.episodes,
            "calls": self.calls,
            "faults": {"count": self.faults.count, "named": [str(fault) for fault in self.faults.named]},
            "unpriced_episodes": dict(sorted(self.unpriced.items())),
            "unread_episodes": self.unread,
            "rows": [_plain(row) for row in self.rows()],
        }

    def to_json(self) -> str:
        """Write everything as JSON, in the format that FORMAT.md documents."""
        return json.dumps(self.to_dict(), indent=2, ensure_ascii=False) + "\n"

    def to_html(self) -> str:
        """Write a page with plots and tables that needs no other file and no script."""
        return page(self)

    def rich(self) -> RenderableType:
        """Give tables for terminals, as wide as the terminal.

        Raises:
            MissingExtra: If rich is not installed.
        """
        from langchain_agentcost.replay.render_rich import renderable  # noqa: PLC0415  # rich is an extra

        return renderable(self)

    def __str__(self) -> str:
        """Write plain tables with the lines under them."""
        return plain(self)

    def __repr__(self) -> str:
        """Show the tables at a prompt too: the sums behind them say nothing to people."""
        return plain(self)

    def _repr_html_(self) -> str:
        """Show plots and tables in Jupyter."""
        return fragment(self)

    def merge(self, other: Result) -> None:
        """Add what was found on other runs."""
        for key, sums in other.sums.items():
            self.sums.setdefault(key, Sums()).merge(sums)
        for place, composition in other.composition.items():
            self.composition.setdefault(place, Composition()).merge(composition)
        self.faults.count += other.faults.count
        self.faults.named += other.faults.named
        for model, count in other.unpriced.items():
            self.unpriced[model] = self.unpriced.get(model, 0) + count
        self.unread += other.unread
        self.complete &= other.complete

    def _grouped(self) -> Iterator[tuple[Key, Sums]]:
        order = {name: place for place, name in enumerate(self.fidelity)}
        groups = sorted(self.sums.items(), key=lambda item: (*item[0][:2], order[item[0].strategy]))
        yield from groups
        families: dict[str, set[str]] = {}
        for key in self.sums:
            families.setdefault(key.family, set()).add(key.benchmark)
        for family in sorted(name for name, benchmarks in families.items() if len(benchmarks) > 1):
            for strategy in self.fidelity:
                whole = Sums()
                for key, sums in groups:
                    if (key.family, key.strategy) == (family, strategy):
                        whole.merge(_with_tasks_named(sums, key.benchmark))
                if whole.episodes:
                    yield Key(family, EVERYTHING, strategy), whole

    def _row(self, key: Key, sums: Sums) -> Row:
        tokens, on, off, tokens_before, on_before, off_before = (sums.column(place) for place in range(6))
        if key.strategy in self.caching:
            off = on
        ends = bootstrap(on, on_before, draws=self.draws)
        kept = sums.successes - sums.killed
        amounts = sums.amounts
        return Row(
            benchmark_set=key.benchmark,
            family=key.family,
            strategy=key.strategy,
            fidelity=self.fidelity[key.strategy],
            episodes=sums.episodes,
            tasks=len(sums.tasks),
            calls=amounts["calls"],
            tokens_saved_pct=percent_saved(tokens, tokens_before),
            usd_saved_pct_cache_on=percent_saved(on, on_before),
            ci_low=ends[0] if ends else None,
            ci_high=ends[1] if ends else None,
            usd_saved_pct_cache_off=percent_saved(off, off_before),
            usd=from_nano(sum(on)),
            usd_cache_off=from_nano(sum(off)),
            usd_per_success=_usd_each(sums.judged_nano, kept),
            usd_failed=from_nano(sums.failed_nano) if sums.judged else None,
            split_usd={name.removesuffix("_nano"): from_nano(amounts[name]) for name in SPLIT},
            input_tokens=amounts["input_tokens"],
            step_tokens_p50=quantile(sums.steps, 0.5),
            step_tokens_p90=quantile(sums.steps, 0.9),
            cache_read_pct=_percent(amounts["read_tokens"], amounts["input_tokens"]),
            overhead_calls=amounts["overhead_calls"],
            served_calls=amounts["served"],
            stopped=sums.stopped,
            stops=dict(sorted(sums.stops.items())),
            verified=sums.verified,
            judged=sums.judged,
            successes=sums.successes,
            harm=_harm(sums),
            counts={name: count for name, count in sorted(sums.tally.items()) if name not in HARMS},
        )


def _with_tasks_named(sums: Sums, benchmark: str) -> Sums:
    """The same sums, with tasks that no other benchmark has: equal names of two benchmarks are two tasks."""
    named = {f"{benchmark}\n{task}": amounts for task, amounts in sums.tasks.items()}
    made = Sums()
    made.merge(sums)
    made.tasks = named
    return made


def _harm(sums: Sums) -> dict[str, float | int | None]:
    found: dict[str, float | int | None] = {name: sums.tally[name] for name in HARMS}
    found["dangling_pct"] = _percent(sums.tally[DANGLING], sums.tally[ACTING])
    found["successes_killed"] = sums.killed
    return found


def _usd_each(nano: int, count: int) -> Decimal | None:
    return from_nano(round(nano / count)) if count else None


def _percent(part: int, whole: int) -> float | None:
    return 100 * part / whole if whole else None


def _plain(row: Row) -> dict[str, Any]:
    def plain(value: Any) -> Any:
        if isinstance(value, Decimal):
            return f"{value:f}"
        return {name: plain(inner) for name, inner in value.items()} if isinstance(value, Mapping) else value

    return {name: plain(getattr(row, name)) for name in Row.__slots__}
