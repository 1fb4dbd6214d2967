"""What strategies share that change a tool result once, when it comes in: the prompt stays append-only."""

from __future__ import annotations

from abc import abstractmethod

from langchain_core.messages import BaseMessage, ToolMessage

from langchain_agentcost.replay.episode import Call
from langchain_agentcost.replay.request import Request
from langchain_agentcost.replay.strategy import Scene, Session


class Rewriting(Session):
    """Replaces each tool result by what `written` makes of it, from the first call on that is sent it."""

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self._written: dict[int, BaseMessage] = {}

    @abstractmethod
    def written(self, message: ToolMessage) -> BaseMessage:
        """Give what stands in the prompt in place of a tool result; the message itself where it stays."""

    def before(self, call: Call, request: Request) -> Request:
        """Send every tool result as it was written down."""
        for message in request.messages:
            if id(message) not in self._written:
                new = self.written(message) if isinstance(message, ToolMessage) else message
                self._written[id(message)] = new
        return request._replace(messages=tuple([self._written[id(message)] for message in request.messages]))

    def in_place_of(self, message: ToolMessage, text: str) -> BaseMessage:
        """Give a tool result with another text, sized by how the two compare."""
        return self.scene.sizes.rewritten(message, message.model_copy(update={"content": text}))
