"""Tool results that give way to a note, and are put into a store so that the note can say where the whole is.

What a note's line looks like has to be known while the planner weighs cuts; the reference itself only when a result is
kept. So a line is planned with a stand-in, and gets its reference when the cut is made.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from langchain_core.messages import BaseMessage, ToolMessage
from langchain_core.runnables import RunnableConfig

from langchain_agentcost.context.plan import Action, Edit, Plan
from langchain_agentcost.context.references.marks import Mark, ReadBack
from langchain_agentcost.context.references.references import References

_STAND_IN = "zzzzzzzz"


class PutAside:
    """Keeps the results that a plan cuts.

    Args:
        references: Where they are kept.
    """

    def __init__(self, references: References) -> None:
        self._references = references

    def refer(self, message: ToolMessage) -> str:
        """Give the line of a note that says how the whole can be read; see `Notes`."""
        mark = Mark.of(message)
        if mark is not None:
            return _line(mark.ref)
        kept = ReadBack.of(message) is None and not self._references.policy.excludes(message.name or "")
        return _line(_STAND_IN) if kept else ""

    def keep(self, plan: Plan, messages: Sequence[BaseMessage], config: RunnableConfig | None) -> Plan:
        """Put the results that a plan newly cuts into the store, and name their references in it."""
        edits = [
            _named(edit, self._references.offload(message, config=config, above_tokens=0))
            if (message := _new(edit, messages))
            else edit
            for edit in plan.edits
        ]
        return replace(plan, edits=tuple(edits))

    async def akeep(self, plan: Plan, messages: Sequence[BaseMessage], config: RunnableConfig | None) -> Plan:
        """Put the results that a plan newly cuts into the store, from async code; see `keep`."""
        edits = []
        for edit in plan.edits:
            message = _new(edit, messages)
            if message is not None:
                edit = _named(edit, await self._references.aoffload(message, config=config, above_tokens=0))  # noqa: PLW2901
            edits.append(edit)
        return replace(plan, edits=tuple(edits))


def _line(ref: str) -> str:
    return f'ref:{ref}: read_ref(ref="{ref}") gives all of it.'


_END = f" {_line(_STAND_IN)}]"


def _new(edit: Edit, messages: Sequence[BaseMessage]) -> ToolMessage | None:
    """The result that an edit cuts and that is not kept yet."""
    if edit.action is not Action.OFFLOAD or not edit.text.endswith(_END):
        return None
    message = messages[edit.start]
    return message if isinstance(message, ToolMessage) else None


def _named(edit: Edit, short: ToolMessage) -> Edit:
    """An edit with its reference; one of a result that could not be kept is a mask."""
    mark, text = Mark.of(short), edit.text.removesuffix(_END)
    if mark is None:
        return replace(edit, action=Action.MASK, text=f"{text}]")
    return replace(edit, text=f"{text} {_line(mark.ref)}]")
