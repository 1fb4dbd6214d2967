"""What a provider would report of a run's calls, its prompt cache simulated: every model of the run has its own."""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from langchain_agentcost.attribution import label
from langchain_agentcost.errors import ReplayError
from langchain_agentcost.replay.cache import PROMPTS_KEPT, PrefixCache, Sent
from langchain_agentcost.replay.episode import Call
from langchain_agentcost.replay.request import Request
from langchain_agentcost.replay.sizes import Sizes
from langchain_agentcost.replay.tariff import Tariff, Tariffs
from langchain_agentcost.usage import Usage

Conversation = dict[tuple[str | None, str], deque[Sent]]
"""The prompts that were sent in a conversation, by the model that a request names and the one that is billed."""


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
        tariffs: The prices of the models that answered its calls, and of those that a request names.
        warm: Whether another run has just sent the same tools and system message.
        conversation: The prompts of earlier turns of the same conversation, by model; those of this run are added.
    """

    def __init__(
        self,
        sizes: Sizes,
        tariffs: Tariffs,
        *,
        warm: bool = False,
        conversation: Conversation | None = None,
    ) -> None:
        self._sizes = sizes
        self._tariffs = tariffs
        self._warm = warm
        self._conversation = {} if conversation is None else conversation
        self._caches: dict[tuple[str | None, str], PrefixCache] = {}

    def answer(self, request: Request, call: Call) -> Billed:
        """Answer a call as it was recorded, and report what that takes.

        Args:
            request: What is sent.
            call: The recorded call: when it was made, and how long its answer was.
        """
        tariff = self.tariff(call, request.model)
        scale = self._sizes.scale(call)
        read, total = self._cache(request.model, tariff).send(request, call.recorded.at_s, scale=scale)
        return Billed(tariff, tariff.usage(total, self._sizes.answer_tokens(call), read_tokens=read))

    def tariff(self, call: Call, model: str | None = None) -> Tariff:
        """Give the prices of a call.

        Args:
            call: The recorded call.
            model: The model that it is sent to; None is the one that was recorded.

        Raises:
            ReplayError: If no price is known of the model that was recorded.
        """
        own = self._tariffs.of_call(call, self._sizes.episode)
        if own is None:
            asked = call.recorded.model or self._sizes.episode.model or "(no model)"
            raise ReplayError(f"No price is known for {label(asked)!r}: name another model, or state it in a file.")
        return own if model is None else self._tariffs.named(model, own)

    def _cache(self, model: str | None, tariff: Tariff) -> PrefixCache:
        key = (model, tariff.card.model)
        if key not in self._caches:
            earlier = self._conversation.setdefault(key, deque(maxlen=PROMPTS_KEPT))
            self._caches[key] = PrefixCache(tariff.terms, self._sizes, warm=self._warm, earlier=earlier)
        return self._caches[key]
