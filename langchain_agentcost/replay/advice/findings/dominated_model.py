"""A model for which a cheaper one was recorded that did at least as well on the same tasks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import ClassVar, NamedTuple

from langchain_agentcost.attribution import label
from langchain_agentcost.finops.amounts import written_usd
from langchain_agentcost.quality import QualityFloor
from langchain_agentcost.replay.advice.finding import Finding, Kept, Manner, halved
from langchain_agentcost.replay.advice.saved import Saved
from langchain_agentcost.replay.advice.seen import AS_IT_WAS, SeenRun, Unit
from langchain_agentcost.replay.advice.thresholds import COMMON_TASKS
from langchain_agentcost.replay.advice.traffic import Traffic
from langchain_agentcost.replay.strategy import Fidelity

CODE = """
from langchain.agents import create_agent

agent = create_agent({model!r}, tools)  # was: {was!r}
"""


@dataclass(slots=True)
class _Runs:
    """The judged runs of one model on one task."""

    runs: int = 0
    successes: int = 0
    nano: int = 0


@dataclass(slots=True)
class _Tier:
    """The judged runs of one traffic: of one model in one source."""

    traffic: Traffic
    judged: int = 0
    paid: int = 0
    bill: int = 0
    tasks: dict[str, _Runs] = field(default_factory=dict)

    def good(self, tasks: Iterable[str]) -> float:
        """How many of these tasks it achieved; a task of several runs counts for the share of them that did."""
        return sum(self.tasks[task].successes / self.tasks[task].runs for task in tasks)


class _Pair(NamedTuple):
    """Two models' traffics on the tasks that both were given; each task counts once, with the mean of its runs."""

    dear: _Tier
    cheap: _Tier
    common: tuple[str, ...]
    dear_good: float
    cheap_good: float
    saved: Saved


class DominatedModel:
    """Models are compared by what they really took: their own calls and tokens, with prompt caching on for both.

    Each source's runs are compared by themselves, and the saving is a share of what the judged ones among them would
    cost with prompt caching on: what caching alone saves is another finding's. It is an upper bound, though what the
    other model achieved was recorded: another one answered, and it was picked by outcomes that only hindsight has. So
    the quality floor decides.

    Args:
        floor: The quality that a saving may not go below.
    """

    kind: ClassVar[str] = "dominated_model"
    title: ClassVar[str] = "A cheaper model did as well on the same tasks"
    manner: ClassVar[Manner] = Manner("one line", "that of the other model", "it may fail where nobody has tried it")

    def __init__(self, floor: QualityFloor) -> None:
        self.floor = floor
        self._tiers: dict[tuple[str, str], dict[Traffic, _Tier]] = {}
        self._pairs = 0

    def see(self, run: SeenRun) -> None:
        """Add a run that was judged and has a price."""
        if run.success is None or run.unit is not Unit.USD or run.traffic.model is None:
            return
        traffic = run.traffic
        tiers = self._tiers.setdefault((traffic.family, traffic.benchmark), {})
        tier = tiers.setdefault(traffic, _Tier(traffic))
        nano = run.billed(run.outcomes[AS_IT_WAS].on_nano)
        tier.judged, tier.paid, tier.bill = tier.judged + 1, tier.paid + run.amount, tier.bill + nano
        of = tier.tasks.setdefault(run.task, _Runs())
        of.runs, of.successes, of.nano = of.runs + 1, of.successes + run.success, of.nano + nano

    def unjudged(self) -> str | None:
        """Say that there are no two models to compare; asked for after `findings`."""
        return None if self._pairs else f"no two models with a price were judged on the same {COMMON_TASKS} tasks"

    def findings(self) -> Iterator[Finding]:
        """Give, for each traffic, the cheaper model that saves most and did as well as the floor asks for."""
        for tiers in self._tiers.values():
            for dear in tiers.values():
                pairs = [pair for cheap in tiers.values() if (pair := self._compared(dear, cheap)) is not None]
                if pairs:
                    yield self._finding(max(pairs, key=lambda pair: pair.saved.amount))

    def _compared(self, dear: _Tier, cheap: _Tier) -> _Pair | None:
        """Compare two traffics; None where they are of one model, or the second is not cheaper, or apparently worse."""
        common = tuple(sorted(dear.tasks.keys() & cheap.tasks.keys()))
        if cheap.traffic.model == dear.traffic.model or len(common) < COMMON_TASKS:
            return None
        self._pairs += 1
        saved = Saved()
        for task in common:
            before, after = dear.tasks[task], cheap.tasks[task]
            saved.add(task, before.nano // before.runs - after.nano // after.runs, before.nano // before.runs)
        pair = _Pair(dear, cheap, common, dear.good(common), cheap.good(common), saved)
        as_good = pair.cheap_good >= self.floor.min * pair.dear_good and pair.cheap_good > 0
        return pair if as_good and saved.saving_pct() > 0 else None

    def _finding(self, pair: _Pair) -> Finding:
        dear, cheap = pair.dear.traffic, pair.cheap.traffic
        n, good = len(pair.common), int(pair.cheap_good)
        kept = Kept(self.floor, good, n, share=retained(self.floor, good, pair.dear_good, n))
        facts: dict[str, object] = {
            "cheaper": label(cheap.model or ""),
            "cheaper_source": label(cheap.source),
            "common_tasks": n,
            "judged_runs": pair.dear.judged,
            "successes": pair.dear_good,
            "successes_cheaper": pair.cheap_good,
        }
        saving = pair.saved.saving(Unit.USD, Fidelity.PRICE_BOUND, of=pair.dear.bill)
        code = CODE.format(model=label(cheap.model or ""), was=label(dear.model or "")).strip()
        said = tuple(self._evidence(pair))
        return Finding(self.kind, self.title, dear, saving, said, facts, kept, self.manner, code)

    def _evidence(self, pair: _Pair) -> Iterable[str]:
        n, spent = len(pair.common), pair.saved.spent
        left = spent - pair.saved.amount
        yield (
            f"on the same {n:,} tasks {label(pair.cheap.traffic.model or '')} ({label(pair.cheap.traffic.source)}) "
            f"succeeded in {pair.cheap_good:.3g} at {written_usd(left // n)} each, this model in {pair.dear_good:.3g} "
            f"at {written_usd(spent // n)}: own calls and tokens of each, with prompt caching on for both"
        )
        dear = pair.dear
        yield (
            f"the saving is a share of {written_usd(dear.bill)}: what its {dear.judged:,} judged runs, billed "
            f"{written_usd(dear.paid)}, would cost with prompt caching on"
        )
        yield "the quality floor is asked of its success rate, as a share of this model's, both at their worse ends"


def retained(floor: QualityFloor, good: int, dear_good: float, trials: int) -> float:
    """Give the share of one model's success rate that another one surely has, whatever the number of tasks.

    Each of the two rates is taken at the worse end of its exact interval, at half of the allowed error each.

    Args:
        floor: The floor, with its confidence.
        good: Tasks on which the other one succeeded.
        dear_good: Tasks on which the one succeeded; a task of several runs counts for its mean.
        trials: Tasks.

    Example:
        >>> floor = QualityFloor("successes kept", min=0.95)
        >>> round(retained(floor, 20, 20, 20), 2), round(retained(floor, 500, 400, 500), 2)
        (0.83, 1.19)
    """
    strict = halved(floor)
    failed = trials - min(trials, int(dear_good) + (dear_good > int(dear_good)))
    most = 1 - strict.lower_bound(failed, trials)
    return strict.lower_bound(good, trials) / most if most else 1.0
