"""Conversations whose last messages look alike: which a cache takes for the same.

In every pair the histories differ, and in about half of them that matters. The rows of the full policy are a real
`SemanticCache`, each pair on its own, with evidence that lets it serve from the verifier's threshold on. It finds
similar questions only where what stands before them is equal, and by default only where nothing but a system prompt
does.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from langchain_core.embeddings import Embeddings
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, convert_to_messages
from semantic_data import Vectors
from semantic_pairs import upper95

from langchain_agentcost.caching.ask import Ask
from langchain_agentcost.caching.error_budget import ErrorBudget
from langchain_agentcost.caching.matching.verifier import Verifier
from langchain_agentcost.caching.semantic import SemanticCache
from langchain_agentcost.caching.store import Audit
from langchain_agentcost.caching.turn import Caution, Turn

LEAST = 0.9
PROOF = 1000
"""So many audits, all right, stand before the first pair."""


def rows(conversations: Sequence[Mapping[str, Any]], vectors: Vectors) -> Iterator[dict[str, Any]]:
    """Give the rows: by source, and over all."""
    sides = [[list(convert_to_messages(pair[side])) for pair in conversations] for side in ("a", "b")]
    last = _cosines([[messages[-1].text for messages in side] for side in sides], vectors)
    whole = _cosines([[_written(messages) for messages in side] for side in sides], vectors)
    served = {
        f"last message, cosine >= {LEAST}": [cosine >= LEAST for cosine in last],
        f"whole conversation, cosine >= {LEAST}": [cosine >= LEAST for cosine in whole],
        "full policy": _served(sides, vectors),
        "full policy, later turns on": _served(sides, vectors, allow=("later_turns",)),
    }
    for system, hits in served.items():
        cases = list(zip(conversations, hits, strict=True))
        for source in sorted({pair["source"] for pair in conversations}):
            yield _row(system, source, [(pair, hit) for pair, hit in cases if pair["source"] == source])
        yield _row(system, "conversations", cases)


class _Kept(Embeddings):
    """Vectors that are computed once for all rows."""

    def __init__(self, vectors: Vectors) -> None:
        self._vectors = vectors

    def embed_query(self, text: str) -> list[float]:
        return [float(number) for number in self._vectors.of([text])[0]]

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return [self.embed_query(text) for text in texts]


def _served(
    sides: Sequence[Sequence[list[BaseMessage]]], vectors: Vectors, *, allow: Sequence[Caution] = ()
) -> list[bool]:
    """Tell for which pairs a `SemanticCache` that has its evidence serves the second with the first one's answer."""
    budget = ErrorBudget(0.05, audit_rate=1e-9, window=PROOF)
    cache = SemanticCache(embeddings=_Kept(vectors), budget=budget, scope="tenant", allow=allow)
    for asked in ("How do I reset my password?", "How can I reset my password?"):  # the first look restores evidence
        _answered(cache, [HumanMessage(asked)], "proof")
    for _ in range(PROOF):
        cache.evidence.record(Audit(Verifier.load().threshold, right=True, at_s=0.0))
    hits = []
    for number, (first, second) in enumerate(zip(*sides, strict=True)):
        _answered(cache, first, str(number))
        hits.append(_turn(cache, second, str(number)).served is not None)
    return hits


def _answered(cache: SemanticCache, messages: Sequence[BaseMessage], tenant: str) -> None:
    cache.finish(_turn(cache, messages, tenant), AIMessage("An answer.", response_metadata={"finish_reason": "stop"}))


def _turn(cache: SemanticCache, messages: Sequence[BaseMessage], tenant: str) -> Turn:
    """Look up; each pair is a tenant of its own, so that no other pair's answer is found."""
    return cache.begin(Ask(messages=messages, fingerprint="any"), {"metadata": {"tenant_id": tenant}})


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
