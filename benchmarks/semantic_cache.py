"""What a semantic cache serves, and how much of it is wrong.

Pairs: which true pairs and which traps are served, by a cosine, with the guard, with the verifier; at fixed thresholds,
at the one that serves 2 % of the development traps (by the mean over the sources), and at the verifier's own. With
`--test DIR` thresholds and verifiers come of `--data` and the pairs of DIR are scored ("held-out"); else `--data` is
halved by hash ("dev" and "test"). "leave-one-source-out" is the headline: the verifier has not seen the pair's source.
mqp, sick and qqp are never trained on. `macro` is the mean over sources; its hits are counted over all pairs.

Streams: requests one after the other, in several orders, through caches that are empty at first; see
`semantic_streams.py`. recall_pct is the share of right hits among requests whose class came before, traps_served_pct
the share of wrong ones among all. "violated" counts the orders in which the hits of the row are wrong more often than
the bound with 95 % confidence, "sliding_violated" likewise windows of 1,000 requests.

Multi-turn: see `semantic_turns.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import semantic_data
import semantic_pairs
import semantic_streams
import semantic_turns
from rows import parser, publish
from semantic_data import Vectors

from langchain_agentcost.caching.embedders import default_embeddings

STREAMS = ("stream_intents", "stream_qqp")
COLUMNS = (
    "system", "source", "split", "recall_pct", "traps_served_pct", "wrong_of_hits_pct", "wrong_upper95_pct", "n",
    "threshold", "hits_pct", "hits_low_pct", "hits_high_pct", "bound_pct", "violated", "sliding", "sliding_violated",
)  # fmt: skip


def pair_rows(data: Path, test: Path | None, vectors: Vectors, *, limit: int) -> Iterator[dict[str, Any]]:
    """Give the rows of the pairs."""
    known = semantic_data.pairs(data, vectors, limit=limit)
    if test is not None:
        yield from semantic_pairs.rows(known, semantic_data.pairs(test, vectors, limit=limit), split="held-out")
        return
    halves = [[pair for pair in known if pair.half == half] for half in (0, 1)]
    for split, half in zip(("dev", "test"), halves, strict=True):
        yield from semantic_pairs.rows(halves[0], half, split=split)


def main(argv: list[str] | None = None) -> None:
    """Run the benchmark."""
    arguments = parser(__doc__, data=True)
    arguments.add_argument("--test", type=Path, metavar="DIR", help="score the files of this folder instead")
    arguments.add_argument("--pairs", type=int, default=6000, metavar="N", help="question pairs, at most (6000)")
    arguments.add_argument("--limit", type=int, default=8000, metavar="N", help="requests of a stream, at most (8000)")
    arguments.add_argument("--orders", type=int, default=3, metavar="N", help="orders of a stream (3)")
    arguments.add_argument("--vectors", type=Path, metavar="DIR", help="keep vectors in this folder for the next run")
    options = arguments.parse_args(argv)
    vectors = Vectors(default_embeddings(), options.vectors)
    scored = options.test or options.data
    found = list(pair_rows(options.data, options.test, vectors, limit=options.pairs))
    for name in STREAMS:
        requests = semantic_data.stream(scored, name, limit=options.limit)
        found += semantic_streams.rows(name, requests, vectors, orders=options.orders)
    found += semantic_turns.rows(semantic_data.conversations(scored), vectors)
    publish("semantic_cache", [{column: row.get(column) for column in COLUMNS} for row in found], options.json)


if __name__ == "__main__":
    main()
