"""A model call as a cache sees it, before it is made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Self

from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, convert_to_messages
from langchain_core.prompt_values import PromptValue
from langchain_core.runnables import Runnable

from langchain_agentcost.caching.keys import model_fingerprint, models_of
from langchain_agentcost.errors import InvalidUsage, Unkeyable
from langchain_agentcost.saving import SparedCall
from langchain_agentcost.usage import Usage


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """What is asked of which model.

    Args:
        messages: The prompt, system message first.
        fingerprint: See `model_fingerprint`; None where something that is sent has no value of its own.
        temperature: What is sampled with, by the model or any that it falls back to; 0 where nothing is said.
        model: The model's name, for prices.
        provider: Its provider, likewise.
    """

    messages: Sequence[BaseMessage]
    fingerprint: str | None
    temperature: float = 0.0
    model: str | None = None
    provider: str | None = None

    @classmethod
    def of(
        cls,
        model: Runnable[Any, Any],
        messages: Sequence[BaseMessage],
        sent: Mapping[str, Any] | None = None,
    ) -> Self:
        """Look at a call.

        Args:
            model: A chat model, or one with things bound to it.
            messages: The prompt.
            sent: What is sent besides.
        """
        models = list(models_of(model, sent=sent))
        first, bound = models[0]
        named: Mapping[str, Any] = first._get_ls_params(**bound) if isinstance(first, BaseChatModel) else {}  # noqa: SLF001  # what every tracer reads
        return cls(
            messages=messages,
            fingerprint=_fingerprint(model, sent),
            temperature=max(_temperature(*one) for one in models),
            model=named.get("ls_model_name"),
            provider=named.get("ls_provider"),
        )

    def call_of(self, answer: AIMessage) -> SparedCall:
        """Give what the call consumed, by the answer that it got."""
        answered_by = answer.response_metadata.get("model_name") or answer.response_metadata.get("model")
        return SparedCall(model=answered_by or self.model, provider=self.provider, usage=usage_of(answer))


def messages_of(asked: LanguageModelInput) -> list[BaseMessage]:
    """Give what a chat model would make of its input."""
    if isinstance(asked, PromptValue):
        return asked.to_messages()
    return [HumanMessage(asked)] if isinstance(asked, str) else convert_to_messages(asked)


def usage_of(answer: AIMessage) -> Usage | None:
    """Give what a provider says that an answer took; None where it says nothing, or what cannot be."""
    with suppress(InvalidUsage):
        return Usage.from_message(answer)
    return None


def _fingerprint(model: Runnable[Any, Any], sent: Mapping[str, Any] | None) -> str | None:
    with suppress(Unkeyable):
        return model_fingerprint(model, sent=sent)
    return None


def _temperature(model: Any, bound: Mapping[str, Any]) -> float:
    """What a model samples with; 0 where nothing is said."""
    value = bound.get("temperature", getattr(model, "temperature", None))
    return value if isinstance(value, int | float) else 0.0
