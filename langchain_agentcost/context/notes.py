"""What stands in a prompt for a tool result that the model has read, and for the long arguments of a call that it made.

A note keeps the beginning and the literals, and of these only such as stand nowhere else in what is sent: a path that
the prompt names twenty times needs to be kept once.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Container
from dataclasses import dataclass
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, ToolMessage

from langchain_agentcost.context.literals import literals
from langchain_agentcost.context.message_text import text_of
from langchain_agentcost.context.plan import Action, Edit
from langchain_agentcost.context.references.texts import only_text, texts_of
from langchain_agentcost.recent import Recent

MESSAGES_KNOWN = 4_096


@dataclass(frozen=True, slots=True, kw_only=True)
class NoteStyle:
    """How short notes are.

    Args:
        head_chars: How much of the beginning of a result stays; of a short one, a quarter.
        most_literals: How many literals a note lists at most.
        argument_chars: Texts in a call's arguments that are longer are cut.
        argument_head_chars: To this length.
    """

    head_chars: int = 100
    most_literals: int = 30
    argument_chars: int = 200
    argument_head_chars: int = 80


class Notes:
    """Makes notes.

    Args:
        style: How short they are.
        refer: Gives the line that says how the whole can be read again, of a result that is kept elsewhere; "" where
            it is not.
    """

    def __init__(self, style: NoteStyle, refer: Callable[[ToolMessage], str] | None = None) -> None:
        self._style = style
        self._refer = refer
        self._literals: Recent[int, tuple[BaseMessage, frozenset[str]]] = Recent(MESSAGES_KNOWN)

    def literals(self, message: BaseMessage) -> frozenset[str]:
        """Give the literals that a message shows."""
        known = self._literals.get(id(message))
        if known is None or known[0] is not message:
            known = message, frozenset(literals(text_of(message)))
            self._literals.put(id(message), known)
        return known[1]

    def edit(self, place: int, message: BaseMessage, shown: Container[str] = ()) -> Edit | None:
        """Give what stands for a message.

        Args:
            place: Where it is in the history.
            message: The message.
            shown: Literals that stand elsewhere in what is sent.

        Returns:
            The edit; None where there is nothing to cut: it is short, or has no text.
        """
        if isinstance(message, ToolMessage):
            return self._masked(place, message, shown)
        if isinstance(message, AIMessage) and message.tool_calls:
            return self._truncated(place, message, shown)
        return None

    def _masked(self, place: int, message: ToolMessage, shown: Container[str]) -> Edit | None:
        if not only_text(message):
            return None  # images and files are not ours to cut
        style, whole = self._style, "\n".join(texts_of(message))
        referred = self._refer(message) if self._refer is not None else ""
        text = self._note(whole, style.head_chars, shown, referred)
        action = Action.OFFLOAD if referred else Action.MASK
        return Edit(place, place + 1, action, text) if len(text) < len(whole) else None

    def _truncated(self, place: int, message: AIMessage, shown: Container[str]) -> Edit | None:
        if not all(call["id"] for call in message.tool_calls) or not _plain(message):
            return None
        cut = {str(call["id"]): self._arguments(call["args"], shown) for call in message.tool_calls}
        if len(cut) < len(message.tool_calls):
            return None  # two calls by one id: nothing would tell their arguments apart
        changed = {call: args for call, args in cut.items() if args is not None}
        return Edit(place, place + 1, Action.TRUNCATE, json.dumps(changed, ensure_ascii=False)) if changed else None

    def _arguments(self, arguments: dict[str, Any], shown: Container[str]) -> dict[str, Any] | None:
        """The arguments of a call with their long texts cut; None where there are none."""
        style = self._style
        long = {name: text for name, text in arguments.items() if _is_long(text, style.argument_chars)}
        notes = {name: self._note(text, style.argument_head_chars, shown, "") for name, text in long.items()}
        shorter = {name: note for name, note in notes.items() if len(note) < len(long[name])}
        return {**arguments, **shorter} if shorter else None

    def _note(self, text: str, head_chars: int, shown: Container[str], referred: str) -> str:
        head = _head(text, min(head_chars, len(text) // 4))
        left = [word for word in literals(text) if word not in shown and word not in head]
        kept = left[: self._style.most_literals]
        also = f" Also in it: {', '.join(kept)}" if kept else ""
        more = f" and {len(left) - len(kept):,} more" if len(left) > len(kept) else ""
        return f"{head}\n[cut, {len(text):,} characters.{also}{more}{' ' if referred else ''}{referred}]"


def _is_long(value: object, chars: int) -> bool:
    return isinstance(value, str) and len(value) > chars


def _plain(message: AIMessage) -> bool:
    """Whether an answer's calls stand in its content only as Anthropic's clients write them, or not at all."""
    if isinstance(message.content, str):
        return True
    kinds = {block.get("type") for block in message.content if isinstance(block, dict)}
    return kinds <= {"text", "tool_use", "tool_call"}


def _head(text: str, chars: int) -> str:
    """The beginning of a text, up to a line's end or a blank where one is in its last half."""
    cut = text[:chars]
    at = max(cut.rfind(end, chars // 2) for end in ("\n", " ", ","))
    return cut[:at].rstrip() if at > 0 else cut
