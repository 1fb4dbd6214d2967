"""What compression keeps, at 0.8 to 0.2 of the tokens: answers in questions about documents, ids in tool results.

Sets: `nq` (ten documents to a question; a gold answer string survives, normalised), `tool_json_tau` and
`tool_shell_sweagent` (identifiers that the agent's next calls use), and `html` (pages that this project has written).
`ratio` is what was asked for, `ratio_kept` the mean of what came out; ours lossless has no target.
`answer_low` and `answer_high` are Wilson's 95 % interval. `rate_error_pct` is the mean distance from the target and
`rate_error_max_pct` the largest, in percent of the target; what the lossless steps alone brought below it counts 0.
`cpu_ms_per_1k` is process time for 1,000 tokens of input with one thread, counting included.

LLMLingua needs `--llmlingua FOLDER` with a causal model, and llmlingua with a transformers that it works with (4.44).
"""

from __future__ import annotations

import gzip
import json
import math
import re
import string
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from time import process_time
from typing import Any

import compression_peers as peers
from compression_pages import pages
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from rows import parser, publish

from langchain_agentcost.caching.embedders import default_embeddings
from langchain_agentcost.context.compress.compressed import Compressed
from langchain_agentcost.context.compress.prompt_compressor import PromptCompressor
from langchain_agentcost.context.ranking import Bm25, Hybrid, Ranker
from langchain_agentcost.errors import MissingExtra
from langchain_agentcost.tokens import count_text

RATIOS = (0.8, 0.6, 0.5, 0.33, 0.2)
FILES = {"nq": "nq_multidoc", "tool_json_tau": "tool_json_tau", "tool_shell_sweagent": "tool_shell_sweagent"}


@dataclass(frozen=True, slots=True)
class Case:
    """A question, what it is asked of, and what has to survive."""

    question: str
    documents: tuple[Document, ...]
    answers: tuple[str, ...] = ()
    needed: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """All of it as one text, as a peer is given it."""
        return "\n\n".join(document.page_content for document in self.documents)

    @property
    def tokens(self) -> int:
        """What it has before."""
        return sum(count_text(document.page_content) for document in self.documents)


@dataclass(frozen=True, slots=True)
class Result:
    """What came out of a case."""

    text: str
    tokens: int
    met: bool = False
    """Whether nothing had to be dropped."""


System = Callable[[Case, float], Result]


class Remembered(Embeddings):
    """Embeds each text once, and owes what it took each time it is asked for again."""

    def __init__(self, inner: Embeddings) -> None:
        self._inner = inner
        self._known: dict[str, tuple[list[float], float]] = {}
        self.owed_s = 0.0

    def embed_query(self, text: str) -> list[float]:
        """Embed a text."""
        return self.embed_documents([text])[0]

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Embed those that are new; what a batch took is shared by length."""
        new = [text for text in dict.fromkeys(texts) if text not in self._known]
        self.owed_s += sum(self._known[text][1] for text in texts if text in self._known)
        began = process_time()
        vectors = self._inner.embed_documents(new) if new else []
        took = (process_time() - began) / max(1, sum(map(len, new)))
        self._known.update((text, (vector, took * len(text))) for text, vector in zip(new, vectors, strict=True))
        return [self._known[text][0] for text in texts]


def cases(data: Path, limit: int | None) -> Iterator[tuple[str, list[Case]]]:
    """Give the sets that are in a folder, and our own pages."""
    for name, file in FILES.items():
        path = data / f"{file}.jsonl.gz"
        if not path.exists():
            print(f"{path} is not there: the set {name} is left out.")
            continue
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            yield name, [_case(json.loads(line)) for line in lines][:limit]
    yield "html", [_case(page) for page in pages()][:limit]


def _case(row: dict[str, Any]) -> Case:
    said = row.get("docs") or [{"text": row["text"], "title": ""}]
    documents = tuple(Document(one["text"], metadata={"title": one.get("title", "")}) for one in said)
    return Case(row.get("question") or "", documents, tuple(row.get("answers", ())), tuple(row.get("needed", ())))


def ours(ranker: Ranker) -> System:
    """The compressor, with its lossless steps first."""

    def run(case: Case, ratio: float) -> Result:
        made = PromptCompressor(ratio, ranker=ranker).compress_documents(case.documents, case.question)
        return _result(made.whole)

    return run


def lossless(case: Case, _: float) -> Result:
    """Only what loses nothing."""
    made = PromptCompressor(1.0).compress_documents(case.documents, case.question)
    return _result(made.whole)


def peer(make: Callable[[float], peers.Peer]) -> System:
    """A peer, on the documents as one text."""

    def run(case: Case, ratio: float) -> Result:
        text = make(ratio)(case.text, case.question, int(ratio * case.tokens))
        return Result(text, count_text(text))

    return run


def _result(whole: Compressed) -> Result:
    return Result(whole.text, whole.tokens_after, met=not whole.dropped)


def row(name: str, system: System, of: Sequence[Case], ratio: float | None, remembered: Remembered) -> dict[str, Any]:
    """Run a system on a set at a ratio."""
    system(of[0], ratio or 1.0)  # whatever is loaded at first use
    remembered.owed_s, began = 0.0, process_time()
    results = [system(case, ratio or 1.0) for case in of]
    cpu_s = process_time() - began + remembered.owed_s
    before = [case.tokens for case in of]
    kept = [_answered(case, result.text) for case, result in zip(of, results, strict=True) if case.answers]
    ids = [needed in result.text for case, result in zip(of, results, strict=True) for needed in case.needed]
    errors = [
        0.0 if result.met and result.tokens <= int(ratio * tokens) else _error_pct(result.tokens, int(ratio * tokens))
        for result, tokens in zip(results, before, strict=True)
        if ratio is not None
    ]
    got = mean(result.tokens / tokens for result, tokens in zip(results, before, strict=True))
    low, high = wilson(sum(kept), len(kept)) if kept else (None, None)
    return {
        "system": name,
        "ratio": round(got, 4) if ratio is None else ratio,
        "ratio_kept": round(got, 4),
        "answer_kept": mean(kept) if kept else None,
        "answer_low": low,
        "answer_high": high,
        "ids_kept": mean(ids) if ids else None,
        "rate_error_pct": mean(errors) if errors else None,
        "rate_error_max_pct": max(errors) if errors else None,
        "cpu_ms_per_1k": 1e6 * cpu_s / sum(before),
        "n": len(of),
    }


def wilson(right: int, of: int) -> tuple[float, float]:
    """Wilson's 95 % interval for a share."""
    z, p = 1.96, right / of
    middle, half = p + z * z / (2 * of), z * math.sqrt(p * (1 - p) / of + z * z / (4 * of * of))
    scale = 1 + z * z / of
    return max(0.0, (middle - half) / scale), min(1.0, (middle + half) / scale)


def _error_pct(tokens: int, target: int) -> float:
    return 100 * abs(tokens - target) / max(1, target)


def _answered(case: Case, text: str) -> bool:
    said = f" {_normal(text)} "
    return any(f" {_normal(answer)} " in said for answer in case.answers)


def _normal(text: str) -> str:
    plain = unicodedata.normalize("NFKC", text).lower().translate(_MARKS)
    return " ".join(word for word in plain.split() if not re.fullmatch("a|an|the", word))


_MARKS = str.maketrans(string.punctuation, " " * len(string.punctuation))


def systems(remembered: Remembered | None, folder: Path | None) -> dict[str, System]:
    """All systems that can run here, by name; a line is printed for each that cannot."""
    found: dict[str, System] = {"ours, BM25": ours(Bm25())}
    if remembered is not None:
        found["ours, MiniLM hybrid"] = ours(Hybrid(remembered))
    found["head"] = peer(lambda _: peers.head)
    found["head and tail"] = peer(lambda _: peers.head_and_tail)
    if peers.SKLEARN[1]:
        found["TextRank"] = peer(lambda _: peers.text_rank)
        found["TF-IDF (question)"] = peer(lambda _: peers.tf_idf)
    else:
        print(peers.SKLEARN[0])
    if folder is not None:
        found["LLMLingua"] = peer(peers.llmlingua(folder))
    else:
        print("LLMLingua: not run; --llmlingua FOLDER names a causal model for it.")
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmark."""
    options = parser(__doc__, data=True)
    options.add_argument("--limit", type=int, metavar="N", help="cases of a set, at most")
    options.add_argument("--ratios", type=float, nargs="+", default=RATIOS, metavar="R", help="shares to keep")
    options.add_argument("--llmlingua", type=Path, metavar="FOLDER", help="a causal model, as transformers saves it")
    options.add_argument("--llmlingua-limit", type=int, default=6, metavar="N", help="cases of a set for it (6)")
    given = options.parse_args(arguments)
    try:
        remembered = Remembered(default_embeddings())
        remembered.embed_query("loaded before the clock runs")
    except MissingExtra as missing:
        print(f"The hybrid is left out: {missing}")
        remembered = None
    clock = remembered or Remembered(_Nothing())
    rows: list[dict[str, Any]] = []
    known = systems(remembered, given.llmlingua)
    for name, of in cases(given.data, given.limit):
        rows.append({"set": name, **row("ours, lossless", lossless, of, None, clock)})
        for title, system in known.items():
            some = of[: given.llmlingua_limit] if title == "LLMLingua" else of
            rows += ({"set": name, **row(title, system, some, ratio, clock)} for ratio in given.ratios)
    publish("compression", [{"system": one["system"], **one} for one in rows], given.json)


class _Nothing(Embeddings):
    """Where none are installed."""

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Embed nothing."""
        return [[] for _ in texts]

    def embed_query(self, text: str) -> list[float]:
        """Embed nothing."""
        return []


if __name__ == "__main__":
    main()
