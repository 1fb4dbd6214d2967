"""How a hit is told to whoever listens: as a custom event of the run that it happened in."""

from __future__ import annotations

from uuid import uuid4

from langchain_core.callbacks import dispatch_custom_event
from langchain_core.callbacks.manager import adispatch_custom_event
from langchain_core.runnables import RunnableConfig

from langchain_agentcost.saving import CACHE_HIT, CacheHit


def new_hit_id() -> str:
    """Give an id for a hit."""
    return str(uuid4())


def tell(hit: CacheHit, config: RunnableConfig | None = None) -> bool:
    """Tell of a hit.

    Args:
        hit: What happened.
        config: The config of the run; None takes that of the run that this code is in.

    Returns:
        Whether there was anybody to tell: outside any run there are no callbacks, and LangChain refuses.
    """
    try:
        dispatch_custom_event(CACHE_HIT, hit.as_event(), config=config)
    except RuntimeError:
        return False
    return True


async def atell(hit: CacheHit, config: RunnableConfig | None = None) -> bool:
    """Tell of a hit from async code; see `tell`."""
    try:
        await adispatch_custom_event(CACHE_HIT, hit.as_event(), config=config)
    except RuntimeError:
        return False
    return True
