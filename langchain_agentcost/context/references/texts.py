"""The texts of a tool result, and the result with others in their place: images and files stay where they are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from langchain_core.messages import ToolMessage

Block = str | dict[str, Any]


def texts_of(message: ToolMessage) -> list[str]:
    """Give the texts of a message's content, in order.

    Example:
        >>> texts_of(ToolMessage([{"type": "text", "text": "A7"}, {"type": "image", "url": "…"}], tool_call_id="1"))
        ['A7']
    """
    content = message.content
    if isinstance(content, str):
        return [content]
    return [text for block in content if (text := _text(block)) is not None]


def with_texts(message: ToolMessage, texts: Sequence[str]) -> ToolMessage:
    """Give a message with other texts; where there are fewer than before, the blocks of the last ones are left out.

    Args:
        message: The message; its id, artifact, status and other blocks stay.
        texts: What stands in place of its texts, in their order.
    """
    if isinstance(message.content, str):
        return message.model_copy(update={"content": texts[0]})
    return message.model_copy(update={"content": list(_replaced(message.content, texts))})


def only_text(message: ToolMessage) -> bool:
    """Tell whether a message has nothing but text."""
    content = message.content
    return isinstance(content, str) or all(_text(block) is not None for block in content)


def _replaced(content: Sequence[Block], texts: Sequence[str]) -> Iterator[Block]:
    left = iter(texts)
    for block in content:
        if _text(block) is None:
            yield block
        elif (text := next(left, None)) is not None:
            yield text if isinstance(block, str) else {**block, "text": text}


def _text(block: Any) -> str | None:
    if isinstance(block, str):
        return block
    if isinstance(block, Mapping) and block.get("type") == "text" and isinstance(block.get("text"), str):
        return str(block["text"])
    return None
