"""The plainer way to expect qualities: what tiers made of the nearest texts that they have answered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from math import ceil, sqrt
from typing import TYPE_CHECKING, Any

from langchain_agentcost.errors import MissingExtra, RoutingError
from langchain_agentcost.routing.learned_text import Given, Learned, LearnedText
from langchain_agentcost.routing.text_features import embedded, encoder, folds_of, libraries

if TYPE_CHECKING:
    from typing import Self

    from langchain_core.embeddings import Embeddings

_NEIGHBOURS = 2.0
"""Times the square root of the number of texts: 98 of 2,400, between the 50 and the 150 that were each best on two of
four pairs of models."""
_SHRINKAGE = 10.0
"""A label's mean counts as n / (n + 10)."""


class NearestGain(LearnedText):
    """Expects the quality of each tier's answer by the mean of the nearest texts, corrected by label.

    What it has learnt grows with its texts, and a search takes as long as it has to read. `TextGain` is better on all
    four pairs of models that were measured, by 0.02 to 0.06 APGR.

    Args:
        learned: Vectors, outcomes and labels of the texts.
        embeddings: What the texts are embedded with, that of the fit.

    Raises:
        MissingExtra: If faiss is not installed.
    """

    KIND, VERSION = "nearest gain", 1

    def __init__(self, learned: Learned, *, embeddings: Embeddings | None) -> None:
        if embeddings is None:
            raise RoutingError("Nearest texts are found by embeddings, and none were given.")
        super().__init__(learned, embeddings=embeddings)
        self._embedded = partial(embedded, embeddings=embeddings)
        self._index = _Index(learned.arrays["vectors"], learned.arrays["outcomes"])

    @classmethod
    def fit(
        cls,
        texts: Sequence[str],
        quality: Mapping[str, Sequence[float]],
        *,
        embeddings: Embeddings | None,
        labels: Sequence[str | None] | None = None,
    ) -> Self:
        """Keep texts that tiers have answered; the arguments are those of `TextGain.fit`, but it needs embeddings.

        Raises:
            RoutingError: If there are no embeddings, or the numbers are not as they are there.
            MissingExtra: If numpy, scipy or faiss is not installed.
        """
        return cls.cross_fitted(texts, quality, embeddings=embeddings, labels=labels)[0]

    @classmethod
    def cross_fitted(
        cls,
        texts: Sequence[str],
        quality: Mapping[str, Sequence[float]],
        *,
        embeddings: Embeddings | None,
        labels: Sequence[str | None] | None = None,
        folds: int = 5,
    ) -> tuple[Self, dict[str, list[float]]]:
        """Fit, and expect each text's qualities without those of its fold, as `TextGain.cross_fitted` does.

        Raises:
            RoutingError: As `fit`.
            MissingExtra: As `fit`.
        """
        numpy, _ = libraries()
        if embeddings is None:
            raise RoutingError("Nearest texts are found by embeddings, and none were given.")
        given = Given.of(texts, quality, labels)
        vectors, outcomes = embedded(texts, embeddings), given.outcomes.astype("f4")
        fold_of = numpy.array(folds_of(texts, min(folds, len(set(texts)))))
        expected = numpy.zeros_like(outcomes)
        for fold in range(fold_of.max() + 1):
            rest = fold_of != fold
            expected[~rest] = _Index(vectors[rest], outcomes[rest]).means(vectors[~rest]) if rest.any() else 0.5
        off = outcomes - expected
        effects = _effects(off, given.places, len(given.names))
        header = {"tiers": given.tiers, "labels": given.names, "encoder": encoder(embeddings)}
        arrays = {"vectors": vectors, "outcomes": outcomes, "effects": effects}
        gain = cls(Learned.of(cls.KIND, cls.VERSION, header, arrays), embeddings=embeddings)
        for fold in range(fold_of.max() + 1):
            here, rest = fold_of == fold, numpy.where(fold_of == fold, -1, given.places)
            expected[here] += _effects(off, rest, len(given.names))[given.places[here]]
        return gain, gain._by_tier(expected)

    def qualities(self, texts: Sequence[str], labels: Sequence[str | None] | None = None) -> dict[str, list[float]]:
        """Expect the quality of each tier's answer to each text, from 0 to 1.

        Args:
            texts: The texts.
            labels: What each is for; one that was not there in the fit is as good as None.

        Raises:
            RoutingError: If there is not a label a text, or the embeddings are not those of the fit.
        """
        if not texts:
            return {tier: [] for tier in self.tiers}
        vectors = self._embedded(texts, size=self._learned.arrays["vectors"].shape[1])
        places = self._learned.places(texts, labels)
        return self._by_tier(self._index.means(vectors) + self._learned.arrays["effects"][places])


class _Index:
    """Vectors of length 1 with outcomes, and the means over the nearest."""

    def __init__(self, vectors: Any, outcomes: Any) -> None:
        self._faiss = _faiss()
        self._index = self._faiss.IndexFlatIP(vectors.shape[1])
        self._index.add(vectors)
        self._outcomes = outcomes

    def means(self, vectors: Any) -> Any:
        """Average what each tier made of the nearest texts that it was tried on; 0.5 where that is none."""
        numpy, _ = libraries()
        _, near = self._index.search(vectors, min(ceil(_NEIGHBOURS * sqrt(self._index.ntotal)), self._index.ntotal))
        outcomes = self._outcomes[near]
        tried = ~numpy.isnan(outcomes)
        count = tried.sum(axis=1)
        return numpy.where(count, numpy.nan_to_num(outcomes).sum(axis=1) / numpy.maximum(count, 1), 0.5).astype("f4")


def _effects(off: Any, places: Any, labels: int) -> Any:
    """How far each label's outcomes are off what is near, on average and shrunk. The last row, for no label, is 0."""
    numpy, _ = libraries()
    effects = numpy.zeros((labels + 1, off.shape[1]), "f4")
    for place in range(labels):
        here = off[places == place]
        effects[place] = numpy.nansum(here, axis=0) / ((~numpy.isnan(here)).sum(axis=0) + _SHRINKAGE)
    return effects


def _faiss() -> Any:
    try:
        import faiss  # noqa: PLC0415  # optional
    except ImportError as error:
        raise MissingExtra("faiss-cpu", extra="semantic", what="Routing by the nearest texts") from error
    return faiss
