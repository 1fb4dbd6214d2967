"""A call of a `RouterRunnable` that is under way: what it asks of which model."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import aclosing
from typing import Any, NamedTuple

from langchain_core.language_models import LanguageModelInput
from langchain_core.messages import BaseMessage, HumanMessage, convert_to_messages
from langchain_core.prompt_values import PromptValue
from langchain_core.runnables import Runnable, RunnableBinding, RunnableConfig
from langchain_core.runnables.config import merge_configs

from langchain_agentcost.routed import Role
from langchain_agentcost.routing.handoff import for_model, settings_for
from langchain_agentcost.routing.operations import Operations, with_settings
from langchain_agentcost.routing.routed_call import RoutedCall
from langchain_agentcost.routing.router import Router
from langchain_agentcost.routing.seen_usage import SeenUsage
from langchain_agentcost.routing.surroundings import requested


class Opened:
    """A call that is decided and not made yet.

    Args:
        router: The router.
        operations: What is bound.
        given: What it was called with.
        config: Its config.
        kwargs: What else is sent.

    Attributes:
        call: What makes it.
        prompt: The prompt, as prompt caches see it.

    Raises:
        RoutingError: If no tier can take it.
    """

    def __init__(
        self,
        router: Router,
        operations: Operations,
        given: LanguageModelInput,
        config: RunnableConfig,
        kwargs: Mapping[str, Any],
    ) -> None:
        self._router = router
        self._operations = operations
        self._kwargs = kwargs
        facts = with_settings(operations.facts, kwargs)
        asked = requested(as_messages(given), facts, config)
        request, self.prompt = router.opened(asked, schemas=facts.schemas)
        self.call = RoutedCall(router, request, router.decide(request, self.prompt), config)

    def ask(self, tier: str, role: Role) -> Any:
        """Ask a tier."""
        model, messages, config, kwargs, seen = self._ready(tier, role)
        answer = model.invoke(messages, config, **kwargs)
        self._learn(tier, role, seen)
        return answer

    async def aask(self, tier: str, role: Role) -> Any:
        """Ask a tier in async code."""
        model, messages, config, kwargs, seen = self._ready(tier, role)
        answer = await model.ainvoke(messages, config, **kwargs)
        self._learn(tier, role, seen)
        return answer

    def chunks(self, tier: str, role: Role) -> Iterator[Any]:
        """Ask a tier for an answer that streams."""
        model, messages, config, kwargs, seen = self._ready(tier, role)
        try:
            yield from model.stream(messages, config, **kwargs)
        finally:  # whoever leaves a stream has sent the prompt all the same
            self._learn(tier, role, seen)

    async def achunks(self, tier: str, role: Role) -> AsyncGenerator[Any, None]:
        """Ask a tier for an answer that streams, in async code."""
        model, messages, config, kwargs, seen = self._ready(tier, role)
        try:
            async with aclosing(_generated(model, messages, config, kwargs)) as coming:
                async for chunk in coming:
                    yield chunk
        finally:
            self._learn(tier, role, seen)

    def _ready(self, tier: str, role: Role) -> _Ready:
        named, seen = self._router.tier(tier), SeenUsage()
        model = self._operations.on(named)
        told = model if isinstance(model, RunnableBinding) else named.model  # what is bound says which form it takes
        return _Ready(
            model,
            for_model(self.call.request.messages, told),
            merge_configs(self.call.config_for(tier, role), {"callbacks": [seen]}),
            settings_for(self._kwargs, named.model),
            seen,
        )

    def _learn(self, tier: str, role: Role, seen: SeenUsage) -> None:
        if seen.sent:
            self._router.answered(self.call.request, self.prompt, tier, seen.usage, aside=role == "shadow")


class _Ready(NamedTuple):
    """What a tier is asked with."""

    model: Runnable[Any, Any]
    messages: Any
    config: RunnableConfig
    kwargs: dict[str, Any]
    seen: SeenUsage


def as_messages(given: LanguageModelInput) -> list[BaseMessage]:
    """Give a model's input as messages, as LangChain's models read it.

    Raises:
        ValueError: If it is none.
    """
    if isinstance(given, str):
        return [HumanMessage(given)]
    if isinstance(given, PromptValue):
        return given.to_messages()
    if isinstance(given, Sequence):
        return convert_to_messages(given)
    raise ValueError(f"Invalid input type {type(given)}. Must be a PromptValue, str, or list of BaseMessages.")


async def _generated(
    model: Runnable[Any, Any], messages: Any, config: RunnableConfig, kwargs: Mapping[str, Any]
) -> AsyncGenerator[Any, None]:
    async for chunk in model.astream(messages, config, **kwargs):
        yield chunk
