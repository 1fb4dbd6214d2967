"""How a check asks a model: metered as overhead, and never streamed to whoever watches the graph."""

from __future__ import annotations

from typing import Any

from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.config import merge_configs
from langgraph.constants import TAG_NOSTREAM

from langchain_agentcost.errors import RoutingError
from langchain_agentcost.routed import EVALUATION_PURPOSE, ROLE
from langchain_agentcost.routing.tier import Tier

PURPOSE = "verification"
"""What the calls are booked under, unless they are made to evaluate the check itself."""

_PURPOSE = "agentcost_purpose"


def model_of(given: Any) -> Any:
    """Give the chat model of a tier, a name for `init_chat_model`, or a model.

    Raises:
        RoutingError: If it is none of these.
        MissingExtra: If it is a name and langchain is not installed.
    """
    return given.model if isinstance(given, Tier) else Tier("verifier", given).model


def tier_of(tiers: Any, wanted: str) -> Tier:
    """Give the tier of a name, else the first of a level.

    Raises:
        RoutingError: If there is none.
    """
    named = [tier for tier in tiers if tier.name == wanted] or [tier for tier in tiers if tier.level == wanted]
    if not named:
        raise RoutingError(f"No tier is named {wanted!r}, and none has that level: {', '.join(t.name for t in tiers)}.")
    found: Tier = named[0]
    return found


def asking(config: RunnableConfig, name: str) -> RunnableConfig:
    """Give the config of a check's own calls.

    Args:
        config: The config of the call that is checked.
        name: The name of the run.
    """
    comparing = (config.get("metadata") or {}).get(_PURPOSE) == EVALUATION_PURPOSE
    metadata = {ROLE: "judge", _PURPOSE: EVALUATION_PURPOSE if comparing else PURPOSE}
    own: RunnableConfig = {"metadata": metadata, "tags": [TAG_NOSTREAM]}
    made = merge_configs(config, own)
    made.pop("run_id", None)  # it is the answer's
    made["run_name"] = name
    return made
