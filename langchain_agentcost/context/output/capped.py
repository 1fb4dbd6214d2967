"""Puts a cap on a model's answers, where that makes them no longer than they could be before."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from langchain_core.language_models import BaseChatModel

from langchain_agentcost.answer_caps import CAPS, FIELD, NESTED, argument_of

LEAST_ANSWER_TOKENS = 1_024
"""What must be left for the answer itself, of a cap that Anthropic's models think within."""


def capped(
    model: BaseChatModel, settings: Mapping[str, Any], tokens: int
) -> tuple[BaseChatModel, Mapping[str, Any]] | None:
    """Cap a model's answers, where that makes them no longer than they could be before.

    Args:
        model: The model; it is not changed.
        settings: What its calls are given beside the prompt, such as `ModelRequest.model_settings`.
        tokens: The cap.

    Returns:
        The model and the settings to call it with; None where the cap would do nothing or harm: a lower one is set
        already, or one inside another argument, or the model is told to think for nearly as long as the cap, which
        Anthropic refuses.

    Example:
        >>> from langchain_agentcost.testing import FakeMeteredChatModel
        >>> capped(FakeMeteredChatModel(), {"stop": ["END"]}, 500)[1]
        {'stop': ['END'], 'max_tokens': 500}
        >>> capped(FakeMeteredChatModel(), {"max_tokens": 100}, 500) is None
        True
    """
    known = cap_of(model, settings)
    if known is not None and known <= tokens:
        return None
    sent = model._get_invocation_params(**settings)  # noqa: SLF001  # what LangChain announces; it has no public name
    if tokens < _thinking_tokens(sent) or _is_nested(sent):
        return None
    if FIELD in type(model).model_fields:
        return model.model_copy(update={FIELD: tokens}), settings
    others = {name: value for name, value in settings.items() if name not in CAPS}
    return model, {**others, argument_of(model): tokens}


def cap_of(model: BaseChatModel, settings: Mapping[str, Any]) -> int | None:
    """Give the cap that a model's answers have already; None where it has none.

    Args:
        model: The model.
        settings: What its calls are given beside the prompt.
    """
    announced = model._get_ls_params(**settings).get("ls_max_tokens")  # noqa: SLF001  # what LangChain announces
    stated = [settings.get(name) for name in CAPS]
    known = [tokens for tokens in (announced, *stated) if type(tokens) is int and tokens > 0]
    return min(known, default=None)


def _thinking_tokens(sent: Mapping[str, Any]) -> int:
    """The lowest cap that leaves room to think and to answer; 0 for models that are not told how long to think."""
    thinking = sent.get("thinking")
    budget = thinking.get("budget_tokens") if isinstance(thinking, Mapping) else None
    return budget + LEAST_ANSWER_TOKENS if type(budget) is int else 0


def _is_nested(sent: Mapping[str, Any]) -> bool:
    """Whether a cap is set inside another argument."""
    places = (sent.get(name) for name in NESTED)
    return any(isinstance(place, Mapping) and any(place.get(cap) is not None for cap in CAPS) for place in places)
