"""What stands at a prompt's end for one call only: it is of no turn, and no new task."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeVar

TAIL_ID = "agentcost-tail"
"""The id of such a message."""


class _Identified(Protocol):
    @property
    def id(self) -> str | None: ...


M = TypeVar("M", bound=_Identified)


def without_tail(messages: Sequence[M]) -> Sequence[M]:
    """Give the messages without those that stand at their end for one call only.

    Example:
        >>> from langchain_core.messages import HumanMessage
        >>> [message.text for message in without_tail([HumanMessage("Hi"), HumanMessage("It is noon.", id=TAIL_ID)])]
        ['Hi']
    """
    end = len(messages)
    while end and messages[end - 1].id == TAIL_ID:
        end -= 1
    return messages if end == len(messages) else messages[:end]
