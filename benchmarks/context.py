"""What shorter contexts save on recorded agents with the provider's prompt caching ON, and what they lose.

Ours run their real code: the eviction planner (`evict`), lossless compression with lean tools (`compact`), references,
summaries that the planner prices, working memory, selection, and all that is on by default together (`context`). In the
same run, on the same messages: nothing, a sliding and a batched mask, and LangChain's own `ClearToolUsesEdit` and
`SummarizationMiddleware`. Every call is priced at list price as one model; tools and system message are warm.

The first rows are the strategies: dollars and tokens saved with the 95 % bootstrap interval over tasks, input tokens of
a step before and after, the steps that lose a literal which their recorded call used, and what the planner predicted
beside what it realised. The others compare ours with each alternative, paired by task: `ratio` is our bill over theirs,
and the planner is not worse where `ratio_low` is at most 1.

    python benchmarks/context.py --data ../shared/data/traces --json context.json
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from context_peers import ClearToolUses, Summarization
from rows import parser, publish

from langchain_agentcost.interval import bootstrap
from langchain_agentcost.money import to_nano
from langchain_agentcost.replay import Faults, Result, Row, Tariffs, read_traces, replay, strategies
from langchain_agentcost.replay.result import RECORDED
from langchain_agentcost.replay.strategy import Strategy, label
from langchain_agentcost.replay.sums import Sums

PRICED_AT = datetime(2026, 11, 1, tzinfo=UTC)
MODELS = ("claude-sonnet-4-5", "gpt-4.1")

OURS = ("context", "evict", "compact", "reference", "summarize", "memory", "select")
PEERS = ("mask_sliding", "mask_sliding:keep=10", "mask_batched")
LANGCHAIN: tuple[Strategy, ...] = (
    ClearToolUses(),
    ClearToolUses(trigger=8_000),
    Summarization(),
    Summarization(trim=0),
    Summarization(trigger=8_000, keep=6, trim=0),
)

COMPARED = ("context", "evict", "summarize")
"""Of ours, what is compared with each alternative."""

ON = 1
"""Where a task's dollars with prompt caching on are in `Sums.tasks`."""


def rows(folder: Path, models: Sequence[str] = MODELS) -> Iterator[dict[str, Any]]:
    """Every row: each strategy under each model's prices, then the comparisons."""
    compared = []
    for model in models:
        every = (*strategies([*OURS, *PEERS]), *LANGCHAIN)
        result = replay(read_traces([folder], Faults()), every, tariffs=Tariffs(model=model, at=PRICED_AT), warm=True)
        recorded = {(row.family, row.benchmark_set): row for row in result.rows() if row.recorded}
        for row in result.rows():
            yield _row(model, row, recorded[row.family, row.benchmark_set])
        compared += list(comparisons(model, result, [RECORDED, *PEERS, *map(label, LANGCHAIN)]))
    yield from compared


def _row(model: str, row: Row, recorded: Row) -> dict[str, Any]:
    predicted = row.counts.get("predicted_nano_usd")
    realised = to_nano(recorded.usd - row.usd)
    return {
        "system": "agentcost" if row.strategy.split(":")[0] in OURS else "peer",
        "priced_as": model,
        "family": row.family,
        "benchmark_set": row.benchmark_set,
        "strategy": row.strategy,
        "usd_saved_pct": row.usd_saved_pct_cache_on,
        "ci_low": row.ci_low,
        "ci_high": row.ci_high,
        "usd_saved_pct_cache_off": row.usd_saved_pct_cache_off,
        "tokens_saved_pct": row.tokens_saved_pct,
        "step_p50_before": recorded.step_tokens_p50,
        "step_p50": row.step_tokens_p50,
        "step_p90_before": recorded.step_tokens_p90,
        "step_p90": row.step_tokens_p90,
        "dangling_pct": row.harm["dangling_pct"],
        "predicted_over_realised": predicted / realised if predicted and realised else None,
        "usd": row.usd,
        "fidelity": row.fidelity,
        "n": row.episodes,
    }


def comparisons(model: str, result: Result, others: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Our bill over that of each alternative, by benchmark, with the interval over tasks."""
    for key, ours in result.sums.items():
        if key.strategy not in COMPARED:
            continue
        for other in others:
            theirs = result.sums[key._replace(strategy=other)]
            yield {
                "system": "agentcost",
                "priced_as": model,
                "family": key.family,
                "benchmark_set": key.benchmark,
                "strategy": f"{key.strategy} / {other}",
                **_ratio(ours, theirs),
                "n": ours.episodes,
            }


def _ratio(ours: Sums, theirs: Sums) -> dict[str, float | None]:
    mine, other = ours.column(ON), theirs.column(ON)
    ends = bootstrap(mine, other)
    return {
        "ratio": sum(mine) / sum(other) if sum(other) else None,
        "ratio_low": 1 - ends[1] / 100 if ends else None,
        "ratio_high": 1 - ends[0] / 100 if ends else None,
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Run it."""
    options = parser(__doc__, data=True)
    options.add_argument("--models", default=",".join(MODELS), help="whose list prices, separated by commas")
    chosen = options.parse_args(arguments)
    publish("context", list(rows(chosen.data, chosen.models.split(","))), chosen.json)


if __name__ == "__main__":
    main()
