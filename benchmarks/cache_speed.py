"""What a look into a cache costs, in CPU time, and what an entry takes.

Entries lie in one partition, with vectors of 384 numbers in clusters, as those of questions are: the nearest of a
question are paraphrases, and then come others of its subject. A lookup asks for the five nearest; "lookup + guard +
verifier" has a question that was never read, and texts beside it that lookups have read before; `--data` gives them.
Peers see the same questions in the same rounds, ten in turn, so that whatever else the machine does meets all alike;
`ratio` is a system's median to that of numpy over the same vectors.

CPU time is that of the whole process, so threads that a library starts are counted; numpy is kept to one.
"""

from __future__ import annotations

import gzip
import json
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Sequence
from itertools import count
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import numpy as np
from langchain_core.embeddings import Embeddings
from langchain_core.messages import AIMessage
from langchain_core.vectorstores import InMemoryVectorStore
from numpy.typing import NDArray
from rows import parser, publish, ratio
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from langchain_agentcost.caching.answer import StoredAnswer
from langchain_agentcost.caching.embedders import MiniLMEmbeddings, SentenceTransformerEmbeddings
from langchain_agentcost.caching.likeness import Likeness
from langchain_agentcost.caching.store import Cached, CacheStore
from langchain_agentcost.caching.stores import MemoryStore, SQLiteStore
from langchain_agentcost.saving import SparedCall

SIZE = 384
NEAREST = 5
VALUE = bytearray(3_455)
"""What an answer of 1,500 characters takes as JSON."""

PEER_UP_TO = 10_000
"""LangChain's store in memory compares in Python lists: above this it takes minutes to fill."""

IN_A_ROW = 10
"""So many questions each system is asked in turn: a process holds one of them, not six that share the CPU caches."""

Floats = NDArray[np.float32]
Look = Callable[[Floats], object]
PAIRS = [("How do I cancel order 12?", "How can I cancel order 12?"), ("Is the pool open?", "Is the pool heated?")]


def vectors(number: int, *, seed: int = 0) -> Floats:
    """Vectors of length 1 in clusters of about 20, whose members have cosines around 0.64."""
    dice = np.random.default_rng(seed)
    middles = dice.standard_normal((max(1, number // 20), SIZE), dtype=np.float32)
    made = 0.8 * middles[dice.integers(len(middles), size=number)]
    made += 0.6 * dice.standard_normal((number, SIZE), dtype=np.float32)
    return np.asarray(made / np.linalg.norm(made, axis=1, keepdims=True), np.float32)


def questions(held: Floats, number: int) -> Floats:
    """Paraphrases of what is held: cosines of about 0.93."""
    dice = np.random.default_rng(1)
    made = held[dice.integers(len(held), size=number)] + 0.02 * dice.standard_normal((number, SIZE), dtype=np.float32)
    return np.asarray(made / np.linalg.norm(made, axis=1, keepdims=True), np.float32)


def entries(held: Floats, texts: Sequence[str], *, first: int = 0) -> list[Cached]:
    """An entry for each vector."""
    return [
        Cached(
            partition="p",
            key=f"{number:064x}",
            value=bytes(VALUE),
            epoch=0,
            created_s=1.0,
            tags=(f"{number % 100:064x}",),
            text=texts[number % len(texts)],
            vector=vector.astype("<f4").tobytes(),
        )
        for number, vector in enumerate(held, first)
    ]


def cpu_ms(call: Callable[..., object], *given: object) -> float:
    """CPU time of a call, in milliseconds."""
    began = time.process_time_ns()
    call(*given)
    return (time.process_time_ns() - began) / 1e6


def brute_force(held: Floats) -> Look:
    """The peer: one product with all vectors, the largest of it sorted."""

    def look(question: Floats) -> object:
        cosines = held @ question
        best = np.argpartition(cosines, -NEAREST)[-NEAREST:]
        return best[np.argsort(-cosines[best])]

    return look


class _Ready(Embeddings):
    """Embeddings that were made before."""

    def __init__(self, held: Floats) -> None:
        self._held = held

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return [self._held[int(text)].tolist() for text in texts]

    def embed_query(self, text: str) -> list[float]:
        raise NotImplementedError


def langchain_store(held: Floats) -> Look:
    """LangChain's own vector store in memory."""
    store = InMemoryVectorStore(_Ready(held))
    store.add_texts([str(number) for number in range(len(held))])
    return lambda question: store.similarity_search_by_vector(question.tolist(), k=NEAREST)


def lookup(store: CacheStore) -> Look:
    """Ours."""
    return lambda question: store.nearest("p", question.astype("<f4").tobytes(), most=NEAREST, now_s=2.0)


def matching(store: CacheStore, pairs: Sequence[tuple[str, str]], *, first: int = 0) -> Look:
    """Ours, with a question's text matched against those of the five, as `SemanticCache` does it."""
    look, answer = lookup(store), StoredAnswer(AIMessage("Yes."), SparedCall())
    likeness = Likeness(None, None, on_fault=lambda what, error: None)
    asked = (pairs[number % len(pairs)][1] + _blanks(number) for number in count(first))

    def match(question: Floats) -> object:
        near: Any = look(question)
        return likeness.best(next(asked), near, lambda entry: answer)

    return match


def _blanks(number: int) -> str:
    """Blanks that make a text one that was never read, and change nothing else of it."""
    return f"{number:b}".translate({ord("0"): " ", ord("1"): "\t"})


def lookups(number: int, pairs: Sequence[tuple[str, str]], *, rounds: int, folder: Path) -> list[dict[str, Any]]:
    """Fill every system with so many entries, and ask them in turn."""
    held = vectors(number)
    memory, sqlite = MemoryStore(max_bytes=10**11), SQLiteStore(folder / f"{number}.db", max_bytes=10**11)
    made = entries(held, [a for a, _ in pairs])
    rates = [_rate(memory, made), _rate(sqlite, made)]
    systems: dict[str, Look] = {"numpy, one product": brute_force(held)}
    systems |= {"memory: lookup": lookup(memory), "memory: lookup + guard + verifier": matching(memory, pairs)}
    systems |= {
        "sqlite: lookup": lookup(sqlite),
        "sqlite: lookup + guard + verifier": matching(sqlite, pairs, first=10**6),
    }
    if number <= PEER_UP_TO:
        systems["langchain InMemoryVectorStore"] = langchain_store(held)
    sqlite.delete(["nobody's"])  # which brings all of it into the file, whose size is looked at
    taken = _asked(systems, questions(held, rounds))
    sizes = {
        "memory": _memory_per_entry(held[:5_000]),
        "sqlite": (folder / f"{number}.db").stat().st_size / number,
        "numpy,": SIZE * 4.0,
    }
    peer = taken["numpy, one product"]
    rows = [
        _row(name, times, entries=number, bytes_per_entry=sizes.get(name.split(":")[0].split(" ")[0]))
        | ratio(times, peer)
        for name, times in taken.items()
    ]
    memory.close()
    sqlite.close()
    return [
        *rows,
        *(
            {"system": name, "entries": number, **rate}
            for name, rate in zip(("memory: put, get", "sqlite: put, get"), rates, strict=True)
        ),
    ]


def embedding(texts: Sequence[str]) -> list[dict[str, Any]]:
    """What a query's vector costs, and one of a batch."""
    rows = []
    for name, embedder in (
        ("MiniLM int8, onnxruntime", MiniLMEmbeddings()),
        ("MiniLM, torch", SentenceTransformerEmbeddings()),
    ):
        embedder.embed_query("once, so that it is loaded")
        single = [cpu_ms(embedder.embed_query, text) for text in texts]
        batch = [cpu_ms(embedder.embed_documents, list(texts)) / len(texts) for _ in range(3)]
        rows.append(_row(f"{name}: one query", single))
        rows.append(_row(f"{name}: batch of {len(texts)}", batch))
    return rows


def read_pairs(data: Path, most: int = 400) -> list[tuple[str, str]]:
    """Pairs of questions, as the data has them."""
    with gzip.open(data / "pairs_traps.jsonl.gz", "rt", encoding="utf-8") as lines:
        read = [json.loads(line) for line in lines]
    return [(pair["a"], pair["b"]) for pair in read[:: max(1, len(read) // most)]]


def main(argv: Sequence[str] | None = None) -> None:
    """Run it."""
    arguments = parser(__doc__)
    arguments.add_argument("--data", type=Path, metavar="PATH", help="the folder with the pairs of questions")
    arguments.add_argument("--entries", type=int, nargs="+", default=[1_000, 10_000, 100_000])
    arguments.add_argument("--rounds", type=int, default=200, help="how many questions each system is asked")
    arguments.add_argument("--no-embedding", action="store_true", help="leave the embeddings out")
    given = arguments.parse_args(argv)
    pairs = read_pairs(given.data) if given.data else PAIRS
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for number in given.entries:
            rows += lookups(number, pairs, rounds=given.rounds, folder=Path(folder))
    if not given.no_embedding:
        rows += embedding([a for a, _ in pairs][:64])
    columns = dict.fromkeys(key for row in rows for key in row)
    publish("cache_speed", [dict.fromkeys(columns) | row for row in rows], given.json)


def _asked(systems: dict[str, Look], asked: Floats) -> dict[str, list[float]]:
    for look in systems.values():
        look(asked[0])
    taken: dict[str, list[float]] = {name: [] for name in systems}
    with threadpool_limits(1):  # numpy's threads wait busily after a product, at the cost of whoever is asked next
        for start in range(0, len(asked), IN_A_ROW):
            for name, look in systems.items():
                taken[name] += [cpu_ms(look, question) for question in asked[start : start + IN_A_ROW]]
    return taken


def _memory_per_entry(held: Floats) -> float:
    """What an entry takes with all that is in it, as Python counts it; the index, which it does not count, is added."""
    MemoryStore().put(*entries(held[:1], ["loads what is loaded once"]))
    tracemalloc.start()
    store = MemoryStore(max_bytes=10**11)
    for number in range(len(held)):
        store.put(*entries(held[number : number + 1], ["a text of thirty characters..."], first=number))
    taken = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    return taken / len(held) + SIZE


def _rate(store: CacheStore, made: Sequence[Cached]) -> dict[str, float]:
    """Puts and exact lookups a second of CPU time."""
    put_ms = cpu_ms(lambda: [store.put(entry) for entry in made])
    get_ms = cpu_ms(lambda: [store.get("p", entry.key, now_s=2.0) for entry in made])
    return {"puts_per_s": len(made) / put_ms * 1e3, "gets_per_s": len(made) / get_ms * 1e3}


def _row(name: str, times: Sequence[float], **more: Any) -> dict[str, Any]:
    p95 = quantiles(times, n=20)[-1] if len(times) > 1 else times[0]
    return {"system": name, **more, "cpu_ms_p50": median(times), "cpu_ms_p95": p95, "n": len(times)}


if __name__ == "__main__":
    main()
