"""LangChain's own ways to shorten a context, doing their real work on recorded messages."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, cast

from langchain.agents.middleware import ClearToolUsesEdit, SummarizationMiddleware
from langchain_core.messages import AnyMessage, BaseMessage, RemoveMessage
from langgraph.runtime import Runtime

from langchain_agentcost.replay import Call, Fidelity, Session
from langchain_agentcost.replay.cache import common
from langchain_agentcost.replay.request import Overhead, Request
from langchain_agentcost.replay.strategy import Scene
from langchain_agentcost.testing import FakeMeteredChatModel

SUMMARY_TOKENS = 1_000
"""How long a summary is taken to be; nobody wrote one. It is taken to keep no literal, which overstates its harm."""


@dataclass(frozen=True)
class ClearToolUses:
    """`ClearToolUsesEdit`, before every call as ContextEditingMiddleware does it.

    Args:
        trigger: Prompts of more tokens than this are edited; LangChain's own default is 100,000.
        keep: How many tool results stay.
    """

    name: ClassVar[str] = "ClearToolUsesEdit"
    fidelity: ClassVar[Fidelity] = Fidelity.OPEN_LOOP
    needs_text: ClassVar[bool] = True

    trigger: int = 100_000
    keep: int = 3

    def begin(self, scene: Scene) -> Session:
        """Open a run."""
        return _Clearing(scene, ClearToolUsesEdit(trigger=self.trigger, keep=self.keep))


class _Clearing(Session):
    def __init__(self, scene: Scene, edit: ClearToolUsesEdit) -> None:
        super().__init__(scene)
        self._edit = edit

    def before(self, call: Call, request: Request) -> Request:
        """Edit the messages; LangChain makes new ones for those that it clears."""
        messages: list[Any] = list(request.messages)
        self._edit.apply(messages, count_tokens=lambda counted: _tokens(self.scene, counted))
        return request._replace(messages=tuple(messages))


@dataclass(frozen=True)
class Summarization:
    """`SummarizationMiddleware`, which rewrites the agent's state; it has no default trigger.

    Args:
        trigger: Histories of more tokens than this are summarized.
        keep: How many messages stay: LangChain's own default.
        trim: How many of the latest tokens of what goes the summarizer is shown; LangChain's own default. What it is
            shown has to begin with a user's message, and long runs of an agent have none there: then it is not asked
            at all, and the history gives way to "Previous conversation was too long to summarize." 0 shows it all.
    """

    name: ClassVar[str] = "SummarizationMiddleware"
    fidelity: ClassVar[Fidelity] = Fidelity.OPEN_LOOP
    needs_text: ClassVar[bool] = True

    trigger: int = 16_000
    keep: int = 20
    trim: int = 4_000

    def begin(self, scene: Scene) -> Session:
        """Open a run."""
        return _Summarizing(scene, self)


class _Summarizing(Session):
    def __init__(self, scene: Scene, plan: Summarization) -> None:
        super().__init__(scene)
        self._given: tuple[BaseMessage, ...] = ()
        self._state: list[BaseMessage] = []
        self._middleware: SummarizationMiddleware[Any, Any] = SummarizationMiddleware(
            FakeMeteredChatModel(),
            trigger=("tokens", plan.trigger),
            keep=("messages", plan.keep),
            token_counter=lambda counted: _tokens(scene, counted),
            trim_tokens_to_summarize=plan.trim or None,
            summarizer=self._summary,
        )

    def before(self, call: Call, request: Request) -> Request:
        """Add what is new to the state, have the middleware look at it, and send it behind the system message."""
        messages = request.messages
        system = messages[:1] if messages and messages[0].type == "system" else ()
        same = common(self._given, messages)
        if same < len(self._given):  # a sub-agent's prompt, or one that was cut
            self._state, same = [], 0
        self._state += messages[max(same, len(system)) :]
        self._given = messages
        update = self._middleware.before_model({"messages": cast("list[Any]", self._state)}, Runtime())
        if update is not None:
            self._state = [message for message in update["messages"] if not isinstance(message, RemoveMessage)]
            for message in self._state:
                if message.additional_kwargs.get("lc_source") == "summarization" and _SAID in message.text:
                    self.scene.sizes.assume(message, SUMMARY_TOKENS)
        return request._replace(messages=(*system, *self._state))

    def _summary(self, messages: list[AnyMessage]) -> str:
        self.overhead.append(Overhead(_tokens(self.scene, messages), SUMMARY_TOKENS))
        self.tally["summaries"] += 1
        return f"{_SAID} {self.tally['summaries']} of what was said before]"


_SAID = "[summary"


def _tokens(scene: Scene, messages: Iterable[Any] | Sequence[Any]) -> int:
    return sum(scene.sizes.of(message).tokens if isinstance(message, BaseMessage) else 0 for message in messages)
