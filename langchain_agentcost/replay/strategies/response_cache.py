"""An exact response cache: a prompt that was sent before, to the letter, is answered as it was then."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from langchain_agentcost.replay.cache import Chain
from langchain_agentcost.replay.episode import Call
from langchain_agentcost.replay.request import Decision, Request, Served
from langchain_agentcost.replay.steps import action_key
from langchain_agentcost.replay.strategy import Fidelity, Scene, Session

MAX_RESPONSES = 200_000
"""How many answers of a source are remembered; when there are more, the memory starts afresh."""


@dataclass(frozen=True, slots=True)
class ResponseCache:
    """Answer a prompt from a cache where another task of the same source sent exactly the same one, ids aside.

    The recorded run goes on as it was recorded. Where the cached answer would have done something else (another tool,
    other arguments), the hit is counted as harm: `wrong_action_hits`.
    """

    name: ClassVar[str] = "response_cache"
    fidelity: ClassVar[Fidelity] = Fidelity.EXACT
    needs_text: ClassVar[bool] = False

    def begin(self, scene: Scene) -> Session:
        """Open a run."""
        return _Answering(scene)


class _Asked(NamedTuple):
    model: str | None
    prompt: tuple[int, int]


class _Answered(NamedTuple):
    task: str
    action: str


class _Answering(Session):
    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self._chain = Chain(scene.sizes)
        self._answers: dict[_Asked, _Answered] = scene.memory.setdefault("answers", {})

    def before(self, call: Call, request: Request) -> Decision:
        self._chain.follow(request)
        key = _Asked(self.scene.episode.model, self._chain.key)
        stored = self._answers.get(key)
        if stored is None:
            if len(self._answers) >= MAX_RESPONSES:
                self._answers.clear()
            self._answers[key] = _Answered(self.scene.episode.task, action_key(call.answer))
            return request
        if stored.task == self.scene.episode.task:
            return request
        self.tally["response_hits"] += 1
        self.tally["wrong_action_hits"] += stored.action != action_key(call.answer)
        return Served()
