"""Metering for embeddings, for which LangChain has no callbacks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from langchain_core.embeddings import Embeddings

from langchain_agentcost.attribution import label
from langchain_agentcost.meter.ambient import active_meters
from langchain_agentcost.meter.calls import OpenCall
from langchain_agentcost.meter.handler import CostMeter
from langchain_agentcost.tokens import TokenCounter
from langchain_agentcost.usage import Usage


def metered_embeddings(
    embeddings: Embeddings,
    *,
    meter: CostMeter | None = None,
    model: str | None = None,
    provider: str | None = None,
    purpose: str | None = None,
) -> Embeddings:
    """Wrap embeddings so that each call is metered like a model call.

    No embedding class of LangChain tells what its provider counted, so the tokens are counted here and marked as
    estimated. A call is booked to the run that it is made in.

    Args:
        embeddings: What makes the vectors.
        meter: The meter to book on. None takes all that are active at each call: passed as callbacks of the run, of a
            `meter_costs` block, or installed globally. Without any, nothing is metered.
        model: The model's name; None reads `model` or `model_name` of the embeddings.
        provider: Who serves it, as LangChain names providers; None tells it from the class, where that is known.
        purpose: What the calls are for, where it is not the agent's work: with "cache" they count as what a cache
            itself costs. None leaves that to the run's metadata.

    Returns:
        Embeddings with the same vectors.

    Example:
        >>> from langchain_core.embeddings import DeterministicFakeEmbedding
        >>> with CostMeter() as meter:
        ...     fake = DeterministicFakeEmbedding(size=2)
        ...     wrapped = metered_embeddings(fake, meter=meter, model="text-embedding-3-small", provider="openai")
        ...     vectors = wrapped.embed_documents(["one", "two"])
        ...     meter.report(by="model").total.cost.usd > 0
        True
    """
    said = _Said(
        model or _model_of(embeddings), provider or _provider_of(embeddings), label(purpose) if purpose else None
    )
    return _MeteredEmbeddings(embeddings, meter, said)


_PROVIDERS = {
    "langchain_openai": "openai",
    "langchain_google_genai": "google_genai",
    "langchain_mistralai": "mistralai",
    "langchain_cohere": "cohere",
    "langchain_voyageai": "voyageai",
    "langchain_aws": "bedrock",
    "langchain_ollama": "ollama",
}
"""The package an embeddings class comes from, and who serves its models."""


class _Said(NamedTuple):
    """What is said of each call."""

    model: str | None
    provider: str | None
    purpose: str | None


class _MeteredEmbeddings(Embeddings):
    """Embeddings that book each call on a meter."""

    def __init__(self, inner: Embeddings, meter: CostMeter | None, said: _Said) -> None:
        self.inner = inner
        self._meter = meter
        self._said = said

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        texts = list(texts)
        with self._metered(texts):
            return self.inner.embed_documents(texts)

    def embed_query(self, text: str) -> list[float]:
        with self._metered([text]):
            return self.inner.embed_query(text)

    async def aembed_documents(self, texts: list[str]) -> list[list[float]]:
        texts = list(texts)
        with self._metered(texts):
            return await self.inner.aembed_documents(texts)

    async def aembed_query(self, text: str) -> list[float]:
        with self._metered([text]):
            return await self.inner.aembed_query(text)

    @contextmanager
    def _metered(self, texts: list[str]) -> Iterator[None]:
        """Open the call on every meter, and book it on each when it ends, however it ends."""
        open_calls: list[tuple[CostMeter, OpenCall]] = []
        for meter in [self._meter] if self._meter is not None else active_meters():
            if not meter.off:
                with meter.journal.harmless("embeddings"):
                    open_calls.append((meter, meter.books.embedding_started(*self._said)))
        failure: BaseException | None = None
        try:
            yield
        except BaseException as error:
            failure = error
            raise
        finally:
            for meter, call in open_calls:
                with meter.journal.harmless("embeddings"):
                    meter.books.embedding_ended(call, self._usage(texts, meter.books.counter), failure)

    def _usage(self, texts: list[str], counter: TokenCounter) -> Usage:
        tokens = sum(counter.count_text(text, model=self._said.model) for text in texts)
        return Usage(input_tokens=tokens, estimated=True)


def _model_of(embeddings: Embeddings) -> str | None:
    """The name of the model, under the names that embedding classes have for it."""
    names = (getattr(embeddings, attribute, None) for attribute in ("model", "model_name", "model_id"))
    return next((name for name in names if isinstance(name, str)), None)


def _provider_of(embeddings: Embeddings) -> str | None:
    """Who serves the model, by the package that the class comes from."""
    return _PROVIDERS.get(type(embeddings).__module__.partition(".")[0])
