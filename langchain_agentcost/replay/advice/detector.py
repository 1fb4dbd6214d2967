"""What finds something: it sees every run once, keeps sums, and says at the end what it found."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import ClassVar, NamedTuple, Protocol

from langchain_agentcost.quality import QualityFloor
from langchain_agentcost.replay.advice.bills import Bill
from langchain_agentcost.replay.advice.finding import Finding, Kept, Manner
from langchain_agentcost.replay.advice.saved import Saving, WhatIf
from langchain_agentcost.replay.advice.seen import SeenRun
from langchain_agentcost.replay.strategy import Strategy


class Unjudged(NamedTuple):
    """What could not be looked at.

    Args:
        kind: The kind of finding that was looked for.
        why: What is missing.
        runs: In how many runs.
    """

    kind: str
    why: str
    runs: int


class Detector(ABC):
    """Looks for one kind of finding in one traffic. It keeps sums by task, and no run.

    Args:
        bill: The bill of the traffic, complete when `finding` is asked for.
        floor: The quality that a saving may not go below.

    Attributes:
        kind: The name of the finding.
        needs: The strategies that runs have to be replayed under for it.
    """

    kind: ClassVar[str]
    title: ClassVar[str]
    manner: ClassVar[Manner]
    needs: ClassVar[tuple[Strategy, ...]] = ()

    def __init__(self, bill: Bill, floor: QualityFloor) -> None:
        self.bill = bill
        self.floor = floor

    @abstractmethod
    def see(self, run: SeenRun) -> None:
        """See a run of the traffic."""

    @abstractmethod
    def finding(self) -> Finding | None:
        """Say what was found; None where it is as it should be, or not known."""

    @abstractmethod
    def unjudged(self) -> str | None:
        """Say why the runs do not tell whether there is something to find; None where they do."""

    def found(
        self, saving: Saving, evidence: Iterable[str], facts: dict[str, object], *, code: str, kept: Kept | None = None
    ) -> Finding:
        """Make the finding.

        Args:
            saving: What acting on it saves.
            evidence: What it rests on.
            facts: The same for programs.
            code: The lines that realise it.
            kept: The evidence for the quality floor; None where quality is not touched.
        """
        said = tuple(evidence)
        return Finding(self.kind, self.title, self.bill.traffic, saving, said, facts, kept, self.manner, code.strip())

    def kept(self, what_if: WhatIf) -> Kept:
        """Give the successes that a strategy left alone, against the floor."""
        return Kept(self.floor, what_if.successes - what_if.touched, what_if.successes)


class Comparison(Protocol):
    """Looks for findings in several traffics together; it is made with the quality floor.

    Attributes:
        kind: The name of the finding.
    """

    kind: ClassVar[str]

    def __init__(self, floor: QualityFloor) -> None: ...

    def see(self, run: SeenRun) -> None:
        """See a run."""
        ...

    def findings(self) -> Iterable[Finding]:
        """Say what was found."""
        ...

    def unjudged(self) -> str | None:
        """Say, after `findings`, why the runs do not tell; None where they do."""
        ...
