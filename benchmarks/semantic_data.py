"""The labelled data of the semantic cache's benchmark, and the vectors of its texts."""

from __future__ import annotations

import gzip
import json
import random
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from langchain_core.embeddings import Embeddings
from numpy.typing import NDArray

T = TypeVar("T")
Vector = NDArray[np.float32]

_CHUNK = 256
_THREADS = 2
"""The embeddings use one thread each; two at once are what a small machine has."""


@dataclass(frozen=True, slots=True)
class Pair:
    """Two texts, and whether one answer serves both.

    Args:
        a: The text that was answered before.
        b: The text that is asked.
        same: Whether the answer serves.
        source: The data set.
        category: What kind of pair it is.
        half: 0 or 1, by the hash of what must not be torn apart.
        similarity: The cosine of their embeddings.
    """

    a: str
    b: str
    same: bool
    source: str
    category: str
    half: int
    similarity: float


@dataclass(frozen=True, slots=True)
class Request:
    """A text of a stream, and the class of its answer."""

    text: str
    cls: str


class Vectors:
    """Embeds every text once.

    Args:
        embeddings: What makes the vectors.
        folder: Where vectors outlive the process; None keeps them in memory.
    """

    def __init__(self, embeddings: Embeddings, folder: Path | None = None) -> None:
        self._embeddings = embeddings
        self._file = folder / "vectors.npz" if folder else None
        self._known: dict[str, Vector] = {}
        if self._file and self._file.exists():
            with np.load(self._file) as kept:
                self._known = dict(zip(kept["keys"].tolist(), kept["vectors"], strict=True))

    def of(self, texts: Iterable[str]) -> Vector:
        """Give the vectors of texts, one a row."""
        keys = {text: sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:24] for text in texts}
        missing = [text for text, key in keys.items() if key not in self._known]
        chunks = [missing[start : start + _CHUNK] for start in range(0, len(missing), _CHUNK)]
        with ThreadPoolExecutor(_THREADS) as pool:
            for chunk, made in zip(chunks, pool.map(self._embeddings.embed_documents, chunks), strict=True):
                for text, vector in zip(chunk, np.asarray(made, np.float32), strict=True):
                    self._known[keys[text]] = vector / np.linalg.norm(vector)
        if missing and self._file:
            np.savez(self._file, keys=np.array(list(self._known)), vectors=np.array(list(self._known.values())))
        return np.array([self._known[keys[text]] for text in texts])


def pairs(folder: Path, vectors: Vectors, *, limit: int) -> list[Pair]:
    """Read the pairs: all traps, and at most `limit` of the question pairs, drawn by hash."""
    questions = sorted(_rows(folder / "pairs_qqp.jsonl.gz"), key=lambda row: _hash(row["id"]))[:limit]
    rows = [*_rows(folder / "pairs_traps.jsonl.gz"), *questions]
    similarities = (vectors.of([row["a"] for row in rows]) * vectors.of([row["b"] for row in rows])).sum(axis=1)
    return [
        Pair(
            a=row["a"],
            b=row["b"],
            same=bool(row["same"]),
            source=row["source"],
            category=row["category"],
            half=_hash(row.get("ca") or row["id"]) % 2,
            similarity=float(similarity),
        )
        for row, similarity in zip(rows, similarities, strict=True)
    ]


def stream(folder: Path, name: str, *, limit: int) -> list[Request]:
    """Read a stream's texts, each once, in no order that matters: see `shuffled`.

    Of many small classes whole ones are kept up to the limit, so that repeats stay as frequent as they are; of few
    large ones, texts.
    """
    classes: dict[str, dict[str, Request]] = defaultdict(dict)
    for row in _rows(folder / f"{name}.jsonl.gz"):
        classes[row["cls"]][row["text"]] = Request(row["text"], row["cls"])
    groups = sorted(classes.values(), key=lambda group: _hash(next(iter(group.values())).cls))
    requests = [request for group in groups for request in group.values()]
    if len(requests) >= _FEW_CLASSES * len(groups):
        requests.sort(key=lambda request: _hash(request.text))
    return requests[:limit]


_FEW_CLASSES = 10
"""From so many texts a class on, texts are drawn and not classes."""


def shuffled(things: Sequence[T], *, seed: int) -> list[T]:
    """Put things into another order."""
    return random.Random(seed).sample(things, len(things))  # noqa: S311  # a workload, not a secret


def conversations(folder: Path) -> list[Mapping[str, Any]]:
    """Read the pairs of conversations."""
    return list(_rows(folder / "conversations_fow.jsonl.gz"))


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        yield from map(json.loads, lines)


def _hash(text: str) -> int:
    return int.from_bytes(sha256(text.encode("utf-8", "surrogatepass")).digest()[:8])
