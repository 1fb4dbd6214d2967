"""What a provider would report of a run's calls, its prompt cache simulated: every model of the run has its own."""

from __future__ import annotations

from typing import NamedTuple

from langchain_agentcost.replay.cache import PrefixCache
from langchain_agentcost.replay.episode import Call
from langchain_agentcost.replay.request import Request
from langchain_agentcost.replay.sizes import Sizes
from langchain_agentcost.replay.tariff import Tariff, Tariffs
from langchain_agentcost.usage import Usage


class Billed(NamedTuple):
    """What a call is billed by.

    Args:
        tariff: The prices of the model that it went to.
        usage: What its provider reports.
    """

    tariff: Tariff
    usage: Usage


class Provider:
    """The provider of one run.

    Args:
        sizes: The pieces of the run's prompts.
        tariff: The prices of the run's own model.
        tariffs: Those of others that a request may name.
        warm: Whether another run has just sent the same tools and system message.
    """

    def __init__(self, sizes: Sizes, tariff: Tariff, tariffs: Tariffs, *, warm: bool = False) -> None:
        self._sizes = sizes
        self._tariff = tariff
        self._tariffs = tariffs
        self._warm = warm
        self._caches: dict[str | None, PrefixCache | None] = {}

    def answer(self, request: Request, call: Call) -> Billed:
        """Answer a call as it was recorded, and report what that takes.

        Args:
            request: What is sent.
            call: The recorded call: when it was made, and how long its answer was.
        """
        tariff = self._tariff if request.model is None else self._tariffs.named(request.model, self._tariff)
        cache = self._cache(request.model, tariff)
        if cache is None:
            read, total = 0, self._sizes.tokens(request.tools, request.messages)
        else:
            read, total = cache.send(request, call.recorded.at_s)
        return Billed(tariff, tariff.usage(total, self._sizes.answer_tokens(call), read_tokens=read))

    def _cache(self, model: str | None, tariff: Tariff) -> PrefixCache | None:
        if model not in self._caches:
            terms = tariff.terms
            self._caches[model] = PrefixCache(terms, self._sizes, warm=self._warm) if terms is not None else None
        return self._caches[model]
