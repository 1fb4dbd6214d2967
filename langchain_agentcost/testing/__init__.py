"""Public test tools: chat models with any provider's usage or out of a trace, and a LangSmith on loopback.

`langchain_agentcost.testing.fixture` has a pytest fixture, `agentcost_meter`, to import into a conftest.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from langchain_agentcost.replay.model import ReplayChatModel
    from langchain_agentcost.testing.collector import LangSmithCollector
    from langchain_agentcost.testing.model import FakeMeteredChatModel
    from langchain_agentcost.testing.shapes import USAGE_SHAPES, FakeCounts

__all__ = ["USAGE_SHAPES", "FakeCounts", "FakeMeteredChatModel", "LangSmithCollector", "ReplayChatModel"]

_HOMES = {
    "FakeCounts": "testing.shapes",
    "FakeMeteredChatModel": "testing.model",
    "LangSmithCollector": "testing.collector",
    "ReplayChatModel": "replay.model",
    "USAGE_SHAPES": "testing.shapes",
}


def __getattr__(name: str) -> Any:
    """Import a tool when it is first asked for: the collector needs none of what the model needs."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"langchain_agentcost.{_HOMES[name]}"), name)
