"""Conversations whose last messages look alike: which a cache takes for the same.

In every pair the histories differ, and in about half of them that matters. Ours finds similar questions only where what
stands before them is equal, and by default only where nothing but a system prompt does.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from langchain_core.messages import BaseMessage, convert_to_messages
from semantic_data import Vectors
from semantic_pairs import upper95

from langchain_agentcost.caching.keys import prompt_key

LEAST = 0.9


def rows(conversations: Sequence[Mapping[str, Any]], vectors: Vectors) -> Iterator[dict[str, Any]]:
    """Give the rows: by source, and over all."""
    sides = [[list(convert_to_messages(pair[side])) for pair in conversations] for side in ("a", "b")]
    same_partition = [_partition(a) == _partition(b) for a, b in zip(*sides, strict=True)]
    last = _cosines([[messages[-1].text for messages in side] for side in sides], vectors)
    whole = _cosines([[_written(messages) for messages in side] for side in sides], vectors)
    served = {
        f"last message, cosine >= {LEAST}": [cosine >= LEAST for cosine in last],
        f"whole conversation, cosine >= {LEAST}": [cosine >= LEAST for cosine in whole],
        "full policy": [False] * len(conversations),
        "full policy, later turns on": [
            near >= LEAST and equal for near, equal in zip(last, same_partition, strict=True)
        ],
    }
    for system, hits in served.items():
        cases = list(zip(conversations, hits, strict=True))
        for source in sorted({pair["source"] for pair in conversations}):
            yield _row(system, source, [(pair, hit) for pair, hit in cases if pair["source"] == source])
        yield _row(system, "conversations", cases)


def _partition(messages: Sequence[BaseMessage]) -> str:
    return prompt_key(messages, model="any", namespace=("global",)).partition


def _written(messages: Sequence[BaseMessage]) -> str:
    return "\n".join(f"{message.type}: {message.text}" for message in messages)


def _cosines(sides: Sequence[Sequence[str]], vectors: Vectors) -> list[float]:
    first, second = (vectors.of(side) for side in sides)
    return [float(cosine) for cosine in (first * second).sum(axis=1)]


def _row(system: str, source: str, cases: Sequence[tuple[Mapping[str, Any], bool]]) -> dict[str, Any]:
    true = [hit for pair, hit in cases if pair["same"]]
    traps = [hit for pair, hit in cases if not pair["same"]]
    hits = sum(true) + sum(traps)
    return {
        "system": system,
        "source": source,
        "split": "multi-turn",
        "recall_pct": 100 * sum(true) / len(true) if true else None,
        "traps_served_pct": 100 * sum(traps) / len(traps) if traps else None,
        "wrong_of_hits_pct": 100 * sum(traps) / hits if hits else None,
        "wrong_upper95_pct": 100 * upper95(sum(traps), hits) if hits else None,
        "n": len(cases),
    }
