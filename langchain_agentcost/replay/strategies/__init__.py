"""The strategies that a replay knows, by name. Each is a file here; a new one is one more, and its line below."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from langchain_agentcost.errors import ReplayError
from langchain_agentcost.replay.strategies.compact import Compact
from langchain_agentcost.replay.strategies.composed import Composed, ComposedLossless
from langchain_agentcost.replay.strategies.context import ContextDefault, EvictContext
from langchain_agentcost.replay.strategies.limits import Breakers, Limits
from langchain_agentcost.replay.strategies.masking import MaskBatched, MaskSliding
from langchain_agentcost.replay.strategies.max_output import MaxOutput
from langchain_agentcost.replay.strategies.memory import Remember
from langchain_agentcost.replay.strategies.minify import Minify
from langchain_agentcost.replay.strategies.nothing import Nothing
from langchain_agentcost.replay.strategies.prompt_cache import PromptCache, VolatileHead
from langchain_agentcost.replay.strategies.reference import Reference
from langchain_agentcost.replay.strategies.response_cache import ResponseCache
from langchain_agentcost.replay.strategies.route import Route, RouteReads, RouteShort
from langchain_agentcost.replay.strategies.select import Select
from langchain_agentcost.replay.strategies.semantic_cache import SemanticCaching
from langchain_agentcost.replay.strategies.summarize import Summarize
from langchain_agentcost.replay.strategies.tool_cache import ToolCache
from langchain_agentcost.replay.strategies.tool_schemas import PruneTools, PruneToolsOracle
from langchain_agentcost.replay.strategies.truncate import Truncate
from langchain_agentcost.replay.strategy import Strategy, parse

_KINDS: tuple[type[Any], ...] = (
    Nothing,
    PromptCache,
    VolatileHead,
    ToolCache,
    ResponseCache,
    SemanticCaching,
    Breakers,
    Limits,
    MaskSliding,
    MaskBatched,
    Truncate,
    Reference,
    Summarize,
    Remember,
    Select,
    Compact,
    EvictContext,
    ContextDefault,
    ComposedLossless,
    Composed,
    MaxOutput,
    PruneTools,
    PruneToolsOracle,
    Minify,
    Route,
    RouteReads,
    RouteShort,
)

STRATEGIES: Mapping[str, type[Any]] = {kind.name: kind for kind in _KINDS}
"""The strategies by name."""

DEFAULT = (
    "prompt_cache",
    "volatile_head",
    "tool_cache",
    "response_cache",
    "breakers",
    "mask_sliding",
    "mask_batched",
    "truncate",
    "reference",
    "summarize",
    "prune_tools",
    "minify",
    "route_reads",
)
"""What is replayed where nothing is chosen."""


def strategies(text: str | Iterable[str]) -> tuple[Strategy, ...]:
    """Read strategies.

    Args:
        text: Their names with their numbers, separated by commas, or one by one; parts that are joined with + are one
            strategy.

    Returns:
        The strategies, each once.

    Raises:
        ReplayError: If one of them does not exist or a number cannot be.

    Example:
        >>> [strategy.name for strategy in strategies("truncate:tokens=500,mask_batched+minify")]
        ['truncate', 'mask_batched+minify']
    """
    wanted = text.split(",") if isinstance(text, str) else text
    names = dict.fromkeys(name.strip() for name in wanted if name.strip())
    if not names:
        raise ReplayError(f"No strategy is named: choose from {', '.join(STRATEGIES)}.")
    return tuple(parse(name, STRATEGIES) for name in names)
