"""What advice looks for. Each kind of finding is a file here; a new one is one more, and its line below."""

from __future__ import annotations

from langchain_agentcost.replay.advice.detector import Comparison, Detector
from langchain_agentcost.replay.advice.findings.dominated_model import DominatedModel
from langchain_agentcost.replay.advice.findings.failed_runs import FailedRuns
from langchain_agentcost.replay.advice.findings.growth import ContextGrowth
from langchain_agentcost.replay.advice.findings.loops import Loops
from langchain_agentcost.replay.advice.findings.output import OutputMainCost
from langchain_agentcost.replay.advice.findings.prompt_cache import PromptCacheNotHit
from langchain_agentcost.replay.advice.findings.repeats import Repeats
from langchain_agentcost.replay.advice.findings.tool_results import ToolResults
from langchain_agentcost.replay.advice.findings.unused_tools import UnusedTools
from langchain_agentcost.replay.advice.findings.volatile_prefix import VolatilePrefix

DETECTORS: tuple[type[Detector], ...] = (
    PromptCacheNotHit,
    VolatilePrefix,
    Loops,
    FailedRuns,
    ToolResults,
    UnusedTools,
    OutputMainCost,
    ContextGrowth,
    Repeats,
)
"""What is looked for in each traffic by itself."""

COMPARISONS: tuple[type[Comparison], ...] = (DominatedModel,)
"""What is looked for in several together."""

KINDS: tuple[str, ...] = (*(kind.kind for kind in DETECTORS), *(kind.kind for kind in COMPARISONS))
"""The names of all kinds of findings."""
