"""What strategies share that change a tool result once, when it comes in: the prompt stays append-only."""

from __future__ import annotations

from abc import abstractmethod

from langchain_core.messages import BaseMessage, ToolMessage

from langchain_agentcost.replay.cache import common
from langchain_agentcost.replay.episode import Call
from langchain_agentcost.replay.request import Request
from langchain_agentcost.replay.strategy import Scene, Session


class Rewriting(Session):
    """Replaces each tool result by what `written` makes of it, from the first call on that is sent it."""

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self._given: tuple[BaseMessage, ...] = ()
        self._made: list[BaseMessage] = []
        self._written: dict[int, tuple[BaseMessage, BaseMessage]] = {}

    @property
    def standing(self) -> list[BaseMessage]:
        """What stands in the prompt before the result that is being written."""
        return self._made

    @abstractmethod
    def written(self, message: ToolMessage) -> BaseMessage:
        """Give what stands in the prompt in place of a tool result; the message itself where it stays."""

    def before(self, call: Call, request: Request) -> Request:
        """Send every tool result as it was written down."""
        same = common(self._given, request.messages)
        del self._made[same:]
        for message in request.messages[same:]:
            self._made.append(self._once(message))
        self._given = request.messages
        return request._replace(messages=tuple(self._made))

    def in_place_of(self, message: ToolMessage, text: str) -> BaseMessage:
        """Give a tool result with another text, sized by how the two compare; the message itself where it is no longer.

        Args:
            message: The tool result.
            text: What it is to say.
        """
        return self.shorter(message, message.model_copy(update={"content": text}))

    def shorter(self, message: ToolMessage, new: ToolMessage) -> BaseMessage:
        """Give what replaces a tool result, sized by how the two compare; the message itself where it is no longer.

        Args:
            message: The tool result.
            new: What may replace it.
        """
        sizes = self.scene.sizes
        sizes.rewritten(message, new)
        return new if sizes.of(new).tokens < sizes.of(message).tokens else message

    def _once(self, message: BaseMessage) -> BaseMessage:
        if not isinstance(message, ToolMessage):
            return message
        if id(message) not in self._written:
            self._written[id(message)] = message, self.written(message)
        return self._written[id(message)][1]


def text_in(message: ToolMessage) -> str | None:
    """Give a tool result that is text, in one piece or in blocks; None where something else is in it.

    Example:
        >>> text_in(ToolMessage([{"type": "text", "text": "7 left"}], tool_call_id="1"))
        '7 left'
        >>> text_in(ToolMessage([{"type": "image", "base64": ""}], tool_call_id="1"))
    """
    if isinstance(message.content, str):
        return message.content
    blocks = [block if isinstance(block, str) else block.get("text") for block in message.content]
    texts = [text for text in blocks if isinstance(text, str)]
    return "\n".join(texts) if len(texts) == len(blocks) else None
