"""A tool-result cache: a read that was made before is not made again, as long as nothing was written since."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from langchain_core.messages import ToolMessage
from langchain_core.messages.tool import ToolCall

from langchain_agentcost.replay.episode import Call
from langchain_agentcost.replay.steps import asked_by_id, call_key, reads, result_key
from langchain_agentcost.replay.strategy import Fidelity, Paid, Scene, Session

MAX_RESULTS = 100_000
"""How many results of a source are remembered; when there are more, the memory starts afresh."""


@dataclass(frozen=True, slots=True)
class ToolCache:
    """Serve reads that were made before from a cache. It saves tools, and not one token of a model: the result is sent.

    Errors are never stored. A hit whose stored result is not the recorded one is stale, and counted as harm. Within a
    run any repetition may hit; of other runs only those of other tasks, since the same task again is no traffic.

    Args:
        state: Whose state a result belongs to, as part of the key: "task" for tools whose world is the task's own,
            "shared" where all runs of a source see the same world, "run" for nothing beyond the run.
        invalidate: Whether a write ends what the run may read from the cache, and store there.
    """

    name: ClassVar[str] = "tool_cache"
    fidelity: ClassVar[Fidelity] = Fidelity.EXACT
    needs_text: ClassVar[bool] = True

    state: str = "run"
    invalidate: bool = True

    def __post_init__(self) -> None:
        if self.state not in ("task", "shared", "run"):
            raise ValueError(f"state is run, task or shared, not {self.state!r}.")

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
        episode = scene.episode
        self._invalidate = plan.invalidate
        self._state = {"shared": "", "task": f"task {episode.task}", "run": f"run {episode.id}"}[plan.state]
        self._written = False
        self._stored: dict[str, _Stored] = scene.memory.setdefault("results", {})

    def after(self, call: Call, paid: Paid) -> None:
        asked = asked_by_id(call)
        for result in call.results:
            made = asked.get(result.tool_call_id)
            if made is not None:
                self._see(made, result)

    def _see(self, made: ToolCall, result: ToolMessage) -> None:
        self.tally["tool_calls"] += 1
        if not reads(made):
            self._written = True
            return
        self.tally["tool_reads"] += 1
        if self._written and self._invalidate:
            return
        self._look_up(f"{self._state} {call_key(made)}", result)

    def _look_up(self, key: str, result: ToolMessage) -> None:
        episode, now = self.scene.episode, result_key(result.content)
        stored = self._stored.get(key)
        if stored is not None and (stored.run == episode.id or stored.task != episode.task):
            self.tally["tool_hits"] += 1
            self.tally["stale_hits"] += stored.result != now
        elif result.status != "error":
            if len(self._stored) >= MAX_RESULTS:
                self._stored.clear()
            self._stored.setdefault(key, _Stored(now, episode.task, episode.id))
