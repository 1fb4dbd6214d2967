"""A small world that tools look at, and calls of them, for the tests of the tool cache."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from threading import Lock
from typing import Any

from langchain_core.messages import ToolMessage

from langchain_agentcost.caching.scope import Caller
from langchain_agentcost.caching.tool_cache import ToolCache
from langchain_agentcost.caching.tool_inputs import AskedTool
from langchain_agentcost.caching.tools import ToolCachePolicy

ANN = Caller(tenant="acme", user="ann", session="s1", run="r1")
BOB = Caller(tenant="acme", user="bob", session="s2", run="r2")
EVE = Caller(tenant="other", user="ann", session="s1", run="r3")
READ = ToolCachePolicy("read")
OF_TENANT = ToolCachePolicy("read", scope="tenant")
PURE = ToolCachePolicy("pure", scope="tenant")
WRITE = ToolCachePolicy("write")


def ask(
    name: str = "stock",
    args: Mapping[str, Any] | None = None,
    *,
    call_id: str | None = "c1",
    by: Caller = ANN,
    **of: Any,
) -> AskedTool:
    """A call of a tool."""
    return AskedTool(name=name, args={"item": "lamp"} if args is None else args, call_id=call_id, caller=by, **of)


class Shop:
    """A world: how often it was asked, and what it says."""

    def __init__(self, says: Any = "7 left") -> None:
        self.says = says
        self.calls = 0
        self._lock = Lock()

    def answering(self, asked: AskedTool) -> Callable[[], Any]:
        """A tool that looks at it."""

        def make() -> Any:
            with self._lock:
                self.calls += 1
            if asked.call_id is None or not isinstance(self.says, str):
                return self.says
            return ToolMessage(self.says, tool_call_id=asked.call_id, name=asked.name)

        return make


def looked(cache: ToolCache, shop: Shop, asked: AskedTool, policy: ToolCachePolicy = READ) -> Any:
    """Ask through a cache."""
    found = cache.call(asked, shop.answering(asked), policy=policy)
    return found.content if isinstance(found, ToolMessage) else found


def wrote(cache: ToolCache, policy: ToolCachePolicy = WRITE, *, by: Caller = ANN, **args: Any) -> None:
    """Write through a cache."""
    cache.call(ask("order", args, by=by), lambda: None, policy=policy)
