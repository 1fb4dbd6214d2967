"""How much stores keep, and what an entry counts for."""

from __future__ import annotations

from typing import Final

from langchain_agentcost.caching.store import Cached

MOST_AUDITS: Final = 10_000
"""How many audits of a series are kept: the newest."""

MOST_SERIES: Final = 1_000
"""How many series of audits are kept: those with the newest audits."""

_FRAME_BYTES = 1_000
"""What an entry takes beside its contents: objects, hashes and places in tables, as measured in memory."""


def weight(entry: Cached) -> int:
    """Estimate what an entry takes, in bytes: its vector is there whole, and rounded for searches.

    Example:
        >>> weight(Cached(partition="p", key="k", value=bytes(500), epoch=0, created_s=0))
        1500
    """
    text = len(entry.text.encode(errors="replace")) if entry.text else 0
    vector = len(entry.vector or b"") * 5 // 4
    return _FRAME_BYTES + len(entry.value) + text + vector + sum(64 + len(tag) for tag in entry.tags)
