"""What each strategy would have saved on recorded agents, with the provider's prompt caching on and off.

Every call is priced as claude-sonnet-4-5 at list price, whoever answered it, and the tools and system message are
taken to be in the provider's cache when a run starts (the row "prompt_cache, cold start" does without). "cache_off" is
what a tool that knows no prompt cache would advertise; "cache_on" is the headline, with its 95 % bootstrap interval
over tasks. Beside ours, in the same run, LangChain's own `ClearToolUsesEdit`, the edit of its
ContextEditingMiddleware, does its real work on the recorded messages.

Then, on runs whose provider caches unasked and said what it served and billed: the simulated share of cached input
beside the recorded one, and the recorded cost beside ours, by source. Rows are by benchmark, then by family ("*");
families are never added up. FORMAT.md of the replay package has the formulas.

    python benchmarks/replay.py --data ../shared/data/traces --json replay.json
"""

from __future__ import annotations

import logging
import resource
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

from langchain.agents.middleware import ClearToolUsesEdit
from rows import parser, publish

from langchain_agentcost.money import from_nano
from langchain_agentcost.pricing import PriceBook
from langchain_agentcost.pricing.prompt_caching import terms_of
from langchain_agentcost.replay import (
    Call,
    Episode,
    Faults,
    Fidelity,
    Result,
    Row,
    Session,
    Tariffs,
    read_traces,
    replay,
    strategies,
)
from langchain_agentcost.replay.cache import PrefixCache
from langchain_agentcost.replay.request import Request
from langchain_agentcost.replay.sizes import Sizes, Toolset
from langchain_agentcost.replay.strategy import Scene, Strategy
from langchain_agentcost.tokens import TokenCounter

PRICED_AS = "claude-sonnet-4-5"
PRICED_AT = datetime(2026, 11, 1, tzinfo=UTC)

OURS = (
    "prompt_cache",
    "volatile_head",
    "volatile_head:at=system",
    "tool_cache",
    "tool_cache:state=shared",
    "tool_cache:state=shared:invalidate=no",
    "response_cache",
    "breakers",
    "limits:preset=support",
    "limits:preset=coding",
    "limits:preset=typical",
    "mask_sliding",
    "mask_sliding:keep=10",
    "mask_batched",
    "truncate",
    "truncate:tokens=1500",
    "reference",
    "summarize:margin=0:break_even=no",
    "summarize:above=8000:keep=3:margin=0:break_even=no",
    "summarize",
    "summarize:above=8000:keep=3",
    "memory",
    "select",
    "prune_tools",
    "prune_tools_oracle",
    "minify",
    "route_reads",
    "route_short",
    "minify+truncate+mask_batched",
    "breakers+minify+truncate",
)

COLD = "prompt_cache, cold start"

BILLED = {
    "models": [
        {"model": f"deepseek-{kind}", "input": "0.28", "cache_read": "0.028", "output": "0.42"}
        for kind in ("chat", "reasoner")
    ]
}
"""What DeepSeek billed while the runs were recorded; the price list has other dates' prices."""

CACHED_SHARE = "(validation: share of the input that was cached)"
COST = "(validation: cost of each call)"

WITHIN_NANO = 10
"""1e-8 USD a call."""


@dataclass(frozen=True)
class Peer:
    """LangChain's own clearing of old tool results, before every call as its middleware does it."""

    name: ClassVar[str] = "ClearToolUsesEdit(trigger=8000, keep=3)"
    fidelity: ClassVar[Fidelity] = Fidelity.OPEN_LOOP
    needs_text: ClassVar[bool] = True

    def begin(self, scene: Scene) -> Session:
        """Open a run."""
        return _Clearing(scene)


class _Clearing(Session):
    def before(self, call: Call, request: Request) -> Request:
        """Edit the messages; LangChain makes new ones for those that it clears."""
        messages: list[Any] = list(request.messages)
        of = self.scene.sizes.of
        ClearToolUsesEdit(trigger=8_000).apply(messages, count_tokens=lambda all_: sum(of(m).tokens for m in all_))
        return request._replace(messages=tuple(messages))


def rows(folder: Path, wanted: Sequence[str] = OURS) -> Iterator[dict[str, Any]]:
    """Every row: the strategies', the peer's, and the two validations'."""
    tariffs = Tariffs(model=PRICED_AS, at=PRICED_AT)
    peer: Strategy = Peer()
    started = time.perf_counter()
    warm = replay(episodes(folder), (*strategies(wanted), peer), tariffs=tariffs, warm=True)
    yield _speed(warm, time.perf_counter() - started, len(wanted) + 2)
    for row in warm.rows():
        yield _row("langchain" if row.strategy == Peer.name else "agentcost", row)
    for row in replay(episodes(folder), "prompt_cache", tariffs=tariffs).rows():
        if row.strategy != "none":
            yield _row("agentcost", row) | {"strategy": COLD}
    yield from validations(episodes(folder))


def episodes(folder: Path) -> Iterator[Episode]:
    """The recorded runs; a set of which only the winning runs were published counts in dollars, not in successes."""
    return read_traces([folder], Faults())


COLUMNS = (
    "system", "benchmark_set", "family", "strategy", "tokens_saved_pct", "usd_saved_pct_cache_on", "ci_low", "ci_high",
    "usd_saved_pct_cache_off", "usd", "usd_per_success", "usd_failed", "cache_read_pct", "step_tokens_p50",
    "step_tokens_p90", "harm", "fidelity", "n",
)  # fmt: skip
"""What every row has; rows that are about no strategy have None for most of it."""


def _row(system: str, row: Row) -> dict[str, Any]:
    found: dict[str, Any] = {name: getattr(row, name, None) for name in COLUMNS}
    harm = {name: count for name, count in {**row.harm, **row.counts}.items() if count}
    return found | {"system": system, "harm": harm, "n": row.episodes}


def _about(benchmark_set: str, family: str, what: str, n: int) -> dict[str, Any]:
    """A row about no strategy."""
    empty: dict[str, Any] = dict.fromkeys(COLUMNS)
    named = {"benchmark_set": benchmark_set, "family": family, "strategy": what}
    return empty | named | {"system": "agentcost", "harm": {}, "fidelity": Fidelity.EXACT.value, "n": n}


def _speed(result: Result, seconds: float, count: int) -> dict[str, Any]:
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    row = _about("*", "*", f"(speed: {count} strategies, one process)", result.episodes)
    return row | {"calls": result.calls, "seconds": round(seconds, 1), "peak_mb": round(peak_mb)}


@dataclass
class _Source:
    """What was recorded of one source, and what comes out here."""

    family: str
    input_tokens: int = 0
    recorded_reads: int = 0
    simulated_reads: int = 0
    calls: int = 0
    off_by_more: int = 0
    furthest_nano: int = 0
    recorded_nano: int = 0


def validations(runs: Iterable[Episode]) -> Iterator[dict[str, Any]]:
    """Compare with what providers reported, by source: cached input, and cost.

    Runs count in which one model that caches unasked answered all calls and each says what was served; costs count
    where DeepSeek billed them, whose prices of the time are known.
    """
    sources: dict[str, _Source] = {}
    counter, billed = TokenCounter(), Tariffs(PriceBook(BILLED), at=PRICED_AT)
    for episode in runs:
        models = {call.recorded.model for call in episode.calls}
        if len(models) == 1 and all(call.recorded.knows_cache and call.recorded.usage for call in episode.calls):
            source = sources.setdefault(episode.source, _Source(episode.family))
            _validate(episode, str(*models), source, counter, billed)
    for name, source in sorted(sources.items()):
        if not source.calls:
            continue
        recorded, simulated = (
            100 * reads / source.input_tokens for reads in (source.recorded_reads, source.simulated_reads)
        )
        yield _about(name, source.family, CACHED_SHARE, source.calls) | {
            "recorded_pct": recorded,
            "simulated_pct": simulated,
            "points_off": simulated - recorded,
        }
        if source.recorded_nano:
            yield _about(name, source.family, COST, source.calls) | {
                "calls_off_by_more_than_1e-8": source.off_by_more,
                "furthest_off_usd": from_nano(source.furthest_nano),
                "usd": from_nano(source.recorded_nano),
            }


def _validate(episode: Episode, model: str, source: _Source, counter: TokenCounter, billed: Tariffs) -> None:
    terms = terms_of(model)
    if terms is None or not terms.automatic:
        return
    # These caches live for hours, and all runs of a source begin alike: each but the first finds its beginning there.
    cache = PrefixCache(terms, Sizes(episode, counter), warm=source.calls > 0)
    tariff = billed.of(model) if terms.family == "deepseek" else None
    tools = Toolset(episode.tools)
    for call in episode.calls:
        usage = call.recorded.usage
        assert usage is not None
        read, _ = cache.send(Request(tools, call.messages), call.recorded.at_s)
        source.calls += 1
        source.input_tokens += usage.input_tokens
        source.recorded_reads += usage.cache_read_tokens
        source.simulated_reads += read
        if tariff is not None and call.recorded.cost_nano is not None:
            off = abs(tariff.nano(usage) - call.recorded.cost_nano)
            source.recorded_nano += call.recorded.cost_nano
            source.furthest_nano = max(source.furthest_nano, off)
            source.off_by_more += off > WITHIN_NANO


def main(argv: Sequence[str] | None = None) -> None:
    """Replay and publish."""
    options = parser(__doc__, data=True).parse_args(argv)
    publish("replay", list(rows(options.data)), options.json)


if __name__ == "__main__":
    logging.disable(logging.WARNING)  # every budget that a replay uses up would be logged
    main()
