"""Routing whole runs of recorded agents: what it costs and achieves, from the recorded outcomes of both models.

Several systems (a model within an agent) were recorded on the same tasks. A row is a policy on a pair of them: the
strong one is that which solves most of its tasks, of those recorded on at least half of the benchmark's; the cheap one
is any other that cost less on the tasks of both (`--all-pairs`: all pairs). Each run costs what its own model charges
for its own recorded calls and tokens, with the provider's prompt cache simulated; drafts that a cascade throws away are
spend, and a verifier's mistakes are expected values. Everything is compared with the strong system alone on the same
tasks, and with a coin between both that costs the same: `over_coin` is what a policy is better than chance. Intervals
are 95 % bootstrap intervals over tasks, paired.

"recorded outcome": costs and successes are those of runs that took place. "price bound only": the cheap model's price
on the strong model's answers, which is all that a replay of one model's runs can say; the row "always cheap" beside it
is the truth. It lies on either side of the bound, since models differ in tokenizer and in how long they go on.
`hindsight` marks what no router can know: those are bounds. `refused` is why the package's own router would not run a
cascade. `stated_price` marks pairs with a price that no price list has but `STATED`, here.

    python benchmarks/routing_replay.py --data ../shared/data/traces --json routing_replay.json
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rows import parser, publish

from langchain_agentcost.pricing import PriceBook
from langchain_agentcost.replay import Faults, Tariffs, read_traces
from langchain_agentcost.replay.outcomes import (
    Always,
    Cascade,
    Coin,
    MeasuredTier,
    Oracle,
    OutcomePolicy,
    OutcomeRow,
    Outcomes,
    Pair,
    Sticky,
    TierRecord,
    compare,
    pairs,
)

PRICED_AT = datetime(2026, 11, 1, tzinfo=UTC)

STATED: Mapping[str, tuple[str, str | None, str]] = {
    "qwen2.5:7b": ("0.03", None, "0.09"),
    "gpt-4.1-sft": ("3", "0.75", "12"),
    "toolorchestra(gpt-5)": ("1.25", "0.125", "10"),
}
"""USD per million tokens of input, cached input and output: a small open model at a host's price, which is assumed;
OpenAI's list price of a fine-tuned gpt-4.1; and gpt-5, of whose helpers the traces say nothing."""

POLICIES: tuple[OutcomePolicy, ...] = (
    Always(strong=True),
    Always(strong=False),
    Coin(0.4),
    Cascade(),
    Cascade(0.9, 0.2),
    Cascade(0.9, 0.4),
    Cascade(0.9, 0.2, gated=True),
    Sticky(),
    MeasuredTier(),
    MeasuredTier(0.95),
    Oracle(),
)
"""What is compared. A coin that sends 60 % to the cheap model is what articles call routing 60 % of the traffic."""


def rows(folder: Path, *, wanted: Sequence[str] = (), all_pairs: bool = False) -> Iterator[dict[str, Any]]:
    """Every row."""
    tariffs = Tariffs(book(), at=PRICED_AT)
    episodes = list(read_traces([folder], Faults()))
    priced = {episode.model for episode in episodes if episode.model and tariffs.unpriced(episode) is None}
    outcomes = Outcomes(tariffs, warm=True, bounds=sorted(model for model in priced if tariffs.of(model)))
    tiers = outcomes.add_all(episodes).tiers()
    for pair in pairs(tiers, wanted):
        if all_pairs or wanted or strongest(tiers[pair.benchmark]) in (pair.strong, pair.cheap):
            for row in compare(pair, POLICIES):
                yield _row(row, pair)


def book() -> PriceBook:
    """The price list, and what it does not have."""
    stated = [
        {"model": model, "input": given, "output": output} | ({"cache_read": cached} if cached else {})
        for model, (given, cached, output) in STATED.items()
    ]
    return PriceBook({"models": stated})


def strongest(tiers: Sequence[TierRecord]) -> TierRecord:
    """The system that solves the largest share of its tasks, of those that were tried on at least half of all."""
    known = len({task for tier in tiers for task in tier.tasks})
    enough = [tier for tier in tiers if 2 * len(tier.tasks) >= known] or tiers
    return max(
        enough, key=lambda tier: (sum(t.success for t in tier.tasks.values()) / len(tier.tasks), len(tier.tasks))
    )


def _row(row: OutcomeRow, pair: Pair) -> dict[str, Any]:
    ends = {
        f"{name}_{end}": interval[place] if interval else None
        for name, interval in (
            ("usd_saved", row.saved_interval),
            ("success", row.success_interval),
            ("points", row.points_interval),
            ("over_coin", row.over_coin_interval),
        )
        for place, end in enumerate(("low", "high"))
    }
    return {
        "system": "agentcost",
        "benchmark_set": row.benchmark,
        "cheap": row.cheap,
        "strong": row.strong,
        "policy": row.policy,
        "share_strong_pct": row.strong_pct,
        "usd_per_task": row.usd_per_task,
        "usd_per_success": row.usd_per_success,
        "usd_saved_pct": row.saved_pct,
        "success_pct": row.success_pct,
        "points": row.points,
        "over_coin": row.over_coin,
        **ends,
        "precision_pct": 100 * row.precision if row.precision is not None else None,
        "refused": ", ".join(row.refused),
        "hindsight": row.hindsight,
        "fidelity": row.fidelity.value,
        "stated_price": bool({pair.cheap.model, pair.strong.model} & STATED.keys()),
        "n": row.n,
        "runs": row.runs,
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Compare and publish."""
    options = parser(__doc__, data=True)
    options.add_argument("--tiers", default="", help="only these models, separated by commas")
    options.add_argument("--all-pairs", action="store_true", help="not only those with the system that solves most")
    chosen = options.parse_args(arguments)
    wanted = [name for name in chosen.tiers.split(",") if name]
    publish("routing_replay", list(rows(chosen.data, wanted=wanted, all_pairs=chosen.all_pairs)), chosen.json)


if __name__ == "__main__":
    logging.disable(logging.WARNING)
    main()
