"""All features together on recorded agents, with the provider's prompt caching ON: what each one saves, and the sum.

Every run is replayed with the features added one by one, in the order of `composed.FEATURES`: circuit breakers, tool
cache, lossless context (compression without loss, repeated results told once, lean tool schemas), references with the
read-backs that recorded calls prove necessary, and eviction with its read-backs. A feature is told what the bill falls
by when it joins those before it, in percent of the recorded bill: the parts add up to the total, and nothing is counted
twice. Every call is priced at list price as one model; tools and system message are warm. The tool cache spares tools
and not one token of a model, so its share of a model's bill is 0 by its nature; `tool_hits` says what it spares.

`total, same information` is the headline: it has only features that leave what the model can read as it was
(fidelity `exact` and `same information`). `total` has the rest too, which is open-loop: the recorded answers are
played, and what was lost is counted (`dangling_pct`). `aim_pct` is what was aimed at, `met` whether it is.

The router takes part only where the outcomes of several models were recorded on the same tasks, and by whole runs.
There the bill is each run's own model's, and the baseline is the system that solves most, alone and as recorded. First
the other features join, for that system alone; then the router sends tasks to the cheap one. `measured tier, floor 95%`
is what the package does by default: it stays with the strong model until enough tasks prove the cheap one. The cascade
needs a verifier with those rates, and stands back where the other tasks say that it loses money. The oracle is
hindsight.

    python benchmarks/composed.py --data ../shared/data/traces --json composed.json
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from routing_replay import book, strongest
from rows import parser, publish

from langchain_agentcost.interval import bootstrap, percent_saved
from langchain_agentcost.money import from_nano
from langchain_agentcost.replay import Episode, Faults, Fidelity, Result, Row, Tariffs, read_traces, replay
from langchain_agentcost.replay.outcomes import (
    Cascade,
    MeasuredTier,
    Oracle,
    OutcomePolicy,
    Outcomes,
    Pair,
    pairs,
)
from langchain_agentcost.replay.result import EVERYTHING, RECORDED
from langchain_agentcost.replay.strategies.composed import Composed, ComposedLossless, in_order
from langchain_agentcost.replay.strategy import Strategy, label
from langchain_agentcost.replay.sums import Key

PRICED_AT = datetime(2026, 11, 1, tzinfo=UTC)
SAME = Fidelity.SAME_INFORMATION.value
MODELS = ("claude-sonnet-4-5", "gpt-4.1")

ON = 1
"""Where a task's dollars with prompt caching on are in `Sums.tasks`."""

AIMS = {"swe": 25.0}
TAU_AIM = 10.0
"""What was aimed at, in percent of the bill with caching on, by family."""

COLUMNS = (
    "system", "priced_as", "family", "benchmark_set", "what", "fidelity", "usd_saved_pct", "ci_low", "ci_high",
    "aim_pct", "met", "usd", "usd_per_success", "tokens_saved_pct", "successes", "successes_killed", "points",
    "hindsight", "stopped", "dangling_pct", "tool_hits", "stale_hits", "n", "tasks",
)  # fmt: skip
"""What every row has; what a row is not about is None."""

ROUTERS: tuple[OutcomePolicy, ...] = (MeasuredTier(0.95), Cascade(0.9, 0.2, gated=True), Oracle())


def rows(folder: Path, models: Sequence[str] = MODELS, *, router: bool = True) -> Iterator[dict[str, Any]]:
    """Every row: for each model's prices the features and the totals, then the router on recorded outcomes."""
    ladder = list(in_order())
    for model in filter(None, models):
        tariffs = Tariffs(model=model, at=PRICED_AT)
        steps = [combined for _, combined in ladder]
        result = replay(read_traces([folder], Faults()), steps, tariffs=tariffs, warm=True)
        yield from _features(model, result)
    if router:
        yield from _routed(folder)


def _features(model: str, result: Result) -> Iterator[dict[str, Any]]:
    """The features and totals of each benchmark. A benchmark's sums are those of its tasks."""
    made = {(row.family, row.benchmark_set, row.strategy): row for row in result.rows()}
    for family, benchmark, strategy in list(made):
        if strategy != RECORDED or benchmark == EVERYTHING:
            continue
        before, columns = RECORDED, {name: _column(result, family, benchmark, name) for name in result.fidelity}
        for feature, combined in in_order():
            now = label(combined)
            row = made[family, benchmark, now]
            part = _marginal(columns[before], columns[now], columns[RECORDED])
            yield _row(model, row, f"feature: {feature.name}", feature.strategy.fidelity) | part
            if feature.name == "lossless context":
                yield _total(model, row, "total, same information")
            before = now
        yield _total(model, made[family, benchmark, before], "total")


def _column(result: Result, family: str, benchmark: str, strategy: str) -> list[int]:
    return result.sums[Key(family, benchmark, strategy)].column(ON)


def _marginal(before: Sequence[int], now: Sequence[int], recorded: Sequence[int]) -> dict[str, float | None]:
    """What a feature saves beyond those before it, in percent of the recorded bill."""
    left = [whole - (then - after) for whole, then, after in zip(recorded, before, now, strict=True)]
    ends = bootstrap(left, recorded)
    low, high = ends or (None, None)
    return {"usd_saved_pct": percent_saved(left, recorded), "ci_low": low, "ci_high": high}


def _total(model: str, row: Row, what: str) -> dict[str, Any]:
    aim = AIMS.get(row.family, TAU_AIM)
    saved = row.usd_saved_pct_cache_on
    found = {"usd_saved_pct": saved, "ci_low": row.ci_low, "ci_high": row.ci_high}
    return _row(model, row, what, Fidelity(row.fidelity)) | found | {"aim_pct": aim, "met": (saved or 0.0) >= aim}


def _row(model: str, row: Row, what: str, fidelity: Fidelity) -> dict[str, Any]:
    return dict.fromkeys(COLUMNS) | {
        "system": "agentcost",
        "priced_as": model,
        "family": row.family,
        "benchmark_set": row.benchmark_set,
        "what": what,
        "fidelity": fidelity.value,
        "usd": row.usd,
        "usd_per_success": row.usd_per_success,
        "tokens_saved_pct": row.tokens_saved_pct,
        "successes": row.successes,
        "successes_killed": row.harm["successes_killed"],
        "stopped": row.stopped,
        "dangling_pct": row.harm["dangling_pct"],
        "tool_hits": row.counts.get("tool_hits"),
        "stale_hits": row.harm["stale_hits"],
        "n": row.episodes,
        "tasks": row.tasks,
    }


def _routed(folder: Path) -> Iterator[dict[str, Any]]:
    """The router after the other features, where the outcomes of both models were recorded."""
    tariffs = Tariffs(book(), at=PRICED_AT)
    ways: tuple[tuple[str, Strategy | None], ...] = (
        ("as recorded", None),
        (SAME, ComposedLossless()),
        ("all", Composed()),
    )
    outcomes = {name: Outcomes(tariffs, by=by, warm=True) for name, by in ways}
    for episode in _of_several_models(list(read_traces([folder], Faults()))):
        for one in outcomes.values():
            one.add(episode)
    tiers = {name: one.tiers() for name, one in outcomes.items()}
    known = {name: {_names(pair): pair for pair in pairs(given)} for name, given in tiers.items()}
    for pair in known["as recorded"].values():
        if pair.strong == strongest(tiers["as recorded"][pair.benchmark]):
            for name in (SAME, "all"):
                composed = known[name].get(_names(pair))
                if composed is not None:  # features may have changed which of the two is the cheap one
                    yield from _after_features(pair, composed, name)


def _of_several_models(episodes: Sequence[Episode]) -> Iterator[Episode]:
    """The runs of benchmarks that several models were recorded on: of others there is nothing to route."""
    models: dict[str, set[str | None]] = {}
    for episode in episodes:
        models.setdefault(episode.benchmark, set()).add(episode.model)
    return (episode for episode in episodes if len(models[episode.benchmark]) > 1)


def _names(pair: Pair) -> tuple[str, str, str]:
    return pair.benchmark, pair.cheap.name, pair.strong.name


def _after_features(recorded: Pair, composed: Pair, features: str) -> Iterator[dict[str, Any]]:
    whole = [strong.cost_nano for _, strong in recorded]
    alone = [strong.cost_nano for _, strong in composed]
    solved = sum(strong.success for _, strong in recorded)
    about = _about(recorded, len(whole))
    row = about | _spent(alone, sum(strong.success for _, strong in composed), whole, solved)
    row["what"] = f"before the router: {features}"
    row["fidelity"] = (ComposedLossless if features == SAME else Composed).fidelity.value
    yield row
    for policy in ROUTERS:
        made = policy.expect(composed)
        costs = [one.cost_nano for one in made]
        total = about | _spent(costs, sum(one.success for one in made), whole, solved)
        total |= {"fidelity": Fidelity.RECORDED_OUTCOME.value, "hindsight": policy.hindsight}
        part = {"what": f"router after {features}: {policy.name}", **_marginal(alone, costs, whole)}
        yield total | part
        yield total | {"what": f"total, {features} and router: {policy.name}"}


def _about(pair: Pair, tasks: int) -> dict[str, Any]:
    return dict.fromkeys(COLUMNS) | {
        "system": "agentcost",
        "priced_as": f"{pair.cheap.name} -> {pair.strong.name}",
        "benchmark_set": pair.benchmark,
        "n": sum(record.runs for both in pair for record in both),
        "tasks": tasks,
    }


def _spent(now: Sequence[int], success: float, whole: Sequence[int], solved: float) -> dict[str, Any]:
    ends = bootstrap(now, whole)
    low, high = ends or (None, None)
    return {
        "usd_saved_pct": percent_saved(now, whole),
        "ci_low": low,
        "ci_high": high,
        "usd": from_nano(sum(now)),
        "usd_per_success": from_nano(round(sum(now) / success)) if success else None,
        "points": 100 * (success - solved) / len(whole),
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Run it."""
    options = parser(__doc__, data=True)
    options.add_argument(
        "--models", default=",".join(MODELS), help="whose list prices, separated by commas; '' for none"
    )
    options.add_argument("--no-router", action="store_true", help="leave the rows of recorded outcomes out")
    chosen = options.parse_args(arguments)
    publish("composed", list(rows(chosen.data, chosen.models.split(","), router=not chosen.no_router)), chosen.json)


if __name__ == "__main__":
    logging.disable(logging.WARNING)
    main()
