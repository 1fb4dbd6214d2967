"""One routed call: the answer, or a draft that is checked and perhaps answered again. At most once."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.config import merge_configs
from langgraph.constants import TAG_NOSTREAM
from langgraph.errors import GraphBubbleUp

from langchain_agentcost.errors import RoutingError
from langchain_agentcost.routed import EVALUATION_PURPOSE, Role
from langchain_agentcost.routing.decision import RouteDecision
from langchain_agentcost.routing.request import RouteRequest
from langchain_agentcost.routing.router import Router
from langchain_agentcost.routing.telling import summed, telling, told_first
from langchain_agentcost.routing.verdict import Verdict

Ask = Callable[[str, Role], Any]
"""Asks a tier for an answer, in a role."""

AsyncAsk = Callable[[str, Role], Awaitable[Any]]

Chunks = Callable[[str, Role], Iterator[Any]]
"""Asks a tier for an answer that streams, in a role."""

AsyncChunks = Callable[[str, Role], AsyncGenerator[Any, None]]

_UNSEEN = ("draft", "shadow", "judge")
"""Roles whose tokens are not streamed to whoever watches a graph: they may never be the answer."""

_PURPOSES: dict[Role, str] = {"shadow": EVALUATION_PURPOSE, "judge": "verification"}
"""What calls are for that are no work of the agent's own."""


_ANSWER: Role = "answer"
_UNCHECKED: Verdict | None = None


@dataclass(frozen=True, slots=True)
class Answered:
    """What came of a call.

    Args:
        answer: The answer.
        tier: Who gave it.
        verdict: What was said of the draft; None where there was none.
    """

    answer: Any
    tier: str
    verdict: Verdict | None = None


class RoutedCall:
    """Makes a call as it was decided.

    Args:
        router: The router.
        request: The call.
        decision: What was decided.
        config: Its config.
    """

    def __init__(self, router: Router, request: RouteRequest, decision: RouteDecision, config: RunnableConfig) -> None:
        self.router = router
        self.request = request
        self.decision = decision
        self.config = config

    def run(self, ask: Ask) -> Any:
        """Make the call, and give the answer."""
        tier, role, verdict = self.decision.tier, _ANSWER, _UNCHECKED
        if self.decision.verifier is not None:
            draft, verdict = self._checked(lambda: ask(tier, "draft"))
            if verdict.accepted:
                return self._finished(Answered(draft, tier, verdict), ask)
            tier, role = self._escalation(), "escalation"
        return self._finished(Answered(ask(tier, role), tier, verdict), ask)

    async def arun(self, ask: AsyncAsk) -> Any:
        """Make the call in async code, and give the answer."""
        tier, role, verdict = self.decision.tier, _ANSWER, _UNCHECKED
        if self.decision.verifier is not None:
            draft, verdict = await self._achecked(lambda: ask(tier, "draft"))
            if verdict.accepted:
                return await self._afinished(Answered(draft, tier, verdict), ask)
            tier, role = self._escalation(), "escalation"
        return await self._afinished(Answered(await ask(tier, role), tier, verdict), ask)

    def stream(self, chunks: Chunks, ask: Ask) -> Iterator[Any]:
        """Make the call, and give the answer as it comes. A draft is given when it has passed, never before."""
        tier, role, verdict = self.decision.tier, _ANSWER, _UNCHECKED
        if self.decision.verifier is not None:
            kept: list[Any] = []
            _, verdict = self._checked(lambda: summed(_kept(kept, chunks(tier, "draft"))))
            if verdict.accepted:
                yield from told_first(kept, self._told(tier, verdict))
                self._finished(Answered(summed(kept), tier, verdict), ask)
                return
            tier, role = self._escalation(), "escalation"
        came: list[Any] = []
        yield from told_first(_kept(came, chunks(tier, role)), self._told(tier, verdict))
        self._finished(Answered(summed(came), tier, verdict), ask)

    async def astream(self, chunks: AsyncChunks, ask: AsyncAsk) -> AsyncIterator[Any]:
        """Make the call in async code, and give the answer as it comes; see `stream`."""
        tier, role, verdict = self.decision.tier, _ANSWER, _UNCHECKED
        if self.decision.verifier is not None:
            kept: list[Any] = []

            async def draft() -> Any:
                async with aclosing(chunks(tier, "draft")) as coming:
                    kept.extend([chunk async for chunk in coming])
                return summed(kept)

            _, verdict = await self._achecked(draft)
            if verdict.accepted:
                for chunk in told_first(kept, self._told(tier, verdict)):
                    yield chunk
                await self._afinished(Answered(summed(kept), tier, verdict), ask)
                return
            tier, role = self._escalation(), "escalation"
        came: list[Any] = []
        async with aclosing(chunks(tier, role)) as coming:
            async for chunk in coming:
                yield chunk if came else telling(chunk, self._told(tier, verdict))
                came.append(chunk)
        await self._afinished(Answered(summed(came), tier, verdict), ask)

    def config_for(self, tier: str, role: Role) -> RunnableConfig:
        """Give the config of one of its model calls, with what is told of it; only the first has the given run id."""
        metadata = self.decision.routed(role, tier).as_metadata()
        if role in _PURPOSES:
            metadata["agentcost_purpose"] = _PURPOSES[role]
        tags = [f"router:{tier}", *([TAG_NOSTREAM] if role in _UNSEEN else [])]
        config = merge_configs(self.config, {"metadata": metadata, "tags": tags})
        if role not in ("answer", "draft"):
            config.pop("run_id", None)
        return config

    def aside(self) -> RunnableConfig:
        """Give the config of what a verifier asks by itself."""
        return self.config_for(self.decision.tier, "judge")

    def _escalation(self) -> str:
        """The tier that answers in place of a draft.

        Raises:
            RoutingError: If none may.
        """
        if self.decision.escalate_to is None:
            raise RoutingError(f"The draft did not pass, and nobody may answer in its place: {self.decision.blocked}.")
        return self.decision.escalate_to

    def _checked(self, draft: Callable[[], Any]) -> tuple[Any, Verdict]:
        """Get a draft and check it. Whatever goes wrong with it, the stronger tier answers."""
        assert self.decision.verifier is not None  # noqa: S101  # both callers look
        try:
            drafted = _there(draft())
            return drafted, self.decision.verifier.check(self.request, drafted, self.aside())
        except GraphBubbleUp:  # a limit, or a person who is asked
            raise
        except Exception as error:  # noqa: BLE001  # the provider's, a parser's or a check's
            return None, failed(error)

    async def _achecked(self, draft: Callable[[], Awaitable[Any]]) -> tuple[Any, Verdict]:
        """Get a draft and check it in async code; see `_checked`."""
        assert self.decision.verifier is not None  # noqa: S101  # both callers look
        try:
            drafted = _there(await draft())
            return drafted, await self.decision.verifier.acheck(self.request, drafted, self.aside())
        except GraphBubbleUp:
            raise
        except Exception as error:  # noqa: BLE001  # the provider's, a parser's or a check's
            return None, failed(error)

    def _finished(self, answered: Answered, ask: Ask) -> Any:
        """Learn from an answer, perhaps have another tier answer too, and give it with what is told of it."""
        self.router.checked(self.request, self.decision, answered.verdict)
        shadow = self.router.shadow
        if shadow is not None and shadow.wanted(self.request, self.decision):
            shadow.run(
                self.request,
                answered.tier,
                answered.answer,
                lambda tier: ask(tier, "shadow"),
                cost=self.router.economics.nano,
            )
        return telling(answered.answer, self._told(answered.tier, answered.verdict))

    async def _afinished(self, answered: Answered, ask: AsyncAsk) -> Any:
        """Learn from an answer in async code; see `_finished`."""
        self.router.checked(self.request, self.decision, answered.verdict)
        shadow = self.router.shadow
        if shadow is not None and shadow.wanted(self.request, self.decision):
            await shadow.arun(
                self.request,
                answered.tier,
                answered.answer,
                lambda tier: ask(tier, "shadow"),
                cost=self.router.economics.nano,
            )
        return telling(answered.answer, self._told(answered.tier, answered.verdict))

    def _told(self, tier: str, verdict: Verdict | None) -> dict[str, Any]:
        """What an answer says of how it came about."""
        said: dict[str, Any] = {**self.decision.as_dict(), "answered_by": tier}
        if verdict is not None:
            said |= {"escalated": not verdict.accepted, "verdict": list(verdict.reasons)}
        return said


def _there(draft: Any) -> Any:
    """A draft, if one came: of a form that does not parse a stream gives nothing."""
    if draft is None:
        raise RoutingError("Nothing came.")
    return draft


def _kept(into: list[Any], chunks: Iterable[Any]) -> Iterator[Any]:
    for chunk in chunks:
        into.append(chunk)
        yield chunk


def failed(error: Exception) -> Verdict:
    """Give the verdict on a draft that could not be had or checked. Its text may quote a prompt, so it is not told.

    An answer that does not parse (a ValueError, as LangChain's and pydantic's are) did not pass, and was paid
    for. Whatever else goes wrong says nothing of the tier.
    """
    why = f"{type(error).__name__} in the draft or its check"
    return Verdict(accepted=False, reasons=(why,), error=not isinstance(error, ValueError))
