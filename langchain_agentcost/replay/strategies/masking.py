"""Observation masking: old tool results give way to a note that they were there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from langchain_core.messages import BaseMessage, ToolMessage

from langchain_agentcost.replay.cache import common
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

    def __post_init__(self) -> None:
        if self.keep < 0:
            raise ValueError(f"keep is at least 0, not {self.keep}.")

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
        if not 0 <= self.keep <= self.until:
            raise ValueError(f"keep={self.keep} is from 0 to until={self.until}.")

    def begin(self, scene: Scene) -> Session:
        """Open a run."""
        return _Masking(scene, keep=self.keep, until=self.until)


class _Masking(Session):
    def __init__(self, scene: Scene, *, keep: int, until: int) -> None:
        super().__init__(scene)
        self._keep, self._until = keep, until
        self._given: tuple[BaseMessage, ...] = ()
        self._shown: list[BaseMessage] = []
        self._whole: list[tuple[int, ToolMessage]] = []
        """Where in the prompt the tool results are that were not masked yet."""
        self._notes: dict[int, tuple[BaseMessage, BaseMessage]] = {}

    def before(self, call: Call, request: Request) -> Request:
        self._follow(request.messages)
        if len(self._whole) > self._until:
            old = self._whole[: len(self._whole) - self._keep]
            del self._whole[: len(old)]
            for place, message in old:
                self._shown[place] = self._note(message)
                self._notes[id(message)] = message, self._shown[place]
        return request._replace(messages=tuple(self._shown))

    def _follow(self, messages: tuple[BaseMessage, ...]) -> None:
        """Go on to the next prompt: what was masked before stays so."""
        same = common(self._given, messages)
        del self._shown[same:]
        self._whole = [(place, message) for place, message in self._whole if place < same]
        for place, message in enumerate(messages[same:], same):
            _, note = self._notes.get(id(message), (None, None))
            self._shown.append(note or message)
            if note is None and isinstance(message, ToolMessage):
                self._whole.append((place, message))
        self._given = messages

    def _note(self, message: ToolMessage) -> BaseMessage:
        """What stands for a tool result: a note, unless the result is shorter."""
        note = ToolMessage(NOTE, tool_call_id=message.tool_call_id, name=message.name, status=message.status)
        return note if self.scene.sizes.of(note).tokens < self.scene.sizes.of(message).tokens else message
