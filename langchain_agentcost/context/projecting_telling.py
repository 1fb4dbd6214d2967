"""How a projector speaks up: what changes a prompt is logged and told."""

from __future__ import annotations

import logging

from langchain_core.callbacks import dispatch_custom_event
from langchain_core.callbacks.manager import adispatch_custom_event
from langchain_core.runnables import RunnableConfig

from langchain_agentcost.context.decision import Decision

CONTEXT_CHANGED = "agentcost.context"
"""The name of the custom event; its data is `Decision.as_dict()`."""

logger = logging.getLogger(__name__)


def tell(decision: Decision, config: RunnableConfig | None = None) -> None:
    """Log a decision and tell whoever listens to the run; outside any run there is nobody to tell."""
    _log(decision)
    try:
        dispatch_custom_event(CONTEXT_CHANGED, decision.as_dict(), config=config)
    except RuntimeError:
        return


async def atell(decision: Decision, config: RunnableConfig | None = None) -> None:
    """Log a decision and tell whoever listens to the run, from async code; see `tell`."""
    _log(decision)
    try:
        await adispatch_custom_event(CONTEXT_CHANGED, decision.as_dict(), config=config)
    except RuntimeError:
        return


def _log(decision: Decision) -> None:
    told = decision.as_dict()
    logger.info(
        "%s at call %d (epoch %d): %s; %d tokens less, %d to write again, expected to save $%.6f in %.1f calls.",
        told["action"], told["step"], told["epoch"], told["why"], told["evicted_tokens"], told["rewritten_tokens"],
        told["predicted_nano"] / 1e9, told["remaining"],
    )  # fmt: skip
