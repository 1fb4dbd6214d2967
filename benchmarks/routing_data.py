"""The labelled calls of the routing benchmark: what a cheap and a strong model made of the same prompt.

Pairs are of RouteLLM (with costs in USD) and LLMRouter (without: there a call to the 7B model costs 0.222 of one to the
51B model, $0.2 against $0.9 a million tokens). `half` splits by the hash of the text, so that the same text is never on
both sides.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet
from numpy.typing import NDArray

Numbers = NDArray[np.float64]
Indices = NDArray[np.intp]

PRICE_RATIO = 0.222
"""What a call to LLMRouter's cheap models costs of one to the 51B model."""

STRONG_51B = "llama-3.1-nemotron-51b-instruct"


@dataclass(frozen=True, slots=True)
class Calls:
    """Calls that both models answered, a row each.

    Args:
        texts: The prompts.
        labels: The task of each, as a graph's node would name it; one label for all where the data has none.
        cheap: How good the cheap model's answers are, from 0 to 1.
        strong: The strong model's.
        cheap_usd: What the cheap model's cost; only ratios are used.
        strong_usd: What the strong model's cost.
    """

    texts: tuple[str, ...]
    labels: tuple[str, ...]
    cheap: Numbers
    strong: Numbers
    cheap_usd: Numbers
    strong_usd: Numbers

    def __len__(self) -> int:
        return len(self.texts)

    @property
    def gain(self) -> Numbers:
        """What the strong model adds to each."""
        return self.strong - self.cheap

    def take(self, rows: Indices | Sequence[int]) -> Calls:
        """Give some of them."""
        at = np.asarray(rows, dtype=np.intp)
        texts, labels = (tuple(words[row] for row in at) for words in (self.texts, self.labels))
        return Calls(texts, labels, self.cheap[at], self.strong[at], self.cheap_usd[at], self.strong_usd[at])

    def beside(self, others: Calls) -> Calls:
        """Give these and others."""
        figures = [
            np.concatenate([getattr(self, name), getattr(others, name)])
            for name in ("cheap", "strong", "cheap_usd", "strong_usd")
        ]
        return Calls(self.texts + others.texts, self.labels + others.labels, *figures)


@dataclass(frozen=True, slots=True)
class Pair:
    """A cheap and a strong model, and calls to learn from and to score on."""

    name: str
    train: Calls
    test: Calls

    @property
    def labelled(self) -> bool:
        """Whether tasks are told apart."""
        return len(set(self.train.labels)) > 1


_Reader = Callable[[Path], Calls]


def pairs(data: Path, test: Path | None = None) -> Iterator[Pair]:
    """Read the pairs of which there are files.

    Args:
        data: The folder with the files.
        test: The folder whose calls are scored; None scores one half of `data` and learns from the other.
    """
    for name, (file, read) in PAIRS.items():
        if not (data / file).exists():
            continue
        calls = read(data / file)
        if test is not None:
            yield Pair(name, calls, read(test / file))
            continue
        halves = [[row for row, text in enumerate(calls.texts) if half(text) == side] for side in (0, 1)]
        yield Pair(name, calls.take(halves[0]), calls.take(halves[1]))


def arena(folder: Path) -> dict[str, list[Any]] | None:
    """Read RouterArena's two models, of which one is dominated; None where there is no such file."""
    path = folder / "routerarena2.parquet"
    return table(path) if path.exists() else None


def half(text: str) -> int:
    """Put a text on one of two sides, by its hash."""
    return sha256(text.encode("utf-8", "surrogatepass")).digest()[0] % 2


@cache
def table(path: Path) -> dict[str, list[Any]]:
    """Read a file's columns."""
    return pyarrow.parquet.read_table(path).to_pydict()  # type: ignore[no-any-return]


def _routellm(dataset: str) -> _Reader:
    def read(path: Path) -> Calls:
        columns = table(path)
        rows = [row for row, name in enumerate(columns["dataset"]) if name == dataset]
        labels = "subset" if dataset == "mmlu" else "dataset"
        names = ("cheap_correct", "strong_correct", "cheap_cost", "strong_cost")
        return Calls(
            tuple(columns["query"][row] for row in rows),
            tuple(columns[labels][row] for row in rows),
            *(np.array([columns[name][row] for row in rows], dtype=np.float64) for name in names),
        )

    return read


def _llmrouter(cheap: str) -> _Reader:
    def read(path: Path) -> Calls:
        columns = table(path)
        weak, able = (np.array(columns[f"score__{model}"], dtype=np.float64) for model in (cheap, STRONG_51B))
        each = np.ones(len(weak))
        return Calls(tuple(columns["query"]), tuple(columns["dataset"]), weak, able, PRICE_RATIO * each, each)

    return read


PAIRS: dict[str, tuple[str, _Reader]] = {
    "routellm mmlu": ("routellm.parquet", _routellm("mmlu")),
    "routellm gsm8k": ("routellm.parquet", _routellm("gsm8k")),
    "qwen2.5-7b -> 51b": ("llmrouter9.parquet", _llmrouter("qwen2.5-7b-instruct")),
    "mistral-7b -> 51b": ("llmrouter9.parquet", _llmrouter("mistral-7b-instruct-v0.3")),
}
