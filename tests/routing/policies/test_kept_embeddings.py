"""Embeddings that remember."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from langchain_core.embeddings import Embeddings

from langchain_agentcost.routing.policies.kept_embeddings import KeptEmbeddings


class Counted(Embeddings):
    """Gives a vector of a text's length, and keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[list[str]] = []

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Embed texts."""
        self.asked.append(texts)
        return [[float(len(text)), 0.25] for text in texts]

    def embed_query(self, text: str) -> list[float]:
        """Embed a question, otherwise than a document."""
        self.asked.append([text])
        return [float(len(text)), 0.75]


def test_a_text_is_embedded_once() -> None:
    """Only texts that are new are asked for, each once and together, and vectors come in the order of the texts."""
    counted = Counted()
    kept = KeptEmbeddings(counted)
    assert kept.embed_documents(["a", "bb", "a"]) == [[1.0, 0.25], [2.0, 0.25], [1.0, 0.25]]
    assert kept.embed_documents(["bb", "ccc", "a"]) == [[2.0, 0.25], [3.0, 0.25], [1.0, 0.25]]
    assert counted.asked == [["a", "bb"], ["ccc"]]


def test_a_question_is_not_a_document() -> None:
    """Models that tell them apart give other vectors."""
    kept = KeptEmbeddings(Counted())
    assert kept.embed_documents(["a"]) != [kept.embed_query("a")]
    assert kept.embed_query("a") == kept.embed_query("a") == [1.0, 0.75]


def test_the_oldest_is_forgotten() -> None:
    """It is bounded."""
    counted = Counted()
    kept = KeptEmbeddings(counted, most=1)
    for text in ("a", "b", "a"):
        kept.embed_query(text)
    assert counted.asked == [["a"], ["b"], ["a"]]


def test_it_is_called_as_what_embeds() -> None:
    """A model that was learnt with one is known to be of it."""
    named = Counted()
    assert KeptEmbeddings(named).model == "Counted"
    named.model_name = "text-1"  # type: ignore[attr-defined]
    assert KeptEmbeddings(named).model == "text-1"


def test_what_comes_back_is_ones_own() -> None:
    """Changing a vector changes nobody else's."""
    kept = KeptEmbeddings(Counted())
    kept.embed_query("a").append(5.0)
    assert kept.embed_query("a") == [1.0, 0.75]


def test_threads_share_it() -> None:
    """Many threads get the vectors that one alone would."""
    kept = KeptEmbeddings(Counted(), most=5)
    texts = ["x" * (number % 9) for number in range(900)]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda text: kept.embed_documents([text, "y"]), texts))
    assert found == [[[float(len(text)), 0.25], [1.0, 0.25]] for text in texts]
