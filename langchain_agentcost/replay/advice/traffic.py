"""Whose bill a finding is about: one model in one source of runs."""

from __future__ import annotations

from typing import NamedTuple

from langchain_agentcost.attribution import label


class Traffic(NamedTuple):
    """Runs that are alike: advice is about one of these, never about families that were added up.

    Args:
        family: The family of benchmarks.
        benchmark: The benchmark; of a ledger, the workflow.
        source: Where the runs come from; of a ledger, the workflow too.
        model: The model that answered; None where that is not known.

    Example:
        >>> str(Traffic("support", "support", "traces", "gpt-4.1"))
        'gpt-4.1 in traces (support)'
    """

    family: str
    benchmark: str
    source: str
    model: str | None

    def __str__(self) -> str:
        """Name it for people; what traces say is shown without control characters."""
        of = "" if self.benchmark == self.source else f" ({label(self.benchmark)})"
        return f"{label(self.model or 'a model without a name')} in {label(self.source)}{of}"
