"""Our router as the routing benchmark runs it: as it is installed, and after training."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
from langchain_core.embeddings import Embeddings
from routing_baselines import Learned, System, untrained
from routing_data import Calls, Numbers
from semantic_data import Vectors

from langchain_agentcost.routing.policies.step import StepPolicy
from langchain_agentcost.routing.request import RouteRequest
from langchain_agentcost.routing.text_gain import TextGain
from langchain_agentcost.tokens import count_text

TIERS = ("cheap", "strong")


class Cached(Embeddings):
    """Embeds each text once, whichever system asks."""

    model = "cached"

    def __init__(self, vectors: Vectors) -> None:
        self._vectors = vectors

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Give the vectors of texts."""
        return self._vectors.of(texts).tolist()  # type: ignore[no-any-return]

    def embed_query(self, text: str) -> list[float]:
        """Give the vector of a text."""
        return self.embed_documents([text])[0]


def ours(vectors: Vectors) -> list[System]:
    """Make the systems of ours."""
    cached = Cached(vectors)
    return [
        System("ours, text", "ours", _trained(cached, labels=False), embeds=True),
        System("ours, text and label", "ours", _trained(cached, labels=True), embeds=True, labels=True),
        untrained("ours, untrained", "ours", _steps),
    ]


def per_dollar(system: System) -> System:
    """Rank by the gain for each dollar that the strong model is expected to cost more, and not by the gain alone.

    Of two calls that gain the same, the shorter is then the first to go to the strong model. What it costs more is
    forecast from the text's length, by a straight line through the training calls.
    """

    def learn(calls: Calls) -> Learned:
        learned = system.learn(calls)
        line = np.linalg.lstsq(_sizes(calls), calls.strong_usd - calls.cheap_usd, rcond=None)[0]

        def dearer(others: Calls) -> Numbers:
            return np.maximum(_sizes(others) @ line, 1e-9)

        return Learned(learned.known / dearer(calls), lambda others: learned.score(others) / dearer(others))

    return replace(system, name=f"{system.name}, per dollar", learn=learn)


def _sizes(calls: Calls) -> Numbers:
    return np.array([(1.0, len(text)) for text in calls.texts])


def _trained(embeddings: Embeddings, *, labels: bool) -> Callable[[Calls], Learned]:
    def learn(calls: Calls) -> Learned:
        quality = {"cheap": calls.cheap.tolist(), "strong": calls.strong.tolist()}
        said = list(calls.labels) if labels else None
        model, known = TextGain.cross_fitted(list(calls.texts), quality, embeddings=embeddings, labels=said, folds=5)

        def score(others: Calls) -> Numbers:
            return _gain(model.qualities(list(others.texts), list(others.labels) if labels else None))

        return Learned(_gain(known), score)

    return learn


def _gain(quality: Mapping[str, Sequence[float]]) -> Numbers:
    cheap, strong = (np.asarray(quality[tier], dtype=np.float64) for tier in TIERS)
    return strong - cheap


def _steps(text: str) -> float:
    """The default policy on a bare text: no node, no tools, no schema."""
    return StepPolicy().losses(RouteRequest.of(text, prompt_tokens=count_text(text)), TIERS)["cheap"]
