"""Which share of calls can go to the cheap model, at which loss: our router, baselines and installed peers.

Every system learns on one part of the calls and is scored on the other: halves by the hash of the text, or, with
`--test DIR`, all of `--data` and all of DIR. Pairs are those of routing_data.py; a pair whose strong model is no better
for no less money is reported as dominated, by name, and not routed.

`apgr` is the average share of the quality gap that is recovered over all shares of strong calls; a coin has 0.5.
`cost_at_95` is what routing costs of the strong model alone, and `quality_at_95` what share of its quality was really
reached, with the threshold that fixed-sequence testing finds on the training calls for a floor of 95 % at 95 %
confidence; `plain_...` with the threshold that just keeps 95 % there. `floor_miss_pct`: of `--resamples` draws of
`--sample` training calls (without replacement; no more than half of them), each trained and calibrated anew, how many
miss the floor on the scored calls: those are the same for all draws, so their luck is in it. `resplit_miss_pct`, of our
systems, draws the scored calls anew too. Both are of `fixed_sequence` on cross-fitted scores of the training calls, not
of the shipped `calibrate`, which is stricter: there the policy that is used, which learnt from all of them, has to pass
each threshold too, and calls of one conversation are one draw.

`share_small_pct`, `usd_saved_pct` and `above_random` (points of quality over a coin with the same share of strong
calls) are at the calibrated 95 % point. `quality_diff_at_65` is what is lost against the strong model alone, in
points, when 65 % of calls are small, and `above_random_at_65` what a coin would lose more. `vs_best` is the difference
of APGR to the best baseline of the run (that sees the label, where the system does), `vs_peer` to the best peer. All
intervals are of 1,000 paired bootstraps.

`ms` is the median time of one decision on one thread, the text's vector included; `ms_known` with the vector cached
(TF-IDF's without counting the words).
With `--per-dollar` our systems are also run with calls ranked by expected gain for each expected dollar that the strong
model costs more. That costs less at a floor where prompts differ in length; `apgr` counts calls and does not show it.

All calls are single turns: there is no prompt cache that switching could lose, so savings are "cache off".
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np
import routing_data
import routing_measures as measures
import routing_peers
from langchain_core.embeddings import Embeddings
from routing_baselines import Learned, System, baselines, untrained
from routing_data import Calls, Numbers, Pair
from routing_measures import Counts, Interval
from routing_ours import ours, per_dollar
from routing_peers import Heuristic
from rows import parser, publish
from semantic_data import Vectors
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from langchain_agentcost.caching.embedders import default_embeddings
from langchain_agentcost.routing.cascade_cost import Attempt, dominated
from langchain_agentcost.routing.fixed_sequence import fixed_sequence

FLOORS = {"95": 0.95, "99": 0.99}
CONFIDENCE = 0.95
TIMED = 100
SMALL = 0.65
"""The share of small calls that the field's articles name, 60 to 70 %."""

COLUMNS = (
    "pair", "system", "kind", "n_train", "n", "apgr", "apgr_low", "apgr_high", "cost_at_95", "quality_at_95",
    "cost_at_99", "quality_at_99", "floor_miss_pct", "resplit_miss_pct", "plain_miss_pct", "resamples_mean_cost",
    "ms", "ms_known",
    "share_small_pct", "usd_saved_pct", "cache", "above_random", "above_random_low", "above_random_high",
    "quality_diff_at_65", "quality_diff_at_65_low", "quality_diff_at_65_high", "usd_saved_at_65_pct",
    "above_random_at_65", "above_random_at_65_low", "above_random_at_65_high", "plain_cost_at_95",
    "plain_quality_at_95", "plain_cost_at_99", "plain_quality_at_99", "best", "vs_best", "vs_best_low", "vs_best_high",
    "peer", "vs_peer", "vs_peer_low", "vs_peer_high", "note",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Trial:
    """A system after training on a pair.

    Args:
        system: It.
        learned: What it learnt.
        scores: What it gives the calls that are scored.
    """

    system: System
    learned: Learned
    scores: Numbers


def calibrated(known: Numbers, calls: Calls, *, floor: float) -> float:
    """Give the threshold that fixed-sequence testing allows; a call with a score above it goes to the strong model."""
    steps = fixed_sequence(
        known.tolist(), calls.cheap.tolist(), calls.strong.tolist(), floor=floor, confidence=CONFIDENCE
    )
    passed = [step.threshold for step in steps if step.passed and step.threshold is not None]
    return passed[-1] if passed else -np.inf


def pair_rows(pair: Pair, systems: Sequence[System], embeddings: Embeddings, options: Any) -> Iterator[dict[str, Any]]:
    """Give a row for each system that a pair can be routed with."""
    head = {"pair": pair.name, "n_train": len(pair.train), "n": len(pair.test)}
    beaten = dominated([_attempt("cheap", pair.train.cheap, pair.train.cheap_usd),
                        _attempt("strong", pair.train.strong, pair.train.strong_usd)])  # fmt: skip
    if beaten:
        yield {**head, "system": "any", "note": "; ".join(f"{a} is dominated by {b}" for a, b in beaten.items())}
        return
    counts = measures.draws(len(pair.test))
    trials = [_trial(system, pair) for system in systems if pair.labelled or not system.labels]
    for trial in trials:
        yield {
            **head,
            "system": trial.system.name,
            "kind": trial.system.kind,
            **_curve(trial.scores, pair.test, counts),
            **_at_floors(trial, pair, counts),
            **_misses(trial.system, pair, resamples=options.resamples, sample=options.sample),
            **_resplit(trial.system, pair, resamples=options.resamples, sample=options.sample),
            **_compared(trial, trials, pair.test, counts),
            **_latency(trial, pair.test, embeddings),
            "cache": "off",
        }


def dominated_row(columns: dict[str, list[Any]]) -> dict[str, Any]:
    """Give the row of RouterArena's two models, of which the list price says that the worse is the stronger."""
    tiers = [
        _attempt(name, np.array(columns[f"{name}_score"]), np.array(columns[f"{name}_cost"]))
        for name in ("gemini20flash", "claude3haiku")
    ]
    beaten = "; ".join(f"{worse} is dominated by {better}" for worse, better in dominated(tiers).items())
    figures = ", ".join(f"{t.tier} {float(t.quality or 0):.3f} at {t.nano} nano-USD" for t in tiers)
    return {"pair": "gemini20flash -> claude3haiku", "system": "any", "n": len(columns["query"]),
            "note": f"{beaten} ({figures})"}  # fmt: skip


def main(argv: list[str] | None = None) -> None:
    """Run the benchmark."""
    arguments = parser(__doc__, data=True)
    arguments.add_argument("--test", type=Path, metavar="DIR", help="score the calls of this folder")
    arguments.add_argument("--resamples", type=int, default=100, metavar="N", help="draws of training calls (100)")
    arguments.add_argument("--sample", type=int, default=800, metavar="N", help="training calls of a draw (800)")
    arguments.add_argument("--peers", metavar="PYTHON", help="the interpreter that has litellm and cascadeflow")
    arguments.add_argument("--per-dollar", action="store_true", help="rank by gain for each dollar as well")
    arguments.add_argument("--vectors", type=Path, metavar="DIR", help="keep vectors in this folder for the next run")
    options = arguments.parse_args(argv)
    embeddings = default_embeddings()
    vectors = Vectors(embeddings, options.vectors)
    found = list(routing_data.pairs(options.data, options.test))
    texts = list(dict.fromkeys(text for pair in found for calls in (pair.train, pair.test) for text in calls.texts))
    vectors.of(texts)
    peers = routing_peers.run(texts, python=options.peers)
    threadpool_limits(1)  # on a busy machine more threads are slower, and a decision is timed on one
    own = ours(vectors)
    own += [per_dollar(system) for system in own if options.per_dollar]
    systems = [*own, *baselines(vectors, texts), *(_peer(peer, texts) for peer in peers if peer.scores)]
    rows: list[dict[str, Any]] = []
    for pair in found:
        rows += pair_rows(pair, systems, embeddings, options)
        rows += [
            {"pair": pair.name, "system": peer.name, "kind": "peer", "note": "not installed"}
            for peer in peers
            if not peer.scores
        ]
    arena = routing_data.arena(options.test or options.data)
    rows += [dominated_row(arena)] if arena else []
    publish("routing", [{column: row.get(column) for column in COLUMNS} for row in rows], options.json)


def _trial(system: System, pair: Pair) -> Trial:
    learned = system.learn(pair.train)
    return Trial(system, learned, learned.score(pair.test))


def _curve(scores: Numbers, calls: Calls, counts: Counts) -> dict[str, Any]:
    area = Interval.of(measures.apgr(scores, calls), measures.apgr(scores, calls, counts))
    lost, above = measures.at_small_share(scores, calls, counts, small=SMALL)
    return {
        **_named("apgr", area),
        **_named("quality_diff_at_65", lost),
        **_named("above_random_at_65", above),
        "usd_saved_at_65_pct": 100 * (1 - measures.cost_at_small_share(scores, calls, small=SMALL)),
    }


def _at_floors(trial: Trial, pair: Pair, counts: Counts) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for name, floor in FLOORS.items():
        sure = calibrated(trial.learned.known, pair.train, floor=floor)
        plain = measures.plain_threshold(trial.learned.known, pair.train, floor=floor)
        for kind, threshold in (("", sure), ("plain_", plain)):
            at = measures.reached(trial.scores, threshold, pair.test, counts)
            row |= {f"{kind}cost_at_{name}": at.cost, f"{kind}quality_at_{name}": at.quality}
            if (kind, name) == ("", "95"):
                row |= {"share_small_pct": 100 * at.small, "usd_saved_pct": 100 * (1 - at.cost)}
                row |= _named("above_random", at.above_random)
    return row


def _misses(system: System, pair: Pair, *, resamples: int, sample: int) -> dict[str, Any]:
    """How often the floor of 95 % is missed on the scored calls, over draws of the training calls."""
    if not resamples or system.name == "oracle":
        return {}
    dice = np.random.default_rng(1)
    size = min(sample, len(pair.train) // 2)
    missed, costs = np.zeros((resamples, 2)), np.zeros(resamples)
    for draw in range(resamples):
        some = pair.train.take(dice.choice(len(pair.train), size, replace=False))
        learned = system.learn(some)
        scores = learned.score(pair.test)
        sure = calibrated(learned.known, some, floor=0.95)
        plain = measures.plain_threshold(learned.known, some, floor=0.95)
        missed[draw] = [measures.relative_quality(scores, at, pair.test) < 0.95 for at in (sure, plain)]
        costs[draw] = measures.cost(scores, sure, pair.test)
    sure_pct, plain_pct = 100 * missed.mean(axis=0)
    return {"floor_miss_pct": sure_pct, "plain_miss_pct": plain_pct, "resamples_mean_cost": costs.mean()}


def _resplit(system: System, pair: Pair, *, resamples: int, sample: int) -> dict[str, Any]:
    """How often it is missed where each draw has scored calls of its own: without the luck of the one split."""
    if not resamples or system.kind != "ours":
        return {}
    dice, every = np.random.default_rng(2), pair.train.beside(pair.test)
    size, missed = min(sample, len(every) // 2), 0
    for _ in range(resamples):
        order = dice.permutation(len(every))
        some, rest = every.take(order[:size]), every.take(order[size:])
        learned = system.learn(some)
        sure = calibrated(learned.known, some, floor=0.95)
        missed += measures.relative_quality(learned.score(rest), sure, rest) < 0.95
    return {"resplit_miss_pct": 100 * missed / resamples}


def _compared(trial: Trial, trials: Sequence[Trial], calls: Calls, counts: Counts) -> dict[str, Any]:
    """Ours against the best baseline and the best peer, draw by draw."""
    if trial.system.kind != "ours":
        return {}
    row: dict[str, Any] = {}
    for column, kind in (("best", "baseline"), ("peer", "peer")):
        others = [other for other in trials if other.system.kind == kind and other.system.labels <= trial.system.labels]
        if others:
            best = max(others, key=lambda other: float(measures.apgr(other.scores, calls)[0]))
            apart = [
                measures.apgr(trial.scores, calls, some) - measures.apgr(best.scores, calls, some)
                for some in (None, counts)
            ]
            row |= {column: best.system.name, **_named(f"vs_{column}", Interval.of(*apart))}
    return row


def _latency(trial: Trial, calls: Calls, embeddings: Embeddings) -> dict[str, Any]:
    """The median time of a decision, one call at a time."""
    if trial.system.ms is not None or trial.system.kind == "control":
        return {"ms": trial.system.ms, "ms_known": trial.system.ms}
    singles = [calls.take([row]) for row in range(min(len(calls), TIMED))]
    rule = trial.system.rule
    works = [partial(rule, one.texts[0]) if rule else partial(trial.learned.score, one) for one in singles]
    known = median(map(_ms, works))
    if not trial.system.embeds:
        return {"ms": known, "ms_known": known}
    embedding = median(_ms(partial(embeddings.embed_query, one.texts[0])) for one in singles)
    return {"ms": known + embedding, "ms_known": known}


def _ms(work: Callable[[], object]) -> float:
    start = perf_counter()
    work()
    return 1000 * (perf_counter() - start)


def _peer(peer: Heuristic, texts: Sequence[str]) -> System:
    known = dict(zip(texts, peer.scores, strict=True))
    return untrained(peer.name, "peer", known.__getitem__, ms=peer.ms)


def _attempt(tier: str, quality: Numbers, usd: Numbers) -> Attempt:
    return Attempt(tier, round(float(usd.mean()) * 10**9), float(quality.mean()))


def _named(column: str, interval: Interval) -> dict[str, float]:
    return {column: interval.value, f"{column}_low": interval.low, f"{column}_high": interval.high}


if __name__ == "__main__":
    main()
