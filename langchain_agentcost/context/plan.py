"""What a projection changes in a history, as data that is kept with the thread: the same plan gives the same prompt.

A plan covers the beginning of a history. Behind what it covers, everything is sent as it is, so that each prompt begins
with the one before; a plan is replaced only at a boundary, by one of the next epoch.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from operator import is_not
from typing import Any, Self

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage

from langchain_agentcost.canonical import canonical, digest
from langchain_agentcost.context.blocks import is_pinned, orphans
from langchain_agentcost.errors import ContextError
from langchain_agentcost.recent import Recent

EDITS_KEPT = 4_096


class Action(StrEnum):
    """What is done to part of a history, what loses least first.

    Attributes:
        NONE: Nothing.
        OFFLOAD: A tool result gives way to a note, and the whole can be read by its reference.
        MASK: A tool result gives way to a note that keeps its literals.
        TRUNCATE: Long arguments of an old call are cut to their beginning and their literals.
        SUMMARISE: Whole blocks give way to a summary.
        DROP: Whole blocks are left out.
    """

    NONE = "none"
    OFFLOAD = "offload"
    MASK = "mask"
    TRUNCATE = "truncate"
    SUMMARISE = "summarise"
    DROP = "drop"


WHOLE = (Action.SUMMARISE, Action.DROP)
"""What takes whole blocks away."""


@dataclass(frozen=True, slots=True)
class Edit:
    """One change.

    Args:
        start: The place of the first message that it changes.
        end: The place behind the last one.
        action: What is done.
        text: What stands there: the text of the result or the summary; for TRUNCATE the arguments, as JSON by call id.
    """

    start: int
    end: int
    action: Action
    text: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """The changes of a history's beginning.

    Args:
        epoch: How many boundaries there were.
        covered: How many messages it covers.
        check: What these say, as a hash: a history that was rewritten does not fit any more.
        edits: The changes by place; they do not overlap.

    Example:
        >>> from langchain_core.messages import ToolMessage
        >>> history = [HumanMessage("Look."), ToolMessage("a long text", tool_call_id="1")]
        >>> plan = Plan().following(history, [Edit(1, 2, Action.MASK, "[cut]")])
        >>> [message.text for message in project([*history, HumanMessage("And?")], plan)]
        ['Look.', '[cut]', 'And?']
        >>> Plan.from_dict(plan.as_dict()) == plan
        True
    """

    epoch: int = 0
    covered: int = 0
    check: str = ""
    edits: tuple[Edit, ...] = ()

    def fits(self, messages: Sequence[BaseMessage]) -> bool:
        """Tell whether a history begins with what the plan covers."""
        return not self.covered or (self.covered <= len(messages) and self.check == _check(messages[: self.covered]))

    def following(self, messages: Sequence[BaseMessage], edits: Sequence[Edit]) -> Plan:
        """Give the plan of the next epoch.

        Args:
            messages: What it covers.
            edits: All its changes, those of this plan that go on among them.

        Raises:
            ContextError: If two of them overlap.
        """
        ordered = tuple(sorted(edits, key=lambda edit: edit.start))
        return Plan(self.epoch + 1, len(messages), _check(messages), _apart(ordered))

    def as_dict(self) -> dict[str, Any]:
        """Give it as plain data that JSON can hold, for a channel of a graph's state."""
        return {
            "epoch": self.epoch,
            "covered": self.covered,
            "check": self.check,
            "edits": [[edit.start, edit.end, edit.action.value, edit.text] for edit in self.edits],
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any] | None) -> Self:
        """Read what `as_dict` wrote; None is the plan that changes nothing.

        Raises:
            ContextError: If it is something else.
        """
        if not data:
            return cls()
        try:
            edits = tuple(Edit(int(a), int(b), Action(action), str(text)) for a, b, action, text in data["edits"])
            return cls(int(data["epoch"]), int(data["covered"]), str(data["check"]), _apart(edits))
        except (KeyError, TypeError, ValueError) as error:
            raise ContextError(
                f"This is no context plan: {error!r}. Delete it from the state to start anew."
            ) from error


Make = Callable[[Sequence[BaseMessage], Edit], list[BaseMessage]]


def project(messages: Sequence[BaseMessage], plan: Plan, make: Make | None = None) -> list[BaseMessage]:
    """Give what is sent of a history: a pure function. The history itself is not touched.

    Args:
        messages: The history.
        plan: The changes; one that does not fit the history changes nothing.
        make: Makes what stands for edited messages: `edited`, or an `Editor`, which makes each once.
    """
    if not plan.fits(messages):
        return list(messages)
    sent, at, make = list[BaseMessage](), 0, make or edited
    for edit in plan.edits:
        sent += messages[at : edit.start]
        sent += make(messages[edit.start : edit.end], edit)
        at = edit.end
    sent += messages[at:]
    return _paired(sent, messages) if any(edit.action in WHOLE for edit in plan.edits) else sent


def _paired(sent: list[BaseMessage], messages: Sequence[BaseMessage]) -> list[BaseMessage]:
    """What is sent without the results that came a second time when their call was gone already."""
    known = set(map(id, orphans(messages)))
    lost = {id(message) for message in orphans(sent)} - known
    return [message for message in sent if id(message) not in lost] if lost else sent


class Editor:
    """Makes what stands for edited messages, each once: who asks again gets the same objects."""

    def __init__(self) -> None:
        self._made: Recent[Edit, tuple[tuple[BaseMessage, ...], list[BaseMessage]]] = Recent(EDITS_KEPT)

    def __call__(self, messages: Sequence[BaseMessage], edit: Edit) -> list[BaseMessage]:
        """Give what stands in place of messages; see `edited`."""
        known = self._made.get(edit)
        if known is None or len(known[0]) != len(messages) or any(map(is_not, known[0], messages)):
            known = tuple(messages), edited(messages, edit)
            self._made.put(edit, known)
        return known[1]


def edited(messages: Sequence[BaseMessage], edit: Edit) -> list[BaseMessage]:
    """Give what stands in place of the messages that an edit changes.

    Args:
        messages: Just those messages.
        edit: The change.
    """
    if edit.action is Action.DROP:
        return []
    if edit.action is Action.SUMMARISE:
        first = messages[0].id
        return [HumanMessage(edit.text, id=f"summary-{first}" if first else None)]
    [message] = messages
    if edit.action is Action.TRUNCATE and isinstance(message, AIMessage):
        return [_with_arguments(message, json.loads(edit.text))]
    return [message.model_copy(update={"content": edit.text})]


def _with_arguments(message: AIMessage, arguments: Mapping[str, dict[str, Any]]) -> AIMessage:
    """An answer whose calls have other arguments, in its content too, where Anthropic's clients look."""
    calls = [{**call, "args": arguments.get(call["id"] or "", call["args"])} for call in message.tool_calls]
    content = message.content
    if isinstance(content, list):
        content = [_block(block, arguments) for block in content]
    return message.model_copy(
        update={"tool_calls": calls, "content": content, "additional_kwargs": _without_copy(message)}
    )


def _block(block: str | dict[str, Any], arguments: Mapping[str, dict[str, Any]]) -> str | dict[str, Any]:
    if not isinstance(block, dict) or block.get("id") not in arguments:
        return block
    field = next((name for name in ("input", "args") if isinstance(block.get(name), dict)), None)
    return {**block, field: arguments[str(block["id"])]} if field else block


def _without_copy(message: AIMessage) -> dict[str, Any]:
    """What else a message has, without OpenAI's own copy of its calls, which clients send where there is one."""
    return {name: value for name, value in message.additional_kwargs.items() if name != "tool_calls"}


def _check(messages: Sequence[BaseMessage]) -> str:
    """A hash of what messages say, of their calls' ids, and of which are pinned.

    Their own ids are no part of it: some callers send the whole history anew, and then each message has another one.
    """
    return digest("\n".join(map(_mark, messages))).hex()


def _mark(message: BaseMessage) -> str:
    calls = [call["id"] for call in message.tool_calls] if isinstance(message, AIMessage) else ()
    result = message.tool_call_id if isinstance(message, ToolMessage) else ""
    return f"{canonical(message)} {calls} {result} {is_pinned(message)}"


def _apart(edits: tuple[Edit, ...]) -> tuple[Edit, ...]:
    """Edits in their order that do not overlap."""
    for before, after in pairwise(edits):
        if after.start < before.end:
            raise ContextError(f"Two edits overlap, at messages {before.start} to {before.end} and {after.start}.")
    return edits
