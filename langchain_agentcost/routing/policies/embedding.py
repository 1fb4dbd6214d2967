"""Goes by the text: what calls with texts like it taught of each tier."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field, replace
from math import nan
from typing import Any, Protocol, Self

from langchain_core.embeddings import Embeddings

from langchain_agentcost.canonical import digest
from langchain_agentcost.complaint import Complaint
from langchain_agentcost.errors import MissingExtra, RoutingError, RoutingWarning
from langchain_agentcost.recent import Recent
from langchain_agentcost.routing.example import Example
from langchain_agentcost.routing.policies.kept_embeddings import KeptEmbeddings
from langchain_agentcost.routing.policy import Choice, Offers, cheapest_within
from langchain_agentcost.routing.request import RouteRequest

_TEXTS_KEPT = 4_000
"""Of how many texts what was expected is kept."""

_MODELS_KEPT = 32
"""Calibration fits to all examples and to several parts of them, and asks for the first of those later."""

_UNTAUGHT = "nothing was learnt of texts"
_NO_TEXT = "a person has said nothing yet"


class TextModel(Protocol):
    """What a text model has learnt; `TextGain` and `NearestGain` are such."""

    @property
    def digest(self) -> str:
        """What tells it from others."""
        ...

    def qualities(
        self, texts: Sequence[str], labels: Sequence[str | None] | None = None
    ) -> Mapping[str, Sequence[float]]:
        """Give by tier how good its answers are expected to be."""
        ...


class TextLearner(Protocol):
    """What makes a text model; `TextGain` and `NearestGain` are such classes."""

    def fit(
        self,
        texts: Sequence[str],
        quality: Mapping[str, Sequence[float]],
        *,
        embeddings: Embeddings | None,
        labels: Sequence[str | None] | None = None,
    ) -> TextModel:
        """Learn how good each tier's answers to texts were."""
        ...


@dataclass(frozen=True, slots=True)
class EmbeddingPolicy:
    """Sends a call to the cheapest tier that is good enough for texts like it.

    Only what a person said last is looked at, with the kind of step (node, phase, schema) as its label, and what comes
    again, as the question does at every step of an agent, is looked at once. Until it has learnt, where nobody has said
    anything, and where embedding fails, it knows nothing and the strongest tier is asked. Alone it embeds every new
    text; as `StepPolicy(otherwise=...)` only those of calls whose kind of step does not decide.

    Args:
        embeddings: What embeds; `langchain_agentcost.caching.default_embeddings()` does on this machine. None goes by
            words and form alone.
        threshold: The most quality that may be lost, as a share; calibration sets it.
        learner: What learns; None is `TextGain`.
        model: What was learnt. `model.save` keeps it, and one from a file is given here.

    Raises:
        MissingExtra: In `fit`, or at the first call, if a package that embeds or learns is missing.
    """

    embeddings: Embeddings | None = None
    _: KW_ONLY
    threshold: float = 0.05
    learner: TextLearner | None = None
    model: TextModel | None = None
    _answers: Recent[tuple[str, bytes, str], Mapping[str, float]] = field(
        default_factory=lambda: Recent(_TEXTS_KEPT), repr=False, compare=False
    )
    _fitted: Recent[str, TextModel] = field(default_factory=lambda: Recent(_MODELS_KEPT), repr=False, compare=False)
    _failed: Complaint = field(
        default_factory=lambda: Complaint("A text could not be embedded; a stronger tier is asked", RoutingWarning),
        repr=False,
        compare=False,
    )

    def __post_init__(self) -> None:
        if self.embeddings is not None and not isinstance(self.embeddings, KeptEmbeddings):
            object.__setattr__(self, "embeddings", KeptEmbeddings(self.embeddings))

    @property
    def name(self) -> str:
        """What it is called in decisions and reports."""
        return "embedding"

    @property
    def embeds(self) -> bool:
        """It may take longer than an event loop should stand still."""
        return True

    def choose(self, request: RouteRequest, offers: Offers) -> Choice:
        """Choose the cheapest offer that is not expected to lose more than may be lost."""
        losses, why = self._known(request, [offer.name for offer in offers])
        choice = cheapest_within(self.name, losses, offers, threshold=self.threshold + request.thrift)
        return choice if why is None else replace(choice, reasons=(f"{why}; the strongest tier is asked",))

    def losses(self, request: RouteRequest, tiers: Sequence[str]) -> Mapping[str, float]:
        """Give what each tier is expected to lose against the last one; nothing of the others where it knows none."""
        return self._known(request, tiers)[0]

    def with_threshold(self, threshold: float) -> Self:
        """Give the same policy with another threshold."""
        return replace(self, threshold=threshold)

    def settings(self) -> dict[str, Any]:
        """Give what learns; which embeddings it was with is in the digest that `as_dict` gives."""
        learner = self.learner or _text_gain()
        return {"learner": getattr(learner, "__name__", type(learner).__name__)}

    def fit(self, examples: Sequence[Example], tiers: Sequence[str]) -> Self:
        """Give the policy with what examples teach that have a text; a tier need not have answered them all.

        Raises:
            RoutingError: If there are not two of them, or a tier has answered none.
            MissingExtra: If a package is missing.
        """
        spoken = [one for one in examples if one.request.text]
        model = (self.learner or _text_gain()).fit(
            [one.request.text for one in spoken],
            {tier: [one.quality.get(tier, nan) for one in spoken] for tier in tiers},
            embeddings=self.embeddings,
            labels=[_label(one.request) for one in spoken],
        )
        self._fitted.put(model.digest, model)
        return replace(self, model=model)

    def as_dict(self) -> dict[str, Any]:
        """Give the digest of what was learnt: the model itself is kept in a file of its own."""
        return {"policy": self.name, "digest": self.model.digest if self.model is not None else None}

    def with_learned(self, data: Mapping[str, Any]) -> Self:
        """Give the policy with the model that `as_dict` was written of: its own, or one that it has fitted before.

        Raises:
            RoutingError: If it has no such model.
        """
        if dict(data) == self.as_dict():
            return self
        wanted = data.get("digest") if data.get("policy") == self.name else None
        model = self._fitted.get(wanted)
        if model is None:
            raise RoutingError("This was learnt by another text model; give the policy the `model` that goes with it.")
        return replace(self, model=model)

    def _known(self, request: RouteRequest, tiers: Sequence[str]) -> tuple[dict[str, float], str | None]:
        """What is expected to be lost, and why nothing is known where it is not."""
        strongest, model, text = tiers[-1], self.model, request.text
        if model is None or not text:
            return {strongest: 0.0}, _UNTAUGHT if model is None else _NO_TEXT
        try:
            quality = self._qualities(model, text, _label(request))
        except MissingExtra:
            raise
        except Exception as error:  # noqa: BLE001  # whatever an embedding does, the call is made
            self._failed.about(error)
            return {strongest: 0.0}, f"{type(error).__name__} while a text was embedded"
        if strongest not in quality:
            return {strongest: 0.0}, f"nothing was learnt of {strongest}"
        return {tier: quality[strongest] - quality[tier] for tier in tiers if tier in quality}, None

    def _qualities(self, model: TextModel, text: str, label: str) -> Mapping[str, float]:
        key = model.digest, digest(text), label
        known = self._answers.get(key)
        if known is None:
            expected = model.qualities([text], [label])
            known = {tier: float(quality) for tier, (quality,) in expected.items()}
            self._answers.put(key, known)
        return known


def _label(request: RouteRequest) -> str:
    """What kind of step it is, of whatever length and with whatever tools."""
    return request.signature.coarser()[2]


def _text_gain() -> TextLearner:
    from langchain_agentcost.routing.text_gain import TextGain  # noqa: PLC0415  # only where texts are learnt from

    return TextGain
