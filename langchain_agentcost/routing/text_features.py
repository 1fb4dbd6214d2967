"""What a text looks like, as numbers: its words, hashed, its surface, and its embedding. No word is named anywhere."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from importlib import import_module
from math import log1p
from typing import TYPE_CHECKING, Any
from zlib import crc32

from langchain_agentcost.errors import MissingExtra, RoutingError

if TYPE_CHECKING:
    from typing import Self

    from langchain_core.embeddings import Embeddings

BUCKETS = 8192
"""Into how many buckets words and pairs of words are hashed."""

_MOST_LANDMARKS = 128
_RIDGE = 1e-3
"""Keeps the landmarks' kernel well away from singular."""

_MOST_CHARACTERS = 8_000
"""What is read at each end of a text; the middle of a longer one is counted in its length alone."""

_WORD = re.compile(r"\w+")
_NUMBER = re.compile(r"\d+")
_SENTENCE_END = re.compile(r"[.!?\u3002\uff01\uff1f]+")
_SYMBOL = re.compile(r"[()\[\]{}=<>+*/\\^_|~$%&#@`]")
_MARK = re.compile(r"[^\w\s]")
_CAPITAL = re.compile(r"[A-Z]")
_DIGITS_ALIKE = str.maketrans("0123456789", "0000000000")


@dataclass(frozen=True, slots=True)
class TextFeatures:
    """Turns texts into numbers, in the scale of the texts it was fitted to. No outcome goes into it.

    Words and pairs of words are hashed and weighed as TF-IDF does (logarithmic counts, rows of length 1; what only one
    text has is left out). The surface is standardised and compared with that of up to 128 of the texts, so that a
    linear model on top can bend: a Nystroem map of the Gaussian kernel (Williams and Seeger, 2001). Embeddings have
    their mean taken off. Each of the three gives a text about the length 1.

    Args:
        arrays: Scale of the embeddings, weights of the buckets, scale of the surface, and landmarks; float32.
    """

    arrays: Mapping[str, Any]

    @classmethod
    def fit(cls, texts: Sequence[str], embeddings: Embeddings | None = None) -> tuple[Self, Any, Any]:
        """Fit to texts.

        Returns:
            The features, and what they give for the texts: `dense` and `words`.

        Raises:
            RoutingError: If the embeddings do not give a vector a text.
            MissingExtra: If numpy or scipy is not installed.
        """
        numpy, _ = libraries()
        vectors = numpy.zeros((len(texts), 0), "f4") if embeddings is None else embedded(texts, embeddings)
        centre = vectors.mean(axis=0)
        spread = max(float(((vectors - centre) ** 2).sum(axis=1).mean()) ** 0.5, 1e-6)
        counts = _counted(texts)
        held = numpy.bincount(counts.indices, minlength=BUCKETS)
        weights = numpy.where(held > 1, numpy.log((1 + len(texts)) / (1 + held)) + 1, 0).astype("f4")
        figures = numpy.array([surface(text) for text in texts], "f4")
        mean, scale = figures.mean(axis=0), (figures.std(axis=0) + 1e-3) * figures.shape[1] ** 0.5
        landmarks = _clipped((figures[_spread(texts)] - mean) / scale)
        kernel = _kernel(landmarks, landmarks).astype("f8") + _RIDGE * numpy.eye(len(landmarks))
        bend = numpy.linalg.inv(numpy.linalg.cholesky(kernel)).T.astype("f4")
        features = cls(
            {
                "centre": centre,
                "spread": numpy.array([spread], "f4"),
                "words": weights,
                "mean": mean,
                "scale": scale,
                "landmarks": landmarks,
                "bend": bend,
            }
        )
        return features, features._dense(vectors, figures), _weighed(counts, weights)

    def dense(self, texts: Sequence[str], embeddings: Embeddings | None = None) -> Any:
        """Give the embedding and the surface of texts, a row each.

        Args:
            texts: At least one.
            embeddings: Those of the fit.

        Raises:
            RoutingError: If the embeddings give vectors of another size.
        """
        numpy, _ = libraries()
        size = len(self.arrays["centre"])
        vectors = numpy.zeros((len(texts), 0), "f4")
        if embeddings is not None:
            vectors = embedded(texts, embeddings, size=size)
        return self._dense(vectors, numpy.array([surface(text) for text in texts], "f4"))

    def words(self, texts: Sequence[str]) -> Any:
        """Give the words of texts as a sparse matrix, a row each, of length 1, or 0 where no word is known."""
        return _weighed(_counted(texts), self.arrays["words"])

    def _dense(self, vectors: Any, figures: Any) -> Any:
        numpy, _ = libraries()
        vectors = (vectors - self.arrays["centre"]) / self.arrays["spread"]
        rows = _clipped((figures - self.arrays["mean"]) / self.arrays["scale"])
        return numpy.hstack([vectors, _kernel(rows, self.arrays["landmarks"]) @ self.arrays["bend"]])


def surface(text: str) -> tuple[float, ...]:
    """Measure a text by what does not depend on its subject: length, lines, shares of kinds of characters.

    Example:
        >>> figures = surface("Add 12 and 30.")
        >>> len(figures), round(figures[4], 3)
        (14, 0.286)
    """
    read = _read(text)
    words, lines, numbers = read.split(), read.splitlines() or [""], _NUMBER.findall(read)
    size, count = max(len(read), 1), max(len(words), 1)
    return (
        log1p(len(text)),
        log1p(len(words)),
        log1p(len(lines)),
        min(size / count, 50.0),
        sum(map(len, numbers)) / size,
        len(_CAPITAL.findall(read)) / size,
        len(_MARK.findall(read)) / size,
        log1p(read.count("?")),
        log1p(len(numbers)),
        len({word.lower() for word in words}) / count,
        log1p(len(_SYMBOL.findall(read))),
        1 - len(read.encode("ascii", "ignore")) / size,
        log1p(max(map(len, lines))),
        log1p(len(words) / max(1, len(_SENTENCE_END.findall(read)))),
    )


def folds_of(texts: Sequence[str], folds: int) -> list[int]:
    """Put each text in a fold, by hash: folds of about one size, and equal texts in one.

    Example:
        >>> folds_of(["a", "b", "a", "c"], 3)
        [0, 1, 0, 2]
    """
    order = {text: rank % folds for rank, text in enumerate(sorted(set(texts), key=_digest))}
    return [order[text] for text in texts]


def libraries() -> tuple[Any, Any]:
    """Import numpy and scipy.sparse.

    Raises:
        MissingExtra: If one is not installed.
    """
    try:
        return import_module("numpy"), import_module("scipy.sparse")
    except ImportError as error:
        package = (error.name or "scipy").partition(".")[0]
        raise MissingExtra(package, extra="semantic", what="Routing by a text") from error


def encoder(embeddings: Embeddings | None) -> str | None:
    """Name embeddings: by their model where they say it, else by their class.

    Example:
        >>> from langchain_core.embeddings import DeterministicFakeEmbedding
        >>> encoder(DeterministicFakeEmbedding(size=4)), encoder(None)
        ('DeterministicFakeEmbedding', None)
    """
    if embeddings is None:
        return None
    said = getattr(embeddings, "model", None) or getattr(embeddings, "model_name", None)
    return str(said or type(embeddings).__name__)


def require_encoder(expected: str | None, embeddings: Embeddings | None) -> None:
    """Refuse embeddings that are not called as those of a fit.

    Raises:
        RoutingError: If they are others.
    """
    found = encoder(embeddings)
    if expected != found:
        raise RoutingError(f"This was fitted with the embeddings {expected!r}, not {found!r}: give the same.")


def embedded(texts: Sequence[str], embeddings: Embeddings, *, size: int | None = None) -> Any:
    """Embed texts as rows of length 1.

    Args:
        texts: At least one.
        embeddings: Asked by `embed_documents`, so that a fit and what is asked of it are embedded alike.
        size: How many numbers a vector has; None takes any.

    Raises:
        RoutingError: If what comes back is not that.
    """
    numpy, _ = libraries()
    rows = numpy.asarray(embeddings.embed_documents(list(texts)), "f4")
    if rows.ndim != 2 or len(rows) != len(texts) or not numpy.isfinite(rows).all():
        raise RoutingError(f"The embeddings {encoder(embeddings)!r} gave no row of finite numbers for each text.")
    if size not in (None, rows.shape[1]):
        raise RoutingError(f"This was fitted with vectors of {size} numbers, and these have {rows.shape[1]}.")
    return rows / numpy.maximum(numpy.linalg.norm(rows, axis=1, keepdims=True), 1e-12)


def _read(text: str) -> str:
    if len(text) <= 2 * _MOST_CHARACTERS:
        return text
    return f"{text[:_MOST_CHARACTERS]} {text[-_MOST_CHARACTERS:]}"


def _buckets(text: str) -> list[int]:
    """The buckets of words and of pairs of neighbours; all numbers of one length are one word."""
    words = [word.encode("utf-8", "replace") for word in _WORD.findall(_read(text).lower().translate(_DIGITS_ALIKE))]
    hashes = [crc32(word) for word in words]
    pairs = (crc32(b" " + word, before) for before, word in zip(hashes, words[1:], strict=False))
    return [number % BUCKETS for number in (*hashes, *pairs)]


def _counted(texts: Sequence[str]) -> Any:
    numpy, sparse = libraries()
    buckets = [_buckets(text) for text in texts]
    ends = numpy.cumsum([0, *map(len, buckets)])
    columns = numpy.fromiter((number for row in buckets for number in row), "i4", int(ends[-1]))
    counts = sparse.csr_matrix((numpy.ones(len(columns), "f4"), columns, ends), shape=(len(texts), BUCKETS))
    counts.sum_duplicates()
    return counts


def _weighed(counts: Any, weights: Any) -> Any:
    """TF-IDF from counts, which it takes over."""
    numpy, _ = libraries()
    counts.data = (1 + numpy.log(counts.data)) * weights[counts.indices]
    counts.eliminate_zeros()
    per_row = numpy.diff(counts.indptr)
    rows = numpy.repeat(numpy.arange(len(per_row)), per_row)
    lengths = numpy.sqrt(numpy.bincount(rows, counts.data**2, len(per_row)))
    counts.data = (counts.data / lengths[rows]).astype("f4")
    return counts


def _clipped(rows: Any) -> Any:
    """Standardised figures at most three deviations off, so that no text is too odd to be compared."""
    numpy, _ = libraries()
    most = 3 / rows.shape[1] ** 0.5
    return numpy.clip(rows, -most, most).astype("f4")


def _kernel(a: Any, b: Any) -> Any:
    numpy, _ = libraries()
    squares = (a * a).sum(axis=1)[:, None] + (b * b).sum(axis=1) - 2 * a @ b.T
    return numpy.exp(-numpy.maximum(squares, 0) / 2)


def _spread(texts: Sequence[str]) -> list[int]:
    """Where landmarks are: different texts, drawn by hash."""
    first = {text: place for place, text in reversed(list(enumerate(texts)))}
    return [first[text] for text in sorted(first, key=_digest)[:_MOST_LANDMARKS]]


def _digest(text: str) -> bytes:
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
