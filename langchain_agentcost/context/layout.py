"""A prompt laid out for a provider's prompt cache: what stays the same first, what changes last.

A prompt cache serves the beginning that was sent before, in the order tools, system, messages. So tools come in one
order, there is one system message, and what changes in it from call to call is said at the prompt's end.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage

from langchain_agentcost.context.lint.schemas import lean_tools
from langchain_agentcost.context.lint.stable import stable_tools
from langchain_agentcost.context.lint.values import Left, Value, note_of, templated
from langchain_agentcost.prompt_tail import TAIL_ID


@dataclass(frozen=True, slots=True)
class Layout:
    """A prompt as a cache likes it.

    Args:
        system: The one system message; None where there is none.
        tools: The tools, in one order.
        messages: The history, as it was.
        tail: What changes from call to call, to be said at the end; None where nothing does.
        moved: The values that it says.
        left: What looks as if it changed, and could not be moved safely.
        notes: What else could not be done, as sentences.
    """

    system: SystemMessage | None
    tools: tuple[dict[str, Any], ...]
    messages: tuple[BaseMessage, ...]
    tail: HumanMessage | None = None
    moved: tuple[Value, ...] = ()
    left: tuple[Left, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def history(self) -> list[BaseMessage]:
        """The messages with the tail: at their end, or before the beginning of an answer that the model goes on with.

        Nothing of the history stands behind the tail in one call and before it in the next: only the tail is sent anew.
        """
        messages = list(self.messages)
        if self.tail is None:
            return messages
        begun = bool(messages) and isinstance(messages[-1], AIMessage)
        return [*messages[:-1], self.tail, messages[-1]] if begun else [*messages, self.tail]

    @property
    def prompt(self) -> list[BaseMessage]:
        """The whole prompt: the system message, the history, the tail."""
        return [*([self.system] if self.system is not None else []), *self.history]


def lay_out(
    messages: Sequence[BaseMessage],
    tools: Sequence[Mapping[str, Any]] = (),
    *,
    varying: Collection[str] = (),
    lean: bool = False,
    portable: bool = True,
) -> Layout:
    """Lay a prompt out for a provider's prompt cache. A pure function: equal prompts give equal layouts.

    Args:
        messages: The prompt, system messages first. Several of them become one; one that stands behind other messages
            stays there, and is told.
        tools: Descriptions of the tools.
        varying: Texts that are known to change from call to call; see `templated`.
        lean: Whether tools are described in fewer tokens too, by `lean_schema`.
        portable: Its argument.

    Returns:
        The layout.

    Example:
        >>> made = lay_out([SystemMessage("Be brief. Today is 2026-11-30."), HumanMessage("Where is A7?")])
        >>> for message in made.prompt:
        ...     print(message.type, "|", message.text.replace(chr(10), " "))
        system | Be brief. Today is {current_date}.
        human | Where is A7?
        human | Values in the instructions above: {current_date} = 2026-11-30
    """
    leading = next((at for at, one in enumerate(messages) if one.type != "system"), len(messages))
    system, moved, left = _without_values(_one(messages[:leading]), varying)
    history = tuple(messages[leading:])
    later = sum(one.type == "system" for one in history)
    notes = (_LATER.format(later),) if later else ()
    described = stable_tools(lean_tools(tools, portable=portable) if lean else tools)
    tail = HumanMessage(note_of(moved), id=TAIL_ID) if moved else None
    return Layout(system, described, history, tail, moved, left, notes)


_LATER = (
    "{} system message(s) stand behind other messages and stay there: providers refuse them or put them first, where "
    "each new one ends the cached prefix. Say it in a message of the user, or in the one system message."
)


def _one(systems: Sequence[BaseMessage]) -> SystemMessage | None:
    """One system message, with the content of all."""
    if not systems:
        return None
    if len(systems) == 1 and isinstance(systems[0], SystemMessage):
        return systems[0]
    if all(isinstance(one.content, str) for one in systems):
        return SystemMessage("\n\n".join(one.text for one in systems))
    parts: list[str | dict[Any, Any]] = []
    for one in systems:
        parts += [{"type": "text", "text": one.content}] if isinstance(one.content, str) else one.content
    return SystemMessage(parts)


def _without_values(
    system: SystemMessage | None, varying: Collection[str]
) -> tuple[SystemMessage | None, tuple[Value, ...], tuple[Left, ...]]:
    """A system message with names in place of its values. Blocks that are not text stay as they are."""
    if system is None:
        return None, (), ()
    if isinstance(system.content, str):
        made = templated(system.content, varying=varying)
        return (system.model_copy(update={"content": made.text}) if made.values else system), made.values, made.left
    texts = [place for place, block in enumerate(system.content) if _text_of(block) is not None]
    joined = _SEAM.join(str(_text_of(system.content[place])) for place in texts)
    made = templated(joined, varying=varying)
    parts = made.text.split(_SEAM)
    if not made.values or len(parts) != len(texts):
        return system, (), made.left
    content = list(system.content)
    for place, text in zip(texts, parts, strict=True):
        block = content[place]
        content[place] = {**block, "text": text} if isinstance(block, dict) else text
    return system.model_copy(update={"content": content}), made.values, made.left


_SEAM = "\n\x1e\n"
"""Stands between blocks while they are looked at as one text, so that each value has one name in all of them."""


def _text_of(block: object) -> str | None:
    if isinstance(block, str):
        return block
    text = block.get("text") if isinstance(block, dict) else None
    return text if isinstance(text, str) else None
