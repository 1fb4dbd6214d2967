"""Caps for answers, fitted on earlier runs: how many answers they would have cut, and what that would have cost."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from math import ceil
from typing import ClassVar

from langchain_agentcost.context.output.bound import upper_bound
from langchain_agentcost.quality import QualityFloor
from langchain_agentcost.replay.cache import Chain
from langchain_agentcost.replay.episode import Call
from langchain_agentcost.replay.request import Overhead, Request
from langchain_agentcost.replay.strategy import Fidelity, Scene, Session

CONFIDENCE = 0.95

TASKS_KEPT = 10_000
"""Of so many tasks of a source it is remembered which answers were theirs; the oldest is forgotten first."""


@dataclass(frozen=True, slots=True)
class MaxOutput:
    """Cap answers at what earlier runs of other tasks of the same source fit, as `fit_max_tokens` does.

    A run's caps rest on the runs before it alone, those of its own task left out. An answer that would have been cut is
    counted as harm: `cut_answers`. It is taken to be asked for again without the cap, so that the first try is the
    strategy's own cost: an answer up to the cap, on a prompt that the provider's cache has by then.

    The recorded answers are played at their recorded length, so the bill never falls. With `retry=no` a cut answer
    stays cut, and later fits do not see its length; what would be saved is in the counts alone, `cut_tokens` and
    `cut_nano_usd`, and is no saving at equal quality. What a cap is for is in no bill at all: budgets reserve
    `cap_tokens` / `capped_calls` for an answer in place of the longest that the model can write.

    Args:
        quantile: The share of answers that the bound keeps whole, at 95 % confidence; it decides how many calls it
            takes before there is a cap.
        headroom: What the bound is multiplied by.
        retry: Whether a cut answer is asked for again.
    """

    name: ClassVar[str] = "max_output"
    fidelity: ClassVar[Fidelity] = Fidelity.OPEN_LOOP
    needs_text: ClassVar[bool] = False

    quantile: float = 0.99
    headroom: float = 2.0
    retry: bool = True

    def __post_init__(self) -> None:
        if not 0 < self.quantile < 1:
            raise ValueError(f"quantile is a share above 0 and below 1, not {self.quantile}.")
        if self.headroom < 1:
            raise ValueError(f"headroom is at least 1, not {self.headroom}: a lower one cuts answers that were whole.")

    def begin(self, scene: Scene) -> Session:
        """Open a run."""
        return _Capping(scene, self)


@dataclass(slots=True)
class _Seen:
    """The answers of a model: how many had which length in all runs, and in those of each task; the cut ones apart."""

    lengths: Counter[int]
    by_task: dict[str, Counter[int]]

    def of_others(self, task: str) -> tuple[Counter[int], int]:
        """The lengths in runs of other tasks, and how many answers were cut."""
        others = self.lengths - self.by_task.get(task, Counter())
        return others, others.pop(_CUT, 0)

    def add(self, task: str, length: int) -> None:
        if task not in self.by_task and len(self.by_task) >= TASKS_KEPT:
            del self.by_task[next(iter(self.by_task))]
        self.lengths[length] += 1
        self.by_task.setdefault(task, Counter())[length] += 1


_CUT = -1
"""In place of a length: the answer was cut."""


class _Capping(Session):
    def __init__(self, scene: Scene, plan: MaxOutput) -> None:
        super().__init__(scene)
        self._plan = plan
        self._floor = QualityFloor("answers whole", min=plan.quantile, confidence=CONFIDENCE)
        self._chain = Chain(scene.sizes)
        self._seen: dict[str | None, _Seen] = scene.memory.setdefault("answers", {})
        self._caps: dict[str | None, int | None] = {}
        """What the run's models are capped at: fitted when the run begins with them, and kept."""

    def before(self, call: Call, request: Request) -> Request:
        model = request.model or call.recorded.model or self.scene.episode.model
        seen = self._seen.setdefault(model, _Seen(Counter(), {}))
        if model not in self._caps:
            self._caps[model] = self._fitted(seen)
        cap, length = self._caps[model], self.scene.sizes.answer_tokens(call)
        self._chain.follow(request)
        if cap is not None:
            self.tally["capped_calls"] += 1
            self.tally["cap_tokens"] += cap
            if length > cap:
                self._cut(call, length, cap)
                length = length if self._plan.retry else _CUT
        seen.add(self.scene.episode.task, length)
        return request

    def _fitted(self, seen: _Seen) -> int | None:
        lengths, cut = seen.of_others(self.scene.episode.task)
        bound = upper_bound(lengths, self._floor, cut=cut)
        return None if bound is None else ceil(bound * self._plan.headroom)

    def _cut(self, call: Call, length: int, cap: int) -> None:
        self.tally["cut_answers"] += 1
        self.tally["cut_tokens"] += length - cap
        self.tally["cut_nano_usd"] += round((length - cap) * self.scene.tariff.rate("output"))
        if self._plan.retry:
            prompt = round(self._chain.tokens * self.scene.sizes.scale(call))
            self.overhead.append(Overhead(prompt, cap, read_tokens=prompt))
