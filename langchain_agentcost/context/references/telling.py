"""How references speak up where a tool is switched off."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

from langchain_core.callbacks import dispatch_custom_event
from langchain_core.callbacks.manager import adispatch_custom_event
from langchain_core.runnables import RunnableConfig

from langchain_agentcost.context.references.tally import ReferenceReport

REFERENCE_OFF = "agentcost.reference_off"
"""The name of the custom event: a tool's results are put aside no longer."""

logger = logging.getLogger(__name__)

Report = Callable[[], ReferenceReport]


def tell_off(tools: Sequence[str], report: Report, config: RunnableConfig | None) -> None:
    """Log that tools were switched off, and tell whoever listens to the run."""
    for event in _events(tools, report):
        try:
            dispatch_custom_event(REFERENCE_OFF, event, config=config)
        except RuntimeError:
            return  # outside any run there is nobody to tell


async def atell_off(tools: Sequence[str], report: Report, config: RunnableConfig | None) -> None:
    """Log that tools were switched off, and tell whoever listens to the run, from async code."""
    for event in _events(tools, report):
        try:
            await adispatch_custom_event(REFERENCE_OFF, event, config=config)
        except RuntimeError:
            return  # outside any run there is nobody to tell


def _events(tools: Sequence[str], report: Report) -> list[dict[str, Any]]:
    if not tools:
        return []
    told = report().as_dict()["tools"]
    for tool in tools:
        counts = told[tool]
        logger.warning(
            "Results of %r are put aside no longer: %d were, %d were read back, net %d tokens.",
            tool, counts["offloads"], counts["refetches"], counts["net_tokens"],
        )  # fmt: skip
    return [{"tool": tool, **told[tool]} for tool in tools]
