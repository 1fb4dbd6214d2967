"""How many model calls one request takes: the first thing that tells an agent's bill from a chat's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from typing import TypeVar

from langchain_agentcost.finops.selection import Selection
from langchain_agentcost.ledger.base import Total

N = TypeVar("N", int, float)


@dataclass(frozen=True, slots=True)
class Requests:
    """Model calls per workflow run.

    Args:
        runs: How many workflow runs called a model.
        calls_p50: The model calls of the median run; None without runs.
        calls_p90: The model calls of the run at the 90th percentile.
    """

    runs: int = 0
    calls_p50: int | None = None
    calls_p90: int | None = None

    @classmethod
    def of(cls, calls: Sequence[int]) -> Requests:
        """Make it from the number of calls of each run.

        Example:
            >>> Requests.of([1, 2, 9])
            Requests(runs=3, calls_p50=2, calls_p90=9)
        """
        return cls(len(calls), percentile(calls, 50), percentile(calls, 90))

    def __str__(self) -> str:
        """Write it for people."""
        if not self.runs:
            return "no workflow run called a model"
        return f"p50 {self.calls_p50:,}, p90 {self.calls_p90:,} model calls per workflow run ({self.runs:,} runs)"


COUNTED_UP_TO = 20_000
"""Calls of a plain report beyond which runs are not told apart: that reads every entry, and its sums do not."""


def requests_of(selection: Selection, total: Total) -> Requests | None:
    """Count the model calls of each workflow run of a selection.

    Args:
        selection: The selection.
        total: Its total.

    Returns:
        The counts; None for more than `COUNTED_UP_TO` calls.
    """
    if total.calls > COUNTED_UP_TO:
        return None
    totals = selection.totals(("run",))
    return Requests.of([total.llm_calls for total in totals if total.key[0] is not None and total.llm_calls])


def percentile(values: Sequence[N], percent: int) -> N | None:
    """Give a percentile by nearest rank: always one of the values.

    Args:
        values: The values, in any order.
        percent: From 1 to 100.

    Returns:
        The smallest value that at least `percent` percent of them do not exceed; None without values.

    Example:
        >>> percentile([4, 1, 3, 2], 50), percentile([], 50)
        (2, None)
    """
    return sorted(values)[ceil(len(values) * percent / 100) - 1] if values else None
