"""How much dearer an agent's run is than one model call that would answer the same request."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from langchain_agentcost.finops.amounts import written_count, written_multiple, written_usd
from langchain_agentcost.finops.pieces import NOT_ANALYSED, WHOLE_CALLS, Piece
from langchain_agentcost.finops.requests import Requests, percentile
from langchain_agentcost.ledger.entry import Entry
from langchain_agentcost.pricing.cost import Cost

DEFINITION = "one call with the new input of the run's first model call and the output of its last, as billed"


class Multiple(NamedTuple):
    """A run's cost as a multiple of its single-turn baseline, over the runs where both are known.

    Args:
        runs: How many runs those are.
        p50: The median run's multiple; None without runs.
        p90: The 90th percentile.
        overall: The cost of all these runs over all their baselines.
        left_out: Runs with model calls for which it is not known: an unpriced call, or no answer of the agent's own.
        baseline: What the baseline is, in words.
    """

    runs: int = 0
    p50: float | None = None
    p90: float | None = None
    overall: float | None = None
    left_out: int = 0
    baseline: str = DEFINITION

    def __str__(self) -> str:
        """Write it for people."""
        left_out = f"; {written_count(self.left_out)} runs left out, cost or answer unknown" if self.left_out else ""
        if self.p50 is None or self.p90 is None or self.overall is None:
            return f"not known (baseline: {self.baseline}){left_out}"
        figures = ", ".join(
            f"{name} {written_multiple(value)}"
            for name, value in (("p50", self.p50), ("p90", self.p90), ("overall", self.overall))
        )
        return f"{figures} (baseline: {self.baseline}){left_out}"


@dataclass(slots=True)
class _Run:
    calls: int = 0
    nano: int = 0
    unknown: bool = False
    first_input_nano: int | None = None
    last_output_nano: int = 0


class Runs:
    """Follows workflow runs through a ledger: a few numbers a run are kept, never its entries.

    Args:
        baseline_nano: What one model call that answers a request costs, in nano-USD; None takes it from each run.
    """

    def __init__(self, baseline_nano: int | None = None) -> None:
        self._baseline_nano = baseline_nano
        self._runs: dict[str, _Run] = {}

    def add(self, entry: Entry, cost: Cost | None, pieces: Sequence[Piece], *, unpriced: bool = False) -> None:
        """Take the next entry, in the order of `at`, with what it cost and what that went into."""
        if entry.attribution.run is None:
            return
        run = self._runs.setdefault(entry.attribution.run, _Run())
        run.calls += entry.kind == "llm"
        run.nano += cost.total_nano if cost else 0
        run.unknown |= unpriced
        if entry.kind == "llm" and pieces[0].driver not in WHOLE_CALLS:
            run.last_output_nano = _sum(pieces, "output")
            if run.first_input_nano is None:
                run.first_input_nano = _sum(pieces, "new context", NOT_ANALYSED)

    def requests(self) -> Requests:
        """Give the model calls per run."""
        return Requests.of([run.calls for run in self._runs.values() if run.calls])

    def multiple(self) -> Multiple:
        """Give the multiple over the baseline."""
        called = [run for run in self._runs.values() if run.calls]
        known = [(run.nano, base) for run in called if (base := self._baseline(run)) and not run.unknown]
        multiples = [nano / base for nano, base in known]
        stated = (
            DEFINITION if self._baseline_nano is None else f"{written_usd(self._baseline_nano)} a request, as stated"
        )
        return Multiple(
            runs=len(known),
            p50=percentile(multiples, 50),
            p90=percentile(multiples, 90),
            overall=sum(nano for nano, _ in known) / sum(base for _, base in known) if known else None,
            left_out=len(called) - len(known),
            baseline=stated,
        )

    def _baseline(self, run: _Run) -> int:
        if self._baseline_nano is not None:
            return self._baseline_nano
        return 0 if run.first_input_nano is None else run.first_input_nano + run.last_output_nano


def _sum(pieces: Sequence[Piece], *drivers: str) -> int:
    return sum(piece.nano[0] for piece in pieces if piece.driver in drivers)
