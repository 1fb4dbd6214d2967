"""A cache of what tools gave: reads that were made before are not made again until something is written."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from copy import deepcopy
from typing import Any, NamedTuple, TypeVar

from langchain_core.tools import BaseTool
from langgraph.prebuilt.tool_node import ToolCallRequest

from langchain_agentcost.attribution import AttributionMap
from langchain_agentcost.caching.keys import keyed
from langchain_agentcost.caching.reporting import atell, new_hit_id, tell
from langchain_agentcost.caching.scope import Caller
from langchain_agentcost.caching.shelf import Shelf
from langchain_agentcost.caching.singleflight import Landed, SingleFlight
from langchain_agentcost.caching.store import CacheStore
from langchain_agentcost.caching.tags import owner_tags, written_tags
from langchain_agentcost.caching.tool_inputs import AskedTool, ToolInputs
from langchain_agentcost.caching.tool_results import ToolResult
from langchain_agentcost.caching.tool_steps import Kept, Reading, Writes, Writing
from langchain_agentcost.caching.tools import ToolCachePolicy
from langchain_agentcost.errors import CacheError, CacheWarning, Unkeyable, give_warning
from langchain_agentcost.money import to_nano
from langchain_agentcost.saving import CacheHit, SparedCall

R = TypeVar("R")

WRITE = ToolCachePolicy()
"""What a tool is taken for of which nothing is known."""


class ToolCache:
    """Serves the results of tools again, as their policies allow it. All tools of a graph belong into one cache.

    A cache has to see the writes to know when reads end: give it to the node that runs all tools, or wrap each of them
    by `cached_tool`. A tool without a policy is a write. A hit is told to the meter, with the tool's price where there
    is one, and never as tokens: the result is sent to the model all the same.

    A write that is cancelled or times out ends reads at that moment. Where its work goes on elsewhere, in a thread or
    on a server, what is read until it is done may be old; `ttl_s` bounds for how long.

    Args:
        policies: How tools are cached, by name.
        store: Where results are kept: a store, its URL, or a shelf that caches share; None is memory.
        default: For tools without a policy; None goes by what they say of themselves, see `ToolCachePolicy.of`.
        attribution: Which metadata names tenant, user and session: the same that the meter has.
        secret: Makes stored hashes unguessable; see `Shelf`.
        name: What its hits are reported by; caches of other names share nothing, whatever they share a store with.

    Example:
        >>> from langgraph.prebuilt import ToolNode
        >>> cache = ToolCache({"get_order": ToolCachePolicy("read", tags=("orders",))})
        >>> node = ToolNode([], wrap_tool_call=cache.wrap_tool_call, awrap_tool_call=cache.awrap_tool_call)
    """

    def __init__(
        self,
        policies: Mapping[str, ToolCachePolicy] | None = None,
        *,
        store: CacheStore | Shelf | str | None = None,
        default: ToolCachePolicy | None = None,
        attribution: AttributionMap | None = None,
        secret: bytes | None = None,
        name: str = "tool",
    ) -> None:
        self.shelf = Shelf.of(store, secret=secret, attribution=attribution)
        self.name = name
        self._policies = dict(policies or {})
        self._default = default
        self._inputs = ToolInputs()
        self._writes = Writes(self.shelf)
        self._flights = SingleFlight()
        self._renewing: dict[str, Reading] = {}
        self._warned: set[str] = set()

    @property
    def counts(self) -> dict[str, int]:
        """What happened so far, by name.

        "hits", "coalesced" (hits of a call that was still under way), "misses", "writes"; and reads that were made past
        the cache: "after_write", "unkeyable", "refused_unscoped" (no run to share with). Of results that were not
        kept: "errors", "unstorable", "overtaken" (by a write).
        """
        return self.shelf.counts

    def wrap_tool_call(self, request: ToolCallRequest, execute: Callable[[ToolCallRequest], R]) -> R:
        """Serve a tool call, or make it: for `ToolNode(wrap_tool_call=…)`.

        Args:
            request: The call.
            execute: Makes it.
        """
        made: R = self.call(self._asked(request), lambda: execute(request))
        return made

    async def awrap_tool_call(self, request: ToolCallRequest, execute: Callable[[ToolCallRequest], Awaitable[R]]) -> R:
        """Serve a tool call, or make it, from async code: for `ToolNode(awrap_tool_call=…)`."""
        made: R = await self.acall(self._asked(request), lambda: execute(request))
        return made

    def call(self, asked: AskedTool, make: Callable[[], Any], *, policy: ToolCachePolicy | None = None) -> Any:
        """Serve a call, or make it.

        Args:
            asked: The call.
            make: Makes it.
            policy: How its tool is cached; None looks it up.

        Returns:
            What the tool gave, now or before.

        Raises:
            BaseException: Whatever the call raises.
        """
        step = self.begin(asked, policy)
        if step is None:
            return make()
        if isinstance(step, Reading):
            return self._read(step, make)
        try:
            return make()
        finally:
            step.end()

    async def acall(
        self, asked: AskedTool, make: Callable[[], Awaitable[Any]], *, policy: ToolCachePolicy | None = None
    ) -> Any:
        """Serve a call, or make it, from async code; see `call`."""
        step = await self.shelf.off_loop(self.begin, asked, policy)
        if step is None:
            return await make()
        if isinstance(step, Reading):
            return await self._aread(step, make)
        try:
            return await make()
        finally:
            await self.shelf.off_loop(step.end)

    def begin(self, asked: AskedTool, policy: ToolCachePolicy | None = None) -> Reading | Writing | None:
        """Take the first step of a call, before anything is looked at or done.

        Args:
            asked: The call.
            policy: How its tool is cached; None looks it up.

        Returns:
            What follows: a read that looks up and keeps, or a write to be ended. None where it is made past the cache.
        """
        policy = policy or self.policy_of(asked.name, asked.tool)
        if policy.effect != "write":
            return self._begin_read(asked, policy)
        self.shelf.count("writes")
        try:
            names = policy.tags_for(self._inputs.args(asked, policy)) if policy.tags else ()
        except Unkeyable as error:
            self._warn(asked.name, error)
            names = ()  # nobody knows then what is written
        return self._writes.begin(asked.caller, names, scope=policy.scope)

    def policy_of(self, name: str, tool: BaseTool | None = None) -> ToolCachePolicy:
        """Say how a tool is cached.

        Args:
            name: Its name.
            tool: The tool, where it is known: it may say itself what it does.
        """
        own = getattr(tool, "cache_policy", None)
        said = self._policies.get(name) or (own if isinstance(own, ToolCachePolicy) else self._default)
        return said or (WRITE if tool is None else ToolCachePolicy.of(tool))

    def invalidate(
        self,
        tags: Iterable[str] = (),
        *,
        tenant: str | None = None,
        user: str | None = None,
        session: str | None = None,
    ) -> None:
        """End results, also those that are being made, by tags or by whose they are.

        Args:
            tags: What was changed, as policies name it; of this tenant, and of what everybody shares.
            tenant: Whose; with no tags, all that is the tenant's.
            user: With no tags, all that is this user's of the tenant.
            session: With no tags, all that is this session's.

        Raises:
            CacheError: If nothing is named: `clear` is for everything.
            StoreUnavailable: If the store cannot be reached.
        """
        caller, secret, names = Caller(tenant=tenant, user=user, session=session), self.shelf.secret, tuple(tags)
        narrow = owner_tags(caller, "session", secret=secret)[-1:]
        if not (names or narrow):
            raise CacheError("Say what has changed: tags, a tenant, a user or a session. clear() forgets everything.")
        self.shelf.end(written_tags(names, caller, secret=secret) if names else narrow)

    def clear(self) -> None:
        """Forget everything that this cache kept.

        Raises:
            StoreUnavailable: If the store cannot be reached.
        """
        own = (keyed("tool cache", self.name, secret=self.shelf.secret),)
        self.shelf.end(own)  # also what is being made
        self.shelf.store.delete(own)

    def close(self) -> None:
        """Close the store."""
        self.shelf.close()

    def _asked(self, request: ToolCallRequest) -> AskedTool:
        """A call as `ToolNode` describes it; outside a graph there is no runtime."""
        call, config = request.tool_call, getattr(request.runtime, "config", None)
        return AskedTool(
            name=call["name"],
            args=call["args"],
            call_id=call["id"] or "",
            caller=self.shelf.caller(config),
            tool=request.tool,
            config=config,
            state=request.state,
            context=getattr(request.runtime, "context", None),
        )

    def _begin_read(self, asked: AskedTool, policy: ToolCachePolicy) -> Reading | None:
        namespace = asked.caller.namespace(policy.scope or "run")
        if namespace is None:
            self.shelf.unscoped()
            return None
        if not self._writes.settle() or (epoch := self.shelf.epoch()) is None:
            return None
        if policy.effect == "read" and self._writes.unknown_in(asked.caller.run):
            self.shelf.count("after_write")
            return None
        try:
            inputs = self._inputs.of(asked, policy)
            names = policy.tags_for(inputs.args)
        except Unkeyable as error:
            self._warn(asked.name, error)
            self.shelf.count("unkeyable")
            return None
        return Reading(
            asked=asked,
            policy=policy,
            writes=self._writes,
            cache=self.name,
            epoch=epoch,
            namespace=namespace,
            key=keyed("tool", inputs.written, secret=self.shelf.secret),
            names=names,
        )

    def _read(self, step: Reading, make: Callable[[], Any]) -> Any:
        kept = step.look_up()
        if kept is None or self._renews(step, kept):
            try:
                landed = self._flights.do(step.flight, lambda: self._make(step, make))
            finally:
                self._renewing.pop(step.flight, None)
            if landed.value.kept is None and not landed.shared:
                return landed.value.value
            kept = self._from(landed)
        if kept is None:
            self.shelf.count("misses")
            return make()
        tell(self._hit(step, kept), step.asked.config)
        return kept.result.answer(step.asked, cache=self.name, age_s=kept.age_s)

    async def _aread(self, step: Reading, make: Callable[[], Awaitable[Any]]) -> Any:
        kept = await self.shelf.off_loop(step.look_up)
        if kept is None or self._renews(step, kept):
            try:
                landed = await self._flights.ado(step.flight, lambda: self._amake(step, make))
            finally:
                self._renewing.pop(step.flight, None)
            if landed.value.kept is None and not landed.shared:
                return landed.value.value
            kept = self._from(landed)
        if kept is None:
            self.shelf.count("misses")
            return await make()
        await atell(self._hit(step, kept), step.asked.config)
        return kept.result.answer(step.asked, cache=self.name, age_s=kept.age_s)

    def _renews(self, step: Reading, kept: Kept) -> bool:
        """Whether this caller makes the call anew: of those past the soft time to live, one at a time."""
        return kept.stale and self._renewing.setdefault(step.flight, step) is step

    def _make(self, step: Reading, make: Callable[[], Any]) -> _Made:
        kept = step.look_up()
        if kept is not None and not kept.stale:  # an equal call landed just now
            return _Made(kept=kept)
        self.shelf.count("misses")
        value = make()
        return _Made(value, step.keep(value))

    async def _amake(self, step: Reading, make: Callable[[], Awaitable[Any]]) -> _Made:
        kept = await self.shelf.off_loop(step.look_up)
        if kept is not None and not kept.stale:
            return _Made(kept=kept)
        self.shelf.count("misses")
        value = await make()
        return _Made(value, await self.shelf.off_loop(step.keep, value))

    def _from(self, landed: Landed[_Made]) -> Kept | None:
        """What another call gave, as a copy of its own; None where it cannot be shared."""
        made = landed.value
        if made.kept is not None:
            return deepcopy(made.kept) if landed.shared else made.kept
        if made.data is None:
            return None
        self.shelf.count("coalesced")
        return Kept(ToolResult.loaded(made.data), age_s=0.0, stale=False)

    def _hit(self, step: Reading, kept: Kept) -> CacheHit:
        self.shelf.count("hits")
        price = step.policy.price
        return CacheHit(
            id=new_hit_id(),
            cache=self.name,
            spared=(SparedCall(tool=step.asked.name),),
            saved_nano=None if price is None else to_nano(price),
            age_s=kept.age_s,
            entry=keyed(step.partition, step.key, kept.result.says, secret=self.shelf.secret),
            failed=kept.result.failed,
        )

    def _warn(self, tool: str, error: Unkeyable) -> None:
        """Say once a tool what is missing: its reads are not cached, its writes end all that their caller sees."""
        if tool not in self._warned:
            self._warned.add(tool)
            give_warning(CacheWarning(f"The cache cannot tell what a call of {tool} is about: {error}"))


class _Made(NamedTuple):
    """What came of a flight: a value and its bytes, or what an equal call had kept by then."""

    value: Any = None
    data: bytes | None = None
    kept: Kept | None = None
