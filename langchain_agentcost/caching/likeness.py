"""Which stored question is like the one that is asked: embedding, nearest neighbours, rules, verifier."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from threading import Lock
from typing import Protocol, runtime_checkable

from langchain_core.embeddings import Embeddings

from langchain_agentcost.caching.answer import StoredAnswer
from langchain_agentcost.caching.error_budget import GRID
from langchain_agentcost.caching.matching.guard import guard
from langchain_agentcost.caching.matching.readable import readable
from langchain_agentcost.caching.store import Cached, Near
from langchain_agentcost.caching.stores.vectors import as_bytes
from langchain_agentcost.errors import CacheError

NEIGHBOURS = 5
"""So many of the nearest are looked at: the nearest one may be the trap, and the second the paraphrase."""

MAX_TEXT_CHARS = 800
"""Longer texts are found only exactly: MiniLM reads 256 tokens, about 1,000 characters of English prose, and what is
cut off may be what differs."""


class Scorer(Protocol):
    """What tells whether two questions have the same answer, such as a `Verifier`."""

    @property
    def name(self) -> str:
        """What its scores are known by: evidence of one says nothing of another."""
        ...

    def score(self, a: str, b: str, similarity: float, /) -> float:
        """Say how sure it is, from 0 to 1.

        Args:
            a: The text that was answered before.
            b: The text that is asked now.
            similarity: The cosine of their embeddings.
        """
        ...


@runtime_checkable
class Bounded(Protocol):
    """A scorer that can tell beforehand that a candidate is not worth the work."""

    def ceiling(self, similarity: float, /) -> float:
        """Give the highest score that texts of this cosine can have; it rises with the cosine."""
        ...


@dataclass(frozen=True, slots=True)
class Candidate:
    """A stored question that may have the same answer.

    Args:
        entry: It.
        answer: Its answer.
        similarity: The cosine of the two embeddings.
        score: How sure the verifier is, from 0 to 1.
    """

    entry: Cached
    answer: StoredAnswer
    similarity: float
    score: float


class Likeness:
    """Finds the stored question that most likely has the same answer.

    Args:
        embeddings: What makes vectors; None takes the default, when it is first used.
        verifier: What scores a pair; None takes the one that comes with the package, likewise.
        on_fault: Told of faults of the embeddings, which never reach the user's call.
    """

    def __init__(
        self, embeddings: Embeddings | None, verifier: Scorer | None, *, on_fault: Callable[[str, Exception], None]
    ) -> None:
        named = isinstance(getattr(verifier, "name", None), str)
        if verifier is not None and not (named and hasattr(verifier, "score")):
            raise CacheError("verifier has a name and score(a, b, similarity): see Scorer.")
        self._embeddings = embeddings
        self._verifier = verifier
        self._on_fault = on_fault
        self._lock = Lock()

    @property
    def name(self) -> str:
        """What the evidence is about: another encoder or verifier has other scores."""
        encoder = self._encoder()
        model = next((value for key in _NAMES if isinstance(value := getattr(encoder, key, None), str)), "")
        return f"{type(encoder).__qualname__} {model} {self._judge_of_pairs().name}"

    def vector(self, text: str) -> bytes | None:
        """Embed a text; None where it is too long or not English, or the embeddings fail."""
        if not _comparable(text):
            return None
        try:
            return as_bytes(self._encoder().embed_query(text))
        except Exception as error:  # noqa: BLE001  # whatever an encoder raises, the user's call is made
            self._on_fault("the embeddings", error)
            return None

    async def avector(self, text: str) -> bytes | None:
        """Embed a text in async code; see `vector`."""
        if not _comparable(text):
            return None
        try:
            return as_bytes(await self._encoder().aembed_query(text))
        except Exception as error:  # noqa: BLE001  # whatever an encoder raises, the user's call is made
            self._on_fault("the embeddings", error)
            return None

    def best(
        self, text: str, near: Iterable[Near], opened: Callable[[Cached], StoredAnswer | None]
    ) -> Candidate | None:
        """Give the candidate with the highest score among those that no rule forbids.

        Args:
            text: What is asked.
            near: The nearest entries.
            opened: Reads an entry's answer; None where it cannot be served.
        """
        try:
            scored = self._scored(text, near)
        except Exception as error:  # noqa: BLE001  # whatever a verifier raises, the user's call is made
            self._on_fault("the verifier", error)
            return None
        for score, similarity, entry in sorted(scored, key=lambda item: item[0], reverse=True):
            answer = opened(entry)
            if answer is not None:
                return Candidate(entry, answer, similarity, score)
        return None

    def _scored(self, text: str, near: Iterable[Near]) -> list[tuple[float, float, Cached]]:
        """Score the candidates, nearest first, until what is left cannot be better than the best."""
        verifier = self._judge_of_pairs()
        bound = verifier if isinstance(verifier, Bounded) else None
        scored: list[tuple[float, float, Cached]] = []
        best = GRID[-1]  # below it nothing is ever served or audited
        for entry, similarity in near:
            if bound is not None and bound.ceiling(similarity) < best:
                break
            if entry.text is not None and guard(entry.text, text) is None:
                score = verifier.score(entry.text, text, similarity)
                scored.append((score, similarity, entry))
                best = max(best, score)
        return scored

    def _encoder(self) -> Embeddings:
        with self._lock:
            if self._embeddings is None:
                from langchain_agentcost.caching.embedders import default_embeddings  # noqa: PLC0415  # extra "semantic"

                self._embeddings = default_embeddings()
            return self._embeddings

    def _judge_of_pairs(self) -> Scorer:
        with self._lock:
            if self._verifier is None:
                from langchain_agentcost.caching.matching.verifier import Verifier  # noqa: PLC0415  # it reads a file

                self._verifier = Verifier.load()
            return self._verifier


def _comparable(text: str) -> bool:
    """Tell whether similar texts may be looked for: not where encoder or rules see less than all of it."""
    return len(text) <= MAX_TEXT_CHARS and readable(text)


_NAMES = ("model", "model_name", "model_id")
"""Under which attributes embedding classes have their model's name."""
