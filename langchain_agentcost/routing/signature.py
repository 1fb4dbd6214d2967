"""What kind of step a call is: what the call itself shows, without reading its text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

from langchain_core.messages import AIMessage, BaseMessage, ToolMessage

Phase = Literal["user", "result", "error", "stalled"]
"""Where an agent is: a person spoke last, a tool's result came, it failed, or the same call was made again."""

_BUCKETS = ((1_000, "<1k"), (4_000, "<4k"), (16_000, "<16k"), (64_000, "<64k"))
_NAMED_TOOLS = 3


class Signature(NamedTuple):
    """The kind of a step.

    Args:
        node: The graph's node, without its path; None outside LangGraph.
        phase: Where the agent is.
        tools: The tools that are bound: up to three names, else how many.
        schema: The name of the structured output; None for free text.
        length: How long the prompt is, in steps.

    Example:
        >>> str(Signature("extract", "user", "", "Invoice", "<1k"))
        'node=extract phase=user schema=Invoice length=<1k'
    """

    node: str | None
    phase: Phase
    tools: str
    schema: str | None
    length: str

    def __str__(self) -> str:
        """Write it as a table's key: what is not there is left out."""
        return " ".join(f"{name}={value}" for name, value in self._asdict().items() if value)

    def coarser(self) -> tuple[str, ...]:
        """Give the keys of it and of what it is a case of, the closest first: where little is known, those say more."""
        return (
            str(self),
            str(self._replace(length="")),
            str(Signature(self.node, self.phase, "", self.schema, "")),
            f"node={self.node}" if self.node else f"phase={self.phase}",
        )


def length_of(tokens: int) -> str:
    """Give a prompt's length in steps.

    Example:
        >>> length_of(999), length_of(1_000), length_of(64_000)
        ('<1k', '<4k', '>=64k')
    """
    return next((name for most, name in _BUCKETS if tokens < most), ">=64k")


def tools_of(names: Sequence[str]) -> str:
    """Name the bound tools, as few as can be told apart.

    Example:
        >>> tools_of(["search", "book"]), tools_of(list("abcd")), tools_of([])
        ('book,search', '4 tools', '')
    """
    return ",".join(sorted(names)) if len(names) <= _NAMED_TOOLS else f"{len(names)} tools"


def phase_of(messages: Sequence[BaseMessage]) -> Phase:
    """Tell where an agent is, from the end of its history.

    Returns:
        "error" where one of the last results failed; "stalled" where the last calls were the same as those before them.

    Example:
        >>> call = {"name": "search", "args": {"q": "x"}, "id": "1"}
        >>> phase_of([AIMessage("", tool_calls=[call]), ToolMessage("none", tool_call_id="1", status="error")])
        'error'
    """
    results = 0
    while results < len(messages) and isinstance(messages[-1 - results], ToolMessage):
        results += 1
    if not results:
        return "user"
    if any(getattr(message, "status", None) == "error" for message in messages[len(messages) - results :]):
        return "error"
    return "stalled" if _repeats(messages[: len(messages) - results]) else "result"


def _repeats(messages: Sequence[BaseMessage]) -> bool:
    """Whether the last answer asks for the very tool calls that the one before it asked for."""
    asked: list[list[tuple[str, object]]] = []
    for message in reversed(messages):
        if isinstance(message, AIMessage):
            asked.append([(call["name"], call["args"]) for call in message.tool_calls])
            if len(asked) == 2:
                return asked[0] == asked[1] != []
        elif not isinstance(message, ToolMessage):
            return False
    return False
