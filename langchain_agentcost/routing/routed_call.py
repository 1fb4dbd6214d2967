"""One routed call: the answer, or a draft that is checked and perhaps answered again. At most once."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import aclosing
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
from langchain_agentcost.routing.shadow import Shadow
from langchain_agentcost.routing.telling import summed, telling, told_first
from langchain_agentcost.routing.verdict import Verdict, Verifier

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
        tier, verifier = self.decision.tier, self.decision.verifier
        if verifier is None:
            return self._answered(tier, ask(tier, "answer"), None, ask)
        draft, verdict = self._checked(verifier, lambda: ask(tier, "draft"))
        if verdict.accepted:
            return self._answered(tier, draft, verdict, ask)
        tier = self._escalation()
        return self._answered(tier, ask(tier, "escalation"), verdict, ask)

    async def arun(self, ask: AsyncAsk) -> Any:
        """Make the call in async code, and give the answer."""
        tier, verifier = self.decision.tier, self.decision.verifier
        if verifier is None:
            return await self._aanswered(tier, await ask(tier, "answer"), None, ask)
        draft, verdict = await self._achecked(verifier, lambda: ask(tier, "draft"))
        if verdict.accepted:
            return await self._aanswered(tier, draft, verdict, ask)
        tier = self._escalation()
        return await self._aanswered(tier, await ask(tier, "escalation"), verdict, ask)

    def stream(self, chunks: Chunks, ask: Ask) -> Iterator[Any]:
        """Make the call, and give the answer as it comes. A draft is given when it has passed, never before."""
        tier, verifier = self.decision.tier, self.decision.verifier
        verdict: Verdict | None = None
        came: list[Any] = []
        if verifier is None:
            yield from told_first(_kept(came, chunks(tier, "answer")), self._told(tier, verdict))
        else:
            _, verdict = self._checked(verifier, lambda: summed(_kept(came, chunks(tier, "draft"))))
            if verdict.accepted:
                yield from told_first(came, self._told(tier, verdict))
            else:
                tier, came = self._escalation(), []
                yield from told_first(_kept(came, chunks(tier, "escalation")), self._told(tier, verdict))
        self._learn(verdict, tier, lambda: summed(came), ask)

    async def astream(self, chunks: AsyncChunks, ask: AsyncAsk) -> AsyncIterator[Any]:
        """Make the call in async code, and give the answer as it comes; see `stream`."""
        tier, verifier = self.decision.tier, self.decision.verifier
        verdict: Verdict | None = None
        came: list[Any] = []

        async def draft() -> Any:
            async with aclosing(chunks(tier, "draft")) as coming:
                came.extend([chunk async for chunk in coming])
            return summed(came)

        if verifier is not None:
            _, verdict = await self._achecked(verifier, draft)
        if verdict is not None and verdict.accepted:
            for chunk in told_first(came, self._told(tier, verdict)):
                yield chunk
        else:
            role: Role = "answer"
            if verdict is not None:
                tier, role = self._escalation(), "escalation"
                came.clear()
            async with aclosing(chunks(tier, role)) as coming:
                async for chunk in coming:
                    yield chunk if came else telling(chunk, self._told(tier, verdict))
                    came.append(chunk)
        await self._alearn(verdict, tier, lambda: summed(came), ask)

    def config_for(self, tier: str, role: Role) -> RunnableConfig:
        """Give the config of one of its model calls, with what is told of it; only the first has the given run id."""
        routed = self.decision.routed(role, tier)
        metadata = routed.as_metadata()
        if role in _PURPOSES:
            metadata["agentcost_purpose"] = _PURPOSES[role]
        tags = [routed.tag, *([TAG_NOSTREAM] if role in _UNSEEN else [])]
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

    def _checked(self, verifier: Verifier, draft: Callable[[], Any]) -> tuple[Any, Verdict]:
        """Get a draft and check it. Whatever goes wrong with it, the stronger tier answers."""
        try:
            drafted = _there(draft())
            return drafted, verifier.check(self.request, drafted, self.aside())
        except GraphBubbleUp:  # a limit, or a person who is asked
            raise
        except Exception as error:  # noqa: BLE001  # the provider's, a parser's or a check's
            return None, failed(error)

    async def _achecked(self, verifier: Verifier, draft: Callable[[], Awaitable[Any]]) -> tuple[Any, Verdict]:
        """Get a draft and check it in async code; see `_checked`."""
        try:
            drafted = _there(await draft())
            return drafted, await verifier.acheck(self.request, drafted, self.aside())
        except GraphBubbleUp:
            raise
        except Exception as error:  # noqa: BLE001  # the provider's, a parser's or a check's
            return None, failed(error)

    def _answered(self, tier: str, answer: Any, verdict: Verdict | None, ask: Ask) -> Any:
        """Learn from an answer, and give it with what is told of it."""
        self._learn(verdict, tier, lambda: answer, ask)
        return telling(answer, self._told(tier, verdict))

    async def _aanswered(self, tier: str, answer: Any, verdict: Verdict | None, ask: AsyncAsk) -> Any:
        """Learn from an answer in async code, and give it with what is told of it."""
        await self._alearn(verdict, tier, lambda: answer, ask)
        return telling(answer, self._told(tier, verdict))

    def _learn(self, verdict: Verdict | None, tier: str, answer: Callable[[], Any], ask: Ask) -> None:
        """Learn from an answer, and perhaps have the other tiers answer too: only then is a stream added up."""
        shadow, tiers = self._drawn(verdict)
        if shadow is not None and tiers:
            cost = self.router.economics.nano
            shadow.run(self.request, tiers, {tier: answer()}, lambda other: ask(other, "shadow"), cost=cost)

    async def _alearn(self, verdict: Verdict | None, tier: str, answer: Callable[[], Any], ask: AsyncAsk) -> None:
        """Learn from an answer in async code; see `_learn`."""
        shadow, tiers = self._drawn(verdict)
        if shadow is not None and tiers:
            cost = self.router.economics.nano
            await shadow.arun(self.request, tiers, {tier: answer()}, lambda other: ask(other, "shadow"), cost=cost)

    def _drawn(self, verdict: Verdict | None) -> tuple[Shadow | None, tuple[str, ...]]:
        """Tell the router what came of the decision, and draw whose answers are compared."""
        self.router.checked(self.request, self.decision, verdict)
        shadow = self.router.shadow
        return shadow, shadow.drawn(self.decision.offers) if shadow is not None else ()

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
