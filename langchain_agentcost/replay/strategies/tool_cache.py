"""A tool-result cache: a read that was made before is not made again, as long as nothing was written since."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from langchain_core.messages import ToolMessage
from langchain_core.messages.tool import ToolCall

from langchain_agentcost.replay.episode import Call
from langchain_agentcost.replay.steps import call_key, reads, result_key
from langchain_agentcost.replay.strategy import Fidelity, Paid, Scene, Session

MAX_RESULTS = 100_000
"""How many results of a source are remembered; when there are more, the memory starts afresh."""


@dataclass(frozen=True, slots=True)
class ToolCache:
    """Serve reads that were made before from a cache. It saves tools, and not one token of a model: the result is sent.

    Errors are never stored. A hit whose stored result is not the recorded one is stale, and counted as harm, unless the
    recorded one is an error that the hit would have spared. Within a run any repetition may hit; of other runs only
    those of other tasks, since the same task again is no traffic.

    Args:
        state: Whose state a result belongs to: "run" for the run's own, "shared" where all runs of a source see the
            same world.
        invalidate: Whether a write ends what the run may read from the cache, and store there.
    """

    name: ClassVar[str] = "tool_cache"
    fidelity: ClassVar[Fidelity] = Fidelity.EXACT
    needs_text: ClassVar[bool] = True

    state: str = "run"
    invalidate: bool = True

    def __post_init__(self) -> None:
        if self.state not in ("run", "shared"):
            raise ValueError(f"state is run or shared, not {self.state!r}.")

    def begin(self, scene: Scene) -> Session:
        """Open a run."""
        return _Serving(scene, self)


class _Stored(NamedTuple):
    result: str
    task: str
    run: str


class _Serving(Session):
    def __init__(self, scene: Scene, plan: ToolCache) -> None:
        super().__init__(scene)
        self._invalidate = plan.invalidate
        self._written = False
        self._stored: dict[str, _Stored] = scene.memory.setdefault("results", {}) if plan.state == "shared" else {}

    def after(self, call: Call, paid: Paid) -> None:
        given = {result.tool_call_id: result for result in call.results}
        for asked in call.answer.tool_calls:
            self._see(asked, given.get(asked["id"] or ""))

    def _see(self, asked: ToolCall, result: ToolMessage | None) -> None:
        """See a tool call; a write counts as one even where nobody knows what it gave."""
        self.tally["tool_calls"] += 1
        if not reads(asked):
            self._written = True
            return
        self.tally["tool_reads"] += 1
        if result is not None and not (self._written and self._invalidate):
            self._look_up(call_key(asked), result)

    def _look_up(self, key: str, result: ToolMessage) -> None:
        episode, now = self.scene.episode, result_key(result.content)
        stored = self._stored.get(key)
        if stored is not None and (stored.run == episode.id or stored.task != episode.task):
            self.tally["tool_hits"] += 1
            self.tally["spared_errors" if result.status == "error" else "stale_hits"] += stored.result != now
        elif result.status != "error":
            if len(self._stored) >= MAX_RESULTS:
                self._stored.clear()
            self._stored[key] = _Stored(now, episode.task, episode.id)
