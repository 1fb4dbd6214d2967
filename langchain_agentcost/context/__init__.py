"""Context that costs less: what an agent sends again at each call, cut only where that pays under the prompt cache.

State is append-only; a pure function projects it for each call; the projection changes only at planned, logged
boundaries; every change is priced before and checked after.

`ContextMiddleware` and `ContextNode` run the `EvictionPlanner` in an agent and in a graph, `Selection` keeps what is
relevant, `SummarizationNode` writes anchored summaries, `WorkingMemory` is said at the prompt's end, `References` keep
large tool results elsewhere, `PromptCompressor` and `lossless` shorten texts, `cache_safe_layout` keeps the prefix
stable, and `OutputControls` with `fit_max_tokens` hold answers.

Names are imported when they are first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from langchain_agentcost.lazy import lazy

if TYPE_CHECKING:
    from langchain_agentcost.context.audit import Audit
    from langchain_agentcost.context.blocks import Block, pin, validate
    from langchain_agentcost.context.compress.documents import AgentCostDocumentCompressor
    from langchain_agentcost.context.compress.lossless import lossless
    from langchain_agentcost.context.compress.prompt_compressor import PromptCompressor
    from langchain_agentcost.context.context_middleware import ContextMiddleware
    from langchain_agentcost.context.context_node import ContextNode
    from langchain_agentcost.context.decision import Decision, EvictionPolicy, Situation
    from langchain_agentcost.context.horizon import Horizons, StepBudget, StepHistory
    from langchain_agentcost.context.layout import lay_out
    from langchain_agentcost.context.layout_middleware import CacheSafeLayout, cache_safe_layout
    from langchain_agentcost.context.lint.schemas import lean_tools
    from langchain_agentcost.context.memory import WorkingMemory, with_memory
    from langchain_agentcost.context.memory_middleware import WorkingMemoryMiddleware
    from langchain_agentcost.context.memory_toolset import memory_tools
    from langchain_agentcost.context.noninferiority import noninferior
    from langchain_agentcost.context.output.agent import OutputControlsMiddleware
    from langchain_agentcost.context.output.controls import CONCISE, OutputControls
    from langchain_agentcost.context.output.fit import fit_max_tokens
    from langchain_agentcost.context.output.model import model_with_controls
    from langchain_agentcost.context.output.reserve import reserves
    from langchain_agentcost.context.plan import Action, Plan, project
    from langchain_agentcost.context.planner import EvictionPlanner
    from langchain_agentcost.context.projector import ContextProjector
    from langchain_agentcost.context.ranking import Bm25, Hybrid
    from langchain_agentcost.context.references.middleware import ReferenceMiddleware
    from langchain_agentcost.context.references.policy import ReferencePolicy
    from langchain_agentcost.context.references.read_ref import read_ref_tool
    from langchain_agentcost.context.references.references import References
    from langchain_agentcost.context.selection import Selection
    from langchain_agentcost.context.summarization import SummarizationNode
    from langchain_agentcost.context.summarizer import Summarizer, anchored_summarizer
    from langchain_agentcost.context.summary import Summary
    from langchain_agentcost.context.summary_writers import FreshWriter, RidingWriter
    from langchain_agentcost.context.worth import CacheRates

__all__ = [
    "CONCISE",
    "Action",
    "AgentCostDocumentCompressor",
    "Audit",
    "Block",
    "Bm25",
    "CacheRates",
    "CacheSafeLayout",
    "ContextMiddleware",
    "ContextNode",
    "ContextProjector",
    "Decision",
    "EvictionPlanner",
    "EvictionPolicy",
    "FreshWriter",
    "Horizons",
    "Hybrid",
    "OutputControls",
    "OutputControlsMiddleware",
    "Plan",
    "PromptCompressor",
    "ReferenceMiddleware",
    "ReferencePolicy",
    "References",
    "RidingWriter",
    "Selection",
    "Situation",
    "StepBudget",
    "StepHistory",
    "SummarizationNode",
    "Summarizer",
    "Summary",
    "WorkingMemory",
    "WorkingMemoryMiddleware",
    "anchored_summarizer",
    "cache_safe_layout",
    "fit_max_tokens",
    "lay_out",
    "lean_tools",
    "lossless",
    "memory_tools",
    "model_with_controls",
    "noninferior",
    "pin",
    "project",
    "read_ref_tool",
    "reserves",
    "validate",
    "with_memory",
]

_HOMES = {
    "Action": "plan",
    "AgentCostDocumentCompressor": "compress.documents",
    "Audit": "audit",
    "Block": "blocks",
    "Bm25": "ranking",
    "CONCISE": "output.controls",
    "CacheRates": "worth",
    "CacheSafeLayout": "layout_middleware",
    "ContextMiddleware": "context_middleware",
    "ContextNode": "context_node",
    "ContextProjector": "projector",
    "Decision": "decision",
    "EvictionPlanner": "planner",
    "EvictionPolicy": "decision",
    "FreshWriter": "summary_writers",
    "Horizons": "horizon",
    "Hybrid": "ranking",
    "OutputControls": "output.controls",
    "OutputControlsMiddleware": "output.agent",
    "Plan": "plan",
    "PromptCompressor": "compress.prompt_compressor",
    "ReferenceMiddleware": "references.middleware",
    "ReferencePolicy": "references.policy",
    "References": "references.references",
    "RidingWriter": "summary_writers",
    "Selection": "selection",
    "Situation": "decision",
    "StepBudget": "horizon",
    "StepHistory": "horizon",
    "SummarizationNode": "summarization",
    "Summarizer": "summarizer",
    "Summary": "summary",
    "WorkingMemory": "memory",
    "WorkingMemoryMiddleware": "memory_middleware",
    "anchored_summarizer": "summarizer",
    "cache_safe_layout": "layout_middleware",
    "fit_max_tokens": "output.fit",
    "lay_out": "layout",
    "lean_tools": "lint.schemas",
    "lossless": "compress.lossless",
    "memory_tools": "memory_toolset",
    "model_with_controls": "output.model",
    "noninferior": "noninferiority",
    "pin": "blocks",
    "project": "plan",
    "read_ref_tool": "references.read_ref",
    "reserves": "output.reserve",
    "validate": "blocks",
    "with_memory": "memory",
}
"""In which module a name is."""


__getattr__, __dir__ = lazy(__name__, _HOMES)
