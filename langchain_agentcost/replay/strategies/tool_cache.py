"""The package's own tool cache, on recorded tool calls: what it would have served, and whether that was still so."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar
from uuid import uuid4

from langchain_core.messages import ToolMessage
from langchain_core.messages.tool import ToolCall
from langchain_core.runnables import RunnableConfig

from langchain_agentcost.caching.scope import Caller
from langchain_agentcost.caching.stores import MemoryStore
from langchain_agentcost.caching.tool_cache import ToolCache as RealToolCache
from langchain_agentcost.caching.tool_inputs import AskedTool
from langchain_agentcost.caching.tool_steps import Reading
from langchain_agentcost.caching.tools import ToolCachePolicy
from langchain_agentcost.replay.episode import Call
from langchain_agentcost.replay.steps import SHELLS, reads, result_key
from langchain_agentcost.replay.strategy import Fidelity, Paid, Scene, Session

MAX_RESULTS = 100_000
"""How many results of a source are kept; the least recently used is forgotten first."""

MAX_BYTES = 200_000_000
"""How much they may take."""


@dataclass(frozen=True, slots=True)
class ToolCache:
    """Serve reads that were made before from a cache. It saves tools, and not one token of a model: the result is sent.

    The recorded calls go through the real `caching.tool_cache.ToolCache`. A tool whose name says that it reads gets the
    policy of a read. Every other one is a write of which nobody knows what it changed, and so is a shell, whatever its
    command says: files change under it. Errors are never kept.

    A hit whose result is not the recorded one is stale, and counted as harm, unless the recorded one is an error that
    the hit would have spared. Within a run any repetition may hit; of other runs only those of other tasks, since the
    same task again is no traffic.

    Args:
        state: Whose state a result belongs to: "run" for the run's own, "shared" where all runs of a source begin in
            the same world.
        invalidate: Whether a write ends what the run may read from the cache, and keep there.
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


_WRITE = ToolCachePolicy("write", scope="run")
"""A recorded run writes into a world of its own: every run of a benchmark begins in a fresh one."""

_READS = {"run": ToolCachePolicy("read", scope="run"), "shared": ToolCachePolicy("read", scope="global")}

_NOBODY_LISTENS: RunnableConfig = {"callbacks": []}

_FILLED_BY = "agentcost_replay"
"""Under which key of a kept result it is said which run and task it is from."""


class _Serving(Session):
    def __init__(self, scene: Scene, plan: ToolCache) -> None:
        super().__init__(scene)
        self._invalidate = plan.invalidate
        self._read = _READS[plan.state]
        self._cache: RealToolCache = scene.memory.get("tool_cache") or _new_cache()
        if plan.state == "shared":
            scene.memory["tool_cache"] = self._cache
        self._caller = Caller(run=str(uuid4()))  # the same episode again is another run

    def after(self, call: Call, paid: Paid) -> None:
        given = {result.tool_call_id: result for result in call.results}
        for asked in call.answer.tool_calls:
            self._see(asked, given.get(asked["id"] or ""))

    def _see(self, asked: ToolCall, result: ToolMessage | None) -> None:
        """See a tool call; a write counts as one even where nobody knows what it gave."""
        self.tally["tool_calls"] += 1
        if asked["name"].lower() in SHELLS or not reads(asked):
            if self._invalidate:
                self._cache.call(self._asked(asked), lambda: result, policy=_WRITE)
            return
        self.tally["tool_reads"] += 1
        step = self._cache.begin(self._asked(asked), self._read) if result is not None else None
        if isinstance(step, Reading) and result is not None:
            self._look_up(step, result)

    def _look_up(self, step: Reading, result: ToolMessage) -> None:
        episode, kept = self.scene.episode, step.look_up()
        run, task = kept.result.value.additional_kwargs[_FILLED_BY] if kept is not None else (None, None)
        if kept is not None and (run == self._caller.run or task != episode.task):
            self.tally["tool_hits"] += 1
            stale = result_key(kept.result.value.content) != result_key(result.content)
            self.tally["spared_errors" if result.status == "error" else "stale_hits"] += stale
        else:
            step.keep(result.model_copy(update={"additional_kwargs": {_FILLED_BY: [self._caller.run, episode.task]}}))

    def _asked(self, asked: ToolCall) -> AskedTool:
        return AskedTool(
            name=asked["name"],
            args=asked["args"],
            call_id=asked["id"] or "",
            caller=self._caller,
            config=_NOBODY_LISTENS,
        )


def _new_cache() -> RealToolCache:
    return RealToolCache(store=MemoryStore(max_entries=MAX_RESULTS, max_bytes=MAX_BYTES))
