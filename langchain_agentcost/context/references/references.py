"""References by id: the one object that puts tool results aside, reads them back, and knows whether that has paid."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from langchain_core.messages import BaseMessage, ToolMessage
from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.config import ensure_config, run_in_executor
from langgraph.store.base import BaseStore
from langgraph.store.memory import InMemoryStore

from langchain_agentcost.complaint import Complaint
from langchain_agentcost.context.blocks import is_pinned
from langchain_agentcost.context.ranking import Ranker
from langchain_agentcost.context.references import results
from langchain_agentcost.context.references.draft import Draft, drafted, stub_above
from langchain_agentcost.context.references.marks import Mark, ReadBack
from langchain_agentcost.context.references.namespace import NamespaceOf, namespace_of
from langchain_agentcost.context.references.policy import ReferencePolicy
from langchain_agentcost.context.references.reading import Reader
from langchain_agentcost.context.references.shelf import Kept, Shelf
from langchain_agentcost.context.references.tally import ReferenceReport, Tally
from langchain_agentcost.context.references.telling import atell_off, tell_off
from langchain_agentcost.pricing import PriceCard
from langchain_agentcost.tokens import TokenCounter

LONG_CHARS = 50_000
"""A longer result is worked on in a thread, so that it does not hold up an event loop."""

_REF = re.compile(r"(?<![a-z2-7])[a-z2-7]{8,26}(?![a-z2-7])")

if TYPE_CHECKING:
    from langgraph.prebuilt.tool_node import ToolCallRequest

    Handler = Callable[[ToolCallRequest], Any]
    AsyncHandler = Callable[[ToolCallRequest], Awaitable[Any]]


class References:
    r"""Keeps large tool results in a LangGraph store, and leaves stubs in the prompt from the moment they come.

    That moment is the only one at which a prompt can be made shorter without losing the provider's prompt cache. Safe
    to share between threads, event loops, agents and tenants: each run has a namespace of its own. Whatever goes wrong,
    the result goes into the prompt as it is, and a warning says so once.

    Args:
        store: Any LangGraph store; None keeps results in memory.
        policy: What is put aside, and how long it is kept.
        card: The prices of the model that reads the prompts; None judges by tokens.
        counter: Counts tokens.
        namespace: Whose a run's references are.
        ranker: Finds what answers a query of `read_ref`; BM25 where none is given.

    Example:
        >>> references = References()
        >>> log = "\n".join(f"line {n}: worker_{n} took job_{n} and put it where it belongs" for n in range(300))
        >>> short = references.offload(ToolMessage(log, tool_call_id="1", name="read_log"))
        >>> print(references.read(Mark.of(short).ref, lines="201"))
        line 200: worker_200 took job_200 and put it where it belongs
        [lines 201-201 of 300]
        >>> references.report().tools["read_log"].refetches
        1
    """

    def __init__(
        self,
        store: BaseStore | None = None,
        *,
        policy: ReferencePolicy | None = None,
        card: PriceCard | None = None,
        counter: TokenCounter | None = None,
        namespace: NamespaceOf = namespace_of,
        ranker: Ranker | None = None,
    ) -> None:
        self.policy = policy or ReferencePolicy()
        counter = counter or TokenCounter()
        self._count = counter.count_text
        self._namespace = namespace
        self._tally = Tally(counter=counter, card=card, min_offloads=self.policy.min_offloads)
        kept_in = InMemoryStore() if store is None else store
        self._shelf = Shelf(kept_in, ttl_s=self.policy.ttl_s, max_bytes=self.policy.max_bytes)
        self._reader = Reader(count=self._count, most_tokens=self.policy.read_tokens, ranker=ranker)
        self._complaint = Complaint("References failed, so tool results go into the prompt whole")

    def offload(
        self,
        message: ToolMessage,
        *,
        messages: Sequence[BaseMessage] = (),
        tool: str | None = None,
        config: RunnableConfig | None = None,
        above_tokens: int | None = None,
    ) -> ToolMessage:
        """Make a tool result short before it first enters a prompt.

        Args:
            message: The result. Its id, status and artifact stay, and so do images.
            messages: What stands before it in the prompt, to find the same result; without them none is looked for.
            tool: The tool that gave it; None takes the message's name.
            config: The run's config; None takes that of the run that this code is in.
            above_tokens: From which length on it is put aside; None is the policy's. 0 is for who puts one aside later,
                where that pays.

        Returns:
            The message that goes into the history: this one, one with shorter text, a stub, or a note that names the
            call above that has the same result.
        """
        name = tool or message.name or ""
        if self._stays(message, name):
            return message
        try:
            draft = self._draft(message, name, messages)
            if draft is None or not self._wants(draft, above_tokens):
                return self._compressed(draft, message)
            ref = self._shelf.put(self._namespace(ensure_config(config)), draft.text, tool=name)
            return self._short(draft, ref, messages)
        except Exception as error:  # noqa: BLE001  # any store, any text: the user's run goes on
            self._complaint.about(error)
            return message

    async def aoffload(
        self,
        message: ToolMessage,
        *,
        messages: Sequence[BaseMessage] = (),
        tool: str | None = None,
        config: RunnableConfig | None = None,
        above_tokens: int | None = None,
    ) -> ToolMessage:
        """Make a tool result short, from async code; see `offload`."""
        name = tool or message.name or ""
        if self._stays(message, name):
            return message
        try:
            draft = await self._later(partial(self._draft, message, name, messages), len(str(message.content)))
            if draft is None or not self._wants(draft, above_tokens):
                return self._compressed(draft, message)
            ref = await self._shelf.aput(self._namespace(ensure_config(config)), draft.text, tool=name)
            short: ToolMessage = await self._later(partial(self._short, draft, ref, messages), len(draft.text))
        except Exception as error:  # noqa: BLE001  # any store, any text: the user's run goes on
            self._complaint.about(error)
            return message
        return short

    def read(
        self,
        ref: str,
        *,
        query: str | None = None,
        lines: str | None = None,
        jsonpath: str | None = None,
        config: RunnableConfig | None = None,
    ) -> str:
        """Read a result back, for an agent: whatever is wrong is said in words, and nothing is raised.

        Args:
            ref: The reference, as it stands in the prompt.
            query: What is looked for in it.
            lines: Which lines, such as "10-40".
            jsonpath: Where in its JSON.
            config: The run's config; None takes that of the run that this code is in.
        """
        return self.read_back(ref, query=query, lines=lines, jsonpath=jsonpath, config=config)[0]

    def read_back(self, ref: str, *, config: RunnableConfig | None = None, **how: str | None) -> tuple[str, ReadBack]:
        """Read a result back, and say what it was and how long; `how` is as in `read`."""
        key = _key(ref)
        try:
            kept = self._shelf.get(self._namespace(ensure_config(config)), key) if key else None
        except Exception as error:  # noqa: BLE001  # any store
            return self._unreadable(ref, error)
        told = self._told(ref, kept, how)
        tell_off(self._tally.newly_off(), self.report, config)
        return told

    async def aread_back(
        self, ref: str, *, config: RunnableConfig | None = None, **how: str | None
    ) -> tuple[str, ReadBack]:
        """Read a result back from async code; see `read_back`."""
        key = _key(ref)
        try:
            kept = await self._shelf.aget(self._namespace(ensure_config(config)), key) if key else None
        except Exception as error:  # noqa: BLE001  # any store
            return self._unreadable(ref, error)
        told: tuple[str, ReadBack] = await self._later(
            partial(self._told, ref, kept, how), len(kept.text) if kept else 0
        )
        await atell_off(self._tally.newly_off(), self.report, config)
        return told

    def wrap_tool_call(self, request: ToolCallRequest, handler: Handler) -> Any:
        """Make a tool call and its result short: for `ToolNode(wrap_tool_call=...)`.

        Args:
            request: LangGraph's `ToolCallRequest`.
            handler: Makes the call.

        Returns:
            What the call gave: a message, a command that writes messages, or several.
        """
        result = handler(request)
        given = results.messages_in(result)
        short = [self.offload(one, **_context(request)) for one in given]
        return results.with_messages(result, short) if short else result

    async def awrap_tool_call(self, request: ToolCallRequest, handler: AsyncHandler) -> Any:
        """Make a tool call and its result short: for `ToolNode(awrap_tool_call=...)`."""
        result = await handler(request)
        given = results.messages_in(result)
        short = [await self.aoffload(one, **_context(request)) for one in given]
        return results.with_messages(result, short) if short else result

    def count_prompt(self, messages: Sequence[BaseMessage], *, config: RunnableConfig | None = None) -> None:
        """Count what references spare and cost in a prompt: once for each model call; the middleware does it.

        Args:
            messages: The prompt, as it is sent.
            config: The run's config, to tell of a tool that is switched off.
        """
        self._counted(messages)
        tell_off(self._tally.newly_off(), self.report, config)

    async def acount_prompt(self, messages: Sequence[BaseMessage], *, config: RunnableConfig | None = None) -> None:
        """Count what references spare and cost in a prompt, from async code."""
        self._counted(messages)
        await atell_off(self._tally.newly_off(), self.report, config)

    def report(self) -> ReferenceReport:
        """Give what references did so far, tool by tool, and which tools are switched off."""
        return self._tally.report()

    def switch(self, tool: str, *, on: bool) -> None:
        """Put a tool's results aside again, with its counts at 0, or no longer."""
        self._tally.switch(tool, on=on)

    def _stays(self, message: ToolMessage, tool: str) -> bool:
        """Whether a result is left alone: also one that was read back or put aside before."""
        handled = Mark.of(message) is not None or ReadBack.of(message) is not None or is_pinned(message)
        return handled or self.policy.excludes(tool)

    def _draft(self, message: ToolMessage, tool: str, messages: Sequence[BaseMessage]) -> Draft | None:
        return drafted(message, tool=tool, policy=self.policy, count=self._count, history=messages)

    def _wants(self, draft: Draft, above_tokens: int | None) -> bool:
        above = self.policy.above_tokens if above_tokens is None else above_tokens
        large = draft.tokens > above and not self._tally.is_off(draft.tool)
        return large or draft.twin is not None

    def _compressed(self, draft: Draft | None, message: ToolMessage) -> ToolMessage:
        if draft is None or not draft.compressed_tokens:
            return message
        self._tally.add(draft.tool, compressed_tokens=draft.compressed_tokens)
        return draft.compressed()

    def _short(self, draft: Draft, ref: str | None, messages: Sequence[BaseMessage]) -> ToolMessage:
        """What stands for a result that is kept under a reference."""
        if ref is None:
            return self._compressed(draft, draft.message)
        twin = draft.twin or stub_above(ref, messages)
        short = draft.repeat(ref, self._count, twin) if twin else draft.stubbed(ref, self._count)
        mark = Mark.of(short) if short is not None else None
        if short is None or mark is None:
            return self._compressed(draft, draft.message)
        counted = {"repeats": 1} if mark.repeat else {"offloads": 1}
        saved, free = mark.saved_tokens, draft.compressed_tokens
        self._tally.add(draft.tool, saved_tokens=saved, compressed_tokens=free, **counted)
        return short

    def _counted(self, messages: Sequence[BaseMessage]) -> None:
        try:
            self._tally.count_prompt(messages)
        except Exception as error:  # noqa: BLE001  # any message: the user's run goes on
            self._complaint.about(error)

    async def _later(self, work: Callable[[], Any], chars: int) -> Any:
        """Do it now, or in a thread where it takes long."""
        if chars <= LONG_CHARS:
            return work()
        return await run_in_executor(None, work)

    def _told(self, ref: str, kept: Kept | None, how: dict[str, str | None]) -> tuple[str, ReadBack]:
        if kept is None:
            said = f"Nothing is kept under {ref!r}, or no longer. If you need that result, call its tool again."
            return said, ReadBack(ref, None, 0)
        said = self._reader.read(kept.text, **how)
        tokens = self._count(said)
        self._tally.add(kept.tool, refetches=1, refetched_tokens=tokens)
        return said, ReadBack(_key(ref), kept.tool, tokens)

    def _unreadable(self, ref: str, error: Exception) -> tuple[str, ReadBack]:
        self._complaint.about(error)
        said = f"{ref!r} cannot be read now. If you need that result, call its tool again."
        return said, ReadBack(ref, None, 0)


def _key(ref: str) -> str:
    """The reference in what a model wrote: with "ref:" before it, in quotes or brackets; "" where there is none."""
    match = _REF.search(ref.lower())
    return match[0] if match else ""


def _context(request: ToolCallRequest) -> dict[str, Any]:
    """What a request says about its result."""
    config = getattr(request.runtime, "config", None)  # a cache or a test may have no runtime
    return {"messages": results.history(request.state), "tool": request.tool_call["name"], "config": config}
