"""The package's own semantic cache on recorded runs: equal prompts, and similar first questions once that is proven."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from langchain_agentcost.caching.ask import Ask
from langchain_agentcost.caching.error_budget import ErrorBudget
from langchain_agentcost.caching.semantic import SemanticCache
from langchain_agentcost.caching.turn import Caution, Turn
from langchain_agentcost.canonical import as_json
from langchain_agentcost.errors import CacheError
from langchain_agentcost.replay.episode import Call
from langchain_agentcost.replay.request import Decision, Request, Served
from langchain_agentcost.replay.steps import action_key
from langchain_agentcost.replay.strategy import Fidelity, Paid, Scene, Session

_TASK = "replayed_task"
"""Under which key of a stored answer's metadata its task is: the same task again is no traffic."""

_ALLOWED: tuple[Caution, ...] = ("timely",)
_ALLOWED_WITH_TOOLS: tuple[Caution, ...] = ("timely", "tool_calls")
"""A recorded world stands still, so that what is asked of the present has one answer."""


@dataclass(frozen=True, slots=True)
class SemanticCaching:
    """Answer calls with a `SemanticCache` that all runs of a source share.

    It begins in shadow mode, as in life: a similar question's answer is compared with the recorded one, and right if it
    does the same (the same tools with the same arguments, or the same words). Nothing similar is served before the
    budget is proven on this traffic. The run goes on as it was recorded; a served answer that does something else is
    counted as harm: `wrong_action_hits`.

    Args:
        max_wrong: The share of hits that may be wrong.
        tools: Whether similar questions whose answer calls tools may be served.
        similar: Whether similar questions are looked for at all.
    """

    name: ClassVar[str] = "semantic_cache"
    fidelity: ClassVar[Fidelity] = Fidelity.OPEN_LOOP
    needs_text: ClassVar[bool] = True

    max_wrong: float = 0.05
    tools: bool = False
    similar: bool = True

    def __post_init__(self) -> None:
        try:
            ErrorBudget(self.max_wrong)
        except CacheError as error:
            raise ValueError(str(error)) from error

    def begin(self, scene: Scene) -> Session:
        """Open a run."""
        cache = scene.memory.get("cache")
        if cache is None:
            cache = scene.memory["cache"] = SemanticCache(
                embeddings=None if self.similar else False,
                budget=ErrorBudget(self.max_wrong),
                scope="global",
                ttl_s=None,
                allow=_ALLOWED_WITH_TOOLS if self.tools else _ALLOWED,
            )
        return _Answering(scene, cache)


class _Answering(Session):
    def __init__(self, scene: Scene, cache: SemanticCache) -> None:
        super().__init__(scene)
        self._cache = cache
        self._open: Turn | None = None

    def before(self, call: Call, request: Request) -> Decision:
        fingerprint = as_json([self.scene.episode.model, self.scene.episode.tools])
        turn = self._cache.begin(Ask(messages=request.messages, fingerprint=fingerprint))
        self._open = None
        if turn.served is None:
            self._open = turn
            return request
        stored = turn.served.answer.message
        if stored.response_metadata.get(_TASK) == self.scene.episode.task:
            return request
        self.tally["response_hits"] += 1
        self.tally["similar_hits"] += turn.served.hit.similarity is not None
        self.tally["wrong_action_hits"] += action_key(stored) != action_key(call.answer)
        return Served()

    def after(self, call: Call, paid: Paid) -> None:
        turn, self._open = self._open, None
        if turn is None:
            return
        before = self._cache.counts
        message = call.answer.model_copy(update={"response_metadata": {_TASK: self.scene.episode.task}})
        self._cache.finish(turn, message)
        for name in ("audits", "wrong", "undecided"):
            self.tally[f"cache_{name}"] += self._cache.counts.get(name, 0) - before.get(name, 0)
