"""Embeddings that remember: a text that comes again is not embedded again."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence

from langchain_core.embeddings import Embeddings

from langchain_agentcost.canonical import digest
from langchain_agentcost.recent import Recent

TEXTS_KEPT = 10_000
"""Of how many texts the vectors are kept: 15 MB with vectors of 384 numbers."""

_NAMES = ("model", "model_name")


class KeptEmbeddings(Embeddings):
    """Embeds a text once, and keeps the vectors of the last ones. Threads may share it.

    Of texts only hashes are kept. Vectors of queries and of documents are kept apart, as some models tell them apart;
    their numbers have single precision, as models give them.

    Args:
        embeddings: What embeds.
        most: How many vectors are kept.

    Attributes:
        model: What the embeddings' model is called.

    Example:
        >>> from langchain_core.embeddings import DeterministicFakeEmbedding
        >>> kept = KeptEmbeddings(DeterministicFakeEmbedding(size=3))
        >>> kept.embed_documents(["a", "b", "a"]) == kept.embed_documents(["a", "b", "a"])
        True
    """

    def __init__(self, embeddings: Embeddings, *, most: int = TEXTS_KEPT) -> None:
        self._embeddings = embeddings
        self._kept: Recent[tuple[str, bytes], array[float]] = Recent(most)
        named = (getattr(embeddings, name, None) for name in _NAMES)
        self.model = str(next(filter(None, named), type(embeddings).__name__))

    def embed_query(self, text: str) -> list[float]:
        """Embed a question."""
        return self._embedded("query", [text], lambda texts: [self._embeddings.embed_query(texts[0])])[0]

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Embed texts; those that were not there before, together."""
        return self._embedded("document", texts, lambda new: self._embeddings.embed_documents(list(new)))

    def _embedded(
        self, kind: str, texts: Sequence[str], embed: Callable[[Sequence[str]], Sequence[Sequence[float]]]
    ) -> list[list[float]]:
        found = {text: self._kept.get((kind, digest(text))) for text in texts}
        new = [text for text, vector in found.items() if vector is None]
        for text, numbers in zip(new, embed(new) if new else (), strict=True):
            found[text] = vector = array("f", numbers)
            self._kept.put((kind, digest(text)), vector)
        return [list(kept) for text in texts if (kept := found[text]) is not None]
