"""The provider's prompt cache, and what a changing item at the front of the prompt does to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from langchain_core.messages import SystemMessage

from langchain_agentcost.replay.episode import Call
from langchain_agentcost.replay.request import Request
from langchain_agentcost.replay.sizes import Toolset
from langchain_agentcost.replay.strategy import Fidelity, Scene, Session


@dataclass(frozen=True, slots=True)
class PromptCache:
    """Let the provider cache the prompt: the same requests, marked where the provider wants marks.

    Its dollars are with prompt caching in both columns: against a bill without caching they are what caching saves,
    against one with caching they are 0.
    """

    name: ClassVar[str] = "prompt_cache"
    fidelity: ClassVar[Fidelity] = Fidelity.EXACT
    needs_text: ClassVar[bool] = False

    def begin(self, scene: Scene) -> Session:
        """Open a run."""
        return Session(scene)


@dataclass(frozen=True, slots=True)
class VolatileHead:
    """Put something that changes with every call at the front of the prompt, such as the time: a mistake, priced.

    Args:
        at: "system": before the system message, behind the tools; "top": before the tools, so that nothing is left.
    """

    name: ClassVar[str] = "volatile_head"
    fidelity: ClassVar[Fidelity] = Fidelity.SAME_INFORMATION
    needs_text: ClassVar[bool] = False

    at: str = "top"

    def __post_init__(self) -> None:
        if self.at not in ("top", "system"):
            raise ValueError(f"at is top or system, not {self.at!r}.")

    def begin(self, scene: Scene) -> Session:
        """Open a run."""
        return _Volatile(scene, at_top=self.at == "top")


class _Volatile(Session):
    def __init__(self, scene: Scene, *, at_top: bool) -> None:
        super().__init__(scene)
        self._at_top = at_top

    def before(self, call: Call, request: Request) -> Request:
        seconds = self.scene.memory["seconds"] = self.scene.memory.get("seconds", 0) + 1  # no two runs at the same time
        item = f"The current time is {seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}."
        if self._at_top:
            return request._replace(tools=Toolset(request.tools.schemas, item))
        return request._replace(messages=(SystemMessage(item), *request.messages))
