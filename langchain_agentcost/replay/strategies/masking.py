"""Observation masking: old tool results give way to a note that they were there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from langchain_core.messages import BaseMessage, ToolMessage

from langchain_agentcost.replay.episode import Call
from langchain_agentcost.replay.request import Request
from langchain_agentcost.replay.strategy import Fidelity, Scene, Session

NOTE = "[old tool result removed]"


@dataclass(frozen=True, slots=True)
class MaskSliding:
    """Keep the latest tool results, mask one more with every new one: the prompt changes in the middle at each call.

    Args:
        keep: How many tool results stay.
    """

    name: ClassVar[str] = "mask_sliding"
    fidelity: ClassVar[Fidelity] = Fidelity.OPEN_LOOP
    needs_text: ClassVar[bool] = True

    keep: int = 3

    def begin(self, scene: Scene) -> Session:
        """Open a run."""
        return _Masking(scene, keep=self.keep, until=self.keep)


@dataclass(frozen=True, slots=True)
class MaskBatched:
    """Let tool results pile up, then mask all but the latest at once: the prompt stays the same in between.

    Args:
        keep: How many stay when masking happens.
        until: How many may pile up before it does.
    """

    name: ClassVar[str] = "mask_batched"
    fidelity: ClassVar[Fidelity] = Fidelity.OPEN_LOOP
    needs_text: ClassVar[bool] = True

    keep: int = 3
    until: int = 13

    def __post_init__(self) -> None:
        if self.until < self.keep:
            raise ValueError(f"until={self.until} is below keep={self.keep}.")

    def begin(self, scene: Scene) -> Session:
        """Open a run."""
        return _Masking(scene, keep=self.keep, until=self.until)


class _Masking(Session):
    def __init__(self, scene: Scene, *, keep: int, until: int) -> None:
        super().__init__(scene)
        self._keep, self._until = keep, until
        self._masked: dict[int, BaseMessage] = {}

    def before(self, call: Call, request: Request) -> Request:
        whole = [m for m in request.messages if isinstance(m, ToolMessage) and id(m) not in self._masked]
        if len(whole) > self._until:
            for message in whole[: len(whole) - self._keep]:
                self._masked[id(message)] = self._note(message)
        if not self._masked:
            return request
        masked = self._masked
        return request._replace(messages=tuple([masked.get(id(message), message) for message in request.messages]))

    def _note(self, message: ToolMessage) -> BaseMessage:
        note = ToolMessage(NOTE, tool_call_id=message.tool_call_id, name=message.name, status=message.status)
        return note if self.scene.sizes.of(note).tokens < self.scene.sizes.of(message).tokens else message
