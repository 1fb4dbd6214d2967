"""Caches that know what a wrong hit costs: answers of models, results of tools, and whole subgraphs.

`SemanticCache` answers model calls, through a `CachedRunnable` or a `ModelCacheMiddleware`; `AgentCostLLMCache` is for
`set_llm_cache`. `cached_tool` and `ToolCache` keep what tools give, until a write ends it. `cached_subgraph` keeps what
a subgraph gave, and `ScopedCache` makes LangGraph's own node caches safe to share.

Names are imported when they are first used: a tool cache needs no embeddings.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from langchain_agentcost.lazy import lazy

if TYPE_CHECKING:
    from langchain_agentcost.caching.cached_runnable import CachedRunnable
    from langchain_agentcost.caching.embedders import default_embeddings
    from langchain_agentcost.caching.equivalence import ModelJudge
    from langchain_agentcost.caching.error_budget import ErrorBudget
    from langchain_agentcost.caching.llm_cache import AgentCostLLMCache
    from langchain_agentcost.caching.matching.fitting import LabelledPair, fit_verifier
    from langchain_agentcost.caching.matching.verifier import Verifier
    from langchain_agentcost.caching.model_middleware import ModelCacheMiddleware
    from langchain_agentcost.caching.node_cache import ScopedCache
    from langchain_agentcost.caching.node_key import scoped_key
    from langchain_agentcost.caching.semantic import SemanticCache
    from langchain_agentcost.caching.stores import open_cache_store
    from langchain_agentcost.caching.subgraph import cached_subgraph
    from langchain_agentcost.caching.tool_cache import ToolCache
    from langchain_agentcost.caching.tool_middleware import ToolCacheMiddleware
    from langchain_agentcost.caching.tools import ToolCachePolicy
    from langchain_agentcost.caching.wrapped_tool import cached_tool

__all__ = [
    "AgentCostLLMCache",
    "CachedRunnable",
    "ErrorBudget",
    "LabelledPair",
    "ModelCacheMiddleware",
    "ModelJudge",
    "ScopedCache",
    "SemanticCache",
    "ToolCache",
    "ToolCacheMiddleware",
    "ToolCachePolicy",
    "Verifier",
    "cached_subgraph",
    "cached_tool",
    "default_embeddings",
    "fit_verifier",
    "open_cache_store",
    "scoped_key",
]

_HOMES = {
    "AgentCostLLMCache": "llm_cache",
    "CachedRunnable": "cached_runnable",
    "ErrorBudget": "error_budget",
    "LabelledPair": "matching.fitting",
    "ModelCacheMiddleware": "model_middleware",
    "ModelJudge": "equivalence",
    "ScopedCache": "node_cache",
    "SemanticCache": "semantic",
    "ToolCache": "tool_cache",
    "ToolCacheMiddleware": "tool_middleware",
    "ToolCachePolicy": "tools",
    "Verifier": "matching.verifier",
    "cached_subgraph": "subgraph",
    "cached_tool": "wrapped_tool",
    "default_embeddings": "embedders",
    "fit_verifier": "matching.fitting",
    "open_cache_store": "stores",
    "scoped_key": "node_key",
}
"""In which module a name is."""


__getattr__, __dir__ = lazy(__name__, _HOMES)
