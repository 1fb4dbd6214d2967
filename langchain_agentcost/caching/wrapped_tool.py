"""A tool that goes through a cache by itself, wherever it is called."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, overload

from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.config import ensure_config
from langchain_core.tools import BaseTool, tool
from pydantic import Field, InstanceOf

from langchain_agentcost.caching.tool_cache import ToolCache
from langchain_agentcost.caching.tool_inputs import AskedTool
from langchain_agentcost.caching.tools import Effect, ToolCachePolicy
from langchain_agentcost.errors import CacheError

Toolish = BaseTool | Callable[..., Any]


@overload
def cached_tool(
    tool_or_function: Toolish, /, *, effect: Effect | None = None, cache: ToolCache | None = None, **policy: Any
) -> CachedTool: ...


@overload
def cached_tool(
    *, effect: Effect | None = None, cache: ToolCache | None = None, **policy: Any
) -> Callable[[Toolish], CachedTool]: ...


def cached_tool(
    tool_or_function: Toolish | None = None,
    /,
    *,
    effect: Effect | None = None,
    cache: ToolCache | None = None,
    **policy: Any,
) -> CachedTool | Callable[[Toolish], CachedTool]:
    """Make a tool that a cache serves: for `ToolNode`, `create_agent`, `bind_tools`, or by itself.

    It is called as the tool is, with the same name, schema and injected arguments. On a hit no tool runs, so the
    callbacks of tools are not called; on a miss they are called as without a cache.

    Args:
        tool_or_function: A tool, or a function that LangChain's `tool` makes one of; leave it out to decorate.
        effect: What a call does; None asks the cache's policies, then what the tool says of itself.
        cache: Where results are kept. All tools of a graph need the same one, its writes too: what is written past the
            cache ends nothing. Only a pure tool may have one of its own.
        **policy: The other fields of `ToolCachePolicy`.

    Returns:
        The tool, or a decorator.

    Raises:
        CacheError: If the policy cannot be so, or a tool that is not pure has no cache.

    Example:
        >>> @cached_tool(effect="pure", scope="global")
        ... def square(n: int) -> int:
        ...     "Square a number."
        ...     print("computing")
        ...     return n * n
        >>> square.invoke({"n": 3}), square.invoke({"n": 3})
        computing
        (9, 9)
    """
    if effect is None and policy:
        raise CacheError(f"Say the effect as well: {', '.join(policy)} mean nothing without one.")
    own = None if effect is None else ToolCachePolicy(effect, **policy)
    if cache is None and (own is None or own.effect != "pure"):
        raise CacheError(
            "Give the ToolCache that all tools of the graph go through: cache=…. It has to see every write."
        )
    shared = cache if cache is not None else ToolCache()
    if tool_or_function is None:
        return lambda given: _wrapped(given, shared, own)
    return _wrapped(tool_or_function, shared, own)


class CachedTool(BaseTool):
    """A tool behind a cache; `cached_tool` makes it.

    Args:
        inner: The tool.
        cache: What serves its results.
        cache_policy: How; None asks the cache.
    """

    inner: InstanceOf[BaseTool]
    cache: InstanceOf[ToolCache] = Field(exclude=True, repr=False)
    cache_policy: ToolCachePolicy | None = Field(default=None, exclude=True)

    @property
    def func(self) -> Callable[..., Any] | None:
        """The tool's function, where it has one: `ToolNode` reads from it what to inject."""
        found: Callable[..., Any] | None = getattr(self.inner, "func", None)
        return found

    @property
    def coroutine(self) -> Callable[..., Awaitable[Any]] | None:
        """The tool's async function, where it has one."""
        found: Callable[..., Awaitable[Any]] | None = getattr(self.inner, "coroutine", None)
        return found

    @property
    def args(self) -> dict[str, Any]:
        """The tool's own."""
        return self.inner.args

    @property
    def tool_call_schema(self) -> Any:
        """The tool's own."""
        return self.inner.tool_call_schema

    def get_input_schema(self, config: RunnableConfig | None = None) -> Any:
        """Give the tool's own."""
        return self.inner.get_input_schema(config)

    def invoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:  # noqa: A002
        """Serve a call, or make it."""
        asked = self._asked(input, config)
        return self.cache.call(asked, lambda: self.inner.invoke(input, config, **kwargs), policy=self._policy())

    async def ainvoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:  # noqa: A002
        """Serve a call, or make it."""
        asked = self._asked(input, config)
        return await self.cache.acall(asked, lambda: self.inner.ainvoke(input, config, **kwargs), policy=self._policy())

    def run(self, tool_input: str | dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        """Serve a call, or make it, as older code asks for it."""
        asked = self._asked(tool_input, kwargs.get("config"), call_id=kwargs.get("tool_call_id"))
        return self.cache.call(asked, lambda: self.inner.run(tool_input, *args, **kwargs), policy=self._policy())

    async def arun(self, tool_input: str | dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        """Serve a call, or make it, as older code asks for it."""
        asked = self._asked(tool_input, kwargs.get("config"), call_id=kwargs.get("tool_call_id"))
        return await self.cache.acall(
            asked, lambda: self.inner.arun(tool_input, *args, **kwargs), policy=self._policy()
        )

    def _run(self, *args: Any, **kwargs: Any) -> Any:
        """Never called: the tool itself is run."""
        raise NotImplementedError

    def _policy(self) -> ToolCachePolicy:
        return self.cache_policy or self.cache.policy_of(self.name, self.inner)

    def _asked(self, given: Any, config: RunnableConfig | None, *, call_id: str | None = None) -> AskedTool:
        if isinstance(given, Mapping) and given.get("type") == "tool_call":
            call_id, given = given["id"], given["args"]
        args = dict(given) if isinstance(given, Mapping) else {"!input": given}
        runtime = args.get("runtime")
        config = ensure_config(config)
        return AskedTool(
            name=self.name,
            args=args,
            call_id=call_id,
            caller=self.cache.shelf.caller(config),
            tool=self.inner,
            config=config,
            state=getattr(runtime, "state", None),
            context=getattr(runtime, "context", None),
        )


_SAME = ("name", "description", "args_schema", "return_direct", "verbose", "tags", "metadata", "extras",
         "handle_tool_error", "handle_validation_error", "response_format")  # fmt: skip
"""What a cached tool has of the tool."""


def _wrapped(given: Toolish, cache: ToolCache, policy: ToolCachePolicy | None) -> CachedTool:
    inner = given if isinstance(given, BaseTool) else tool(given)
    same = {name: getattr(inner, name) for name in _SAME}
    return CachedTool(inner=inner, cache=cache, cache_policy=policy, **same)
