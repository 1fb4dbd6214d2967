"""Expects how good each tier's answer to a text is, from texts that tiers have answered.

Methods that learn this from the text differ by no more than chance ("LLMRouterBench", arXiv 2601.07206; "Routing
Plateau", arXiv 2606.07587), and what a call is for says more than its words. So this is one ridge regression a tier, on
all that is at hand together: the embedding, the words, the surface, and the label where there is one. The
regularisation is in the scale of the noise and the same for all data (a Gaussian process with fixed variances), so that
nothing is searched for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from langchain_agentcost.errors import RoutingError
from langchain_agentcost.routing.learned_text import Given, Learned, LearnedText
from langchain_agentcost.routing.text_features import (
    TextFeatures,
    encoder,
    folds_of,
    libraries,
)

if TYPE_CHECKING:
    from typing import Self

    from langchain_core.embeddings import Embeddings

_NOISE = 10.0
"""How much more of a quality is chance than its label explains: a label's mean counts as n / (n + 10)."""
_TEXT = 1 / 3
"""What each block of a text's features explains, of what a label does.

So chance is 30 times a block. Of 3, 10 and 30 times, 30 was the best or within 0.01 APGR of it on each of four pairs of
models, and beside a label 10, 30 and 100 times were within 0.015.
"""
_UNTRIED = 0.5
_CLOSE = 1e-4
_MOST_STEPS = 200


class TextGain(LearnedText):
    """Expects the quality of each tier's answer to a text.

    Made by `fit`, `cross_fitted` or `load`.

    Args:
        learned: Its parameters.
        embeddings: What the texts are embedded with, that of the fit; None where it was fitted without.

    Example:
        >>> texts = ["Add 2 and 3.", "Prove the lemma.", "Add 4 and 5.", "Prove the theorem."]
        >>> gain = TextGain.fit(texts, {"small": [1, 0, 1, 0], "large": [1, 1, 1, 1]}, embeddings=None)
        >>> easy, hard = gain.qualities(["Add 7 and 1.", "Prove the corollary."])["small"]
        >>> easy > hard
        True
    """

    KIND, VERSION = "text gain", 1

    def __init__(self, learned: Learned, *, embeddings: Embeddings | None) -> None:
        super().__init__(learned, embeddings=embeddings)
        arrays = learned.arrays
        self._features = TextFeatures({name[9:]: arrays[name] for name in arrays if name.startswith("features_")})

    @classmethod
    def fit(
        cls,
        texts: Sequence[str],
        quality: Mapping[str, Sequence[float]],
        *,
        embeddings: Embeddings | None,
        labels: Sequence[str | None] | None = None,
    ) -> Self:
        """Fit to texts that tiers have answered. Nothing is drawn: the same texts give the same.

        Args:
            texts: At least two.
            quality: By tier's name the quality of its answer to each text, from 0 to 1; nan where it was not tried.
            embeddings: What to embed texts with, by `embed_documents` throughout; None goes without.
            labels: Of each text what it was for, such as a node's name; None where that is not known.

        Raises:
            RoutingError: If a number or a count is not as above.
            MissingExtra: If numpy or scipy is not installed.
        """
        return cls._fitted(Given.of(texts, quality, labels), embeddings, folds=1)[0]

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
        """Fit, and expect each text's qualities without its own: what the fit expects of texts it has not seen.

        Equal texts are left out together. What is counted without outcomes (which words are rare, how long texts are)
        is counted once over all texts.

        Args:
            texts: As in `fit`.
            quality: As in `fit`.
            embeddings: As in `fit`.
            labels: As in `fit`.
            folds: Into how many parts the texts are cut, each left out in turn.

        Returns:
            What `fit` gives, and by tier the expected quality of each text.
        """
        given = Given.of(texts, quality, labels)
        folds = min(folds, len(set(given.texts)))
        if folds < 2:
            raise RoutingError("Leaving texts out in turn takes two different texts and two folds.")
        return cls._fitted(given, embeddings, folds=folds)

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
        dense, words = self._features.dense(texts, self._embeddings), self._features.words(texts)
        from_text = dense @ self._learned.arrays["dense"] + words @ self._learned.arrays["sparse"]
        places = self._learned.places(texts, labels)
        return self._by_tier(self._expected(from_text, places))

    @classmethod
    def _fitted(cls, given: Given, embeddings: Embeddings | None, *, folds: int) -> tuple[Self, dict[str, list[float]]]:
        """Fit to all texts and, where there are folds, to all but each fold, at once: they share their products."""
        numpy, _ = libraries()
        features, dense, words = TextFeatures.fit(given.texts, embeddings)
        fits = _Fits(given, dense, words, fold_of=numpy.array(folds_of(given.texts, folds)), folds=folds)
        header = {"tiers": given.tiers, "labels": given.names, "encoder": encoder(embeddings)}
        kept = {f"features_{name}": array for name, array in features.arrays.items()}
        gain = cls(Learned.of(cls.KIND, cls.VERSION, header, {**kept, **fits.parameters()}), embeddings=embeddings)
        return gain, gain._by_tier(fits.left_out()) if folds > 1 else {}

    def _expected(self, from_text: Any, places: Any) -> Any:
        """Add the label's effect where a tier is known by it, else take what was fitted without labels."""
        numpy, _ = libraries()
        arrays = self._learned.arrays
        plain, beside = numpy.split(from_text + arrays["intercept"], 2, axis=1)
        return numpy.where(arrays["known"][places] > 0, beside + arrays["effects"][places], plain)


class _Fits:
    """Ridge regressions that share their features, a column each, in the order fit, with or without label, tier.

    The first fit sees all texts; each of the others sees all but a fold.
    """

    def __init__(self, given: Given, dense: Any, words: Any, *, fold_of: Any, folds: int) -> None:
        numpy, sparse = libraries()
        self._dense, self._words, self._words_across = dense, words, words.T.tocsr()
        labelled = given.places >= 0
        marks = (numpy.ones(labelled.sum(), "f4"), (numpy.flatnonzero(labelled), given.places[labelled]))
        self._marks = sparse.csr_matrix(marks, shape=(len(given.texts), len(given.names) + 1))
        self._fold_of, self._labelled, self._tiers = fold_of, labelled, len(given.tiers)
        seen = [numpy.ones(len(given.texts), bool), *(fold_of != fold for fold in range(folds) if folds > 1)]
        tried = ~numpy.isnan(given.outcomes)
        self._seen = numpy.hstack([part for rows in seen for part in self._both(tried & rows[:, None])])
        modes = len(seen)
        self._from_label = numpy.tile(numpy.repeat([0.0, 1.0], self._tiers), modes).astype("f4")
        outcomes = numpy.tile(numpy.nan_to_num(given.outcomes), 2 * modes)
        count = self._seen.sum(axis=0)
        self._mean = numpy.where(count, (outcomes * self._seen).sum(axis=0) / numpy.maximum(count, 1), _UNTRIED)
        right = ((outcomes - self._mean) * self._seen).astype("f4")
        dual = _solved(self._times, right)
        self._weights = dense.T @ dual * _TEXT
        self._word_weights = self._words_across @ dual * _TEXT
        self._known = self._marks.T @ self._seen.astype("f4")
        self._effects = self._marks.T @ dual * self._from_label

    def parameters(self) -> dict[str, Any]:
        """Those of the fit to all texts."""
        whole, beside = slice(0, 2 * self._tiers), slice(self._tiers, 2 * self._tiers)
        return {
            "dense": self._weights[:, whole],
            "sparse": self._word_weights[:, whole],
            "effects": self._effects[:, beside],
            "known": self._known[:, beside],
            "intercept": self._mean[whole].astype("f4"),
        }

    def left_out(self) -> Any:
        """Expect each text by the fit that has not seen it: by its label where that fit has seen the label."""
        numpy, _ = libraries()
        known = self._marks @ self._known > 0
        expected = self._mean + self._dense @ self._weights + self._words @ self._word_weights
        expected += self._marks @ self._effects
        rows = numpy.arange(len(expected))
        first = 2 * self._tiers * (1 + self._fold_of)
        columns = []
        for tier in range(self._tiers):
            plain, beside = first + tier, first + self._tiers + tier
            columns.append(numpy.where(known[rows, beside], expected[rows, beside], expected[rows, plain]))
        return numpy.stack(columns, axis=1)

    def _both(self, seen: Any) -> tuple[Any, Any]:
        """What the fits without and with labels see."""
        return seen, seen & self._labelled[:, None]

    def _times(self, dual: Any) -> Any:
        """The kernel's product, and the noise's."""
        text = self._dense @ (self._dense.T @ dual) + self._words @ (self._words_across @ dual)
        label = self._marks @ (self._marks.T @ dual)
        return (text * _TEXT + label * self._from_label) * self._seen + _NOISE * dual


def _solved(times: Any, right: Any) -> Any:
    """Solve a positive definite system for many right sides by conjugate gradients (Hestenes and Stiefel, 1952)."""
    numpy, _ = libraries()
    found, rest = numpy.zeros_like(right), right
    step, left = rest, (rest * rest).sum(axis=0, dtype="f8")
    enough = _CLOSE**2 * left
    for _ in range(_MOST_STEPS):
        if (left <= enough).all():
            break
        image = times(step)
        going = left > enough
        length = numpy.where(going, left / numpy.where(going, (step * image).sum(axis=0, dtype="f8"), 1), 0)
        found, rest = found + (step * length).astype("f4"), rest - (image * length).astype("f4")
        before, left = left, (rest * rest).sum(axis=0, dtype="f8")
        step = rest + (step * numpy.where(going, left / numpy.where(going, before, 1), 0)).astype("f4")
    return found
