"""What the compressor is compared with: cuts, TextRank, TF-IDF and LLMLingua. They see what it sees, but no titles."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from langchain_agentcost.context.compress.learned import LLMLinguaCompressor
from langchain_agentcost.context.compress.units import TextLayout
from langchain_agentcost.tokens import count_text

Peer = Callable[[str, str, int], str]
"""Makes of a text, a question and a target in tokens a shorter text."""

SKLEARN = ("scikit-learn is not installed: TextRank and TF-IDF are left out.", find_spec("sklearn") is not None)


def head(text: str, _: str, target: int) -> str:
    """Keep the start."""
    words = text.split(" ")
    fitting = bisect_right(range(len(words) + 1), target, key=lambda n: count_text(" ".join(words[:n])))
    return " ".join(words[: max(0, fitting - 1)])


def head_and_tail(text: str, question: str, target: int) -> str:
    """Keep as much of the end as of the start."""
    backwards = " ".join(reversed(text.split(" ")))
    end = " ".join(reversed(head(backwards, question, target // 2).split(" ")))
    return head(text, question, target - count_text(end) - 1) + "\n" + end


def text_rank(text: str, _: str, target: int) -> str:
    """Keep the sentences that are like most others: PageRank over TF-IDF cosines (Mihalcea and Tarau 2004)."""
    import numpy  # noqa: PLC0415  # optional

    sentences, vectors = _vectors(text)
    if vectors is None:
        return head(text, "", target)
    like = (vectors @ vectors.T).toarray()
    numpy.fill_diagonal(like, 0)
    shares = like / numpy.maximum(like.sum(axis=1, keepdims=True), 1e-9)
    rank = numpy.full(len(sentences), 1 / len(sentences))
    for _round in range(30):
        rank = 0.15 / len(sentences) + 0.85 * (shares.T @ rank)
    return _best(sentences, rank.tolist(), target)


def tf_idf(text: str, question: str, target: int) -> str:
    """Keep the sentences whose TF-IDF cosine with the question is highest."""
    sentences, vectors = _vectors(text, question)
    if vectors is None:
        return head(text, question, target)
    return _best(sentences, (vectors[:-1] @ vectors[-1].T).toarray().ravel().tolist(), target)


def llmlingua(folder: Path) -> Callable[[float], Peer]:
    """LLMLingua with a causal model in a folder; it is asked for a ratio and counts by its own tokenizer."""
    import tiktoken  # noqa: PLC0415  # patched below
    from llmlingua import PromptCompressor  # type: ignore[import-not-found, unused-ignore]  # noqa: PLC0415  # optional

    class _Words:
        """It asks for OpenAI's tokenizer, which needs the network, only to print what was saved."""

        def encode(self, text: str) -> list[str]:
            return text.split()

    tiktoken.encoding_for_model = lambda _: _Words()  # type: ignore[assignment, return-value]
    engine: Any = PromptCompressor(str(folder), device_map="cpu")

    def at(ratio: float) -> Peer:
        compressor = LLMLinguaCompressor(engine, ratio=ratio)
        return lambda text, question, _: compressor.compress(text, question).text

    return at


def _vectors(text: str, *more: str) -> tuple[list[str], Any]:
    from sklearn.feature_extraction.text import TfidfVectorizer  # noqa: PLC0415  # optional

    layout = TextLayout(text)
    sentences = [text[unit.start : unit.end] for unit in layout.units]
    try:
        return sentences, TfidfVectorizer().fit_transform([*sentences, *more])
    except ValueError:  # no words at all
        return sentences, None


def _best(sentences: Sequence[str], scores: Sequence[float], target: int) -> str:
    """The best sentences that fit, and the start of the next best."""
    kept, room = {}, target
    order = sorted(range(len(sentences)), key=lambda at: -scores[at])
    for at in order:
        cost = count_text(sentences[at]) + 1
        if cost <= room:
            kept[at] = sentences[at]
            room -= cost
    rest = next((at for at in order if at not in kept), None)
    if rest is not None:
        kept[rest] = head(sentences[rest], "", room - 1)
    return "\n".join(kept[at] for at in sorted(kept))
