"""What real provider classes announce a call with, before it is made."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage


class _Tape(BaseCallbackHandler):
    """Keeps what a call is announced with, and stops it there."""

    raise_error = True

    def on_chat_model_start(self, serialized: Any, messages: Any, **event: Any) -> None:
        """Keep it."""
        self.sent, self.metadata = event["invocation_params"], event["metadata"]
        raise StopIteration


def announced(model: Any, **asked: Any) -> tuple[Any, Any]:
    """What a real provider class announces a call with."""
    tape = _Tape()
    with pytest.raises(StopIteration):
        model.invoke("Hi", {"callbacks": [tape]}, **asked)
    return tape.sent, tape.metadata


def said(turns: int) -> list[BaseMessage]:
    """A conversation of that many turns."""
    made: list[BaseMessage] = [SystemMessage("You answer."), HumanMessage("Where is order 42?")]
    for turn in range(turns):
        made.append(AIMessage("", tool_calls=[{"name": "look", "args": {"order": turn}, "id": f"c{turn}"}]))
        made.append(ToolMessage(f"Order {turn} was packed in hall {turn}. " * 20, tool_call_id=f"c{turn}"))
    return made
