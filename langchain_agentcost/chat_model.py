"""What stands behind a chat model that things are bound to: its names, its window, what is sent besides the prompt."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.runnables import RunnableBinding, RunnableConfig, RunnableWithFallbacks
from langchain_core.runnables.config import merge_configs


def unbound(model: Any) -> Any:
    """Give what things are bound to: a chat model, or a Runnable that stands for one."""
    while isinstance(model, RunnableBinding):
        model = model.bound
    return model


def innermost(model: Any) -> Any:
    """Give the chat model that answers, for its name and abilities: also behind fallbacks, the first, and a cache.

    Whoever is to ask it takes `unbound`: fallbacks and cache are left away here.
    """
    while (inner := _inside(model)) is not None:
        model = inner
    return model


def _inside(model: Any) -> Any:
    if isinstance(model, RunnableBinding):
        return model.bound
    if isinstance(model, RunnableWithFallbacks):
        return model.runnable
    return getattr(model, "wrapped_model", None)  # what `CachedRunnable` calls it


def bound_to(model: Any) -> dict[str, Any]:
    """Give what is sent besides the prompt."""
    bound: dict[str, Any] = {}
    while isinstance(model, RunnableBinding):
        bound = {**model.kwargs, **bound}
        model = model.bound
    return bound


def config_of(model: Any) -> RunnableConfig:
    """Give the config that is bound to it."""
    bound: RunnableConfig = {}
    while isinstance(model, RunnableBinding):
        bound = merge_configs(model.config, bound)
        model = model.bound
    return bound


def names_of(model: Any) -> tuple[str | None, str | None]:
    """Give the model's name and its provider's, as LangChain announces them; None for what is no chat model."""
    inner = innermost(model)
    if not isinstance(inner, BaseChatModel):
        return None, None
    named = inner._get_ls_params(**bound_to(model))  # noqa: SLF001  # what every tracer reads; it has no public name
    return named.get("ls_model_name"), named.get("ls_provider")


def profile_of(model: Any) -> Mapping[str, Any]:
    """Give what LangChain knows of the model's abilities; empty where it knows nothing."""
    profile = getattr(innermost(model), "profile", None)
    return profile if isinstance(profile, Mapping) else {}


def window_of(model: Any) -> int | None:
    """Give the longest prompt that it takes, in tokens; None where that is not known."""
    found = profile_of(model).get("max_input_tokens")
    return found if isinstance(found, int) and found > 0 else None
