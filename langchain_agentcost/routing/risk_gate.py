"""What keeps a weak model from doing harm: a tool that writes is decided on by the strong one before it runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from langchain_core.runnables import RunnableConfig
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool

from langchain_agentcost.errors import RoutingError
from langchain_agentcost.routed import TIER
from langchain_agentcost.routing.request import RouteRequest
from langchain_agentcost.routing.verdict import Verdict
from langchain_agentcost.routing.verifiers.answer import proposed
from langchain_agentcost.routing.verifiers.pure import Pure


@dataclass(frozen=True, slots=True)
class ToolRiskGate(Pure):
    """Has the strong tier decide again where a weak one proposes a tool that writes.

    It stands in two places. Where a call has to use a writing tool, weak tiers do not get it (`dropped`); where it may,
    a weak tier's answer that proposes one does not pass (`check`), and the strong tier answers before anything runs.
    After a tool's result a weak model would else decide on a good part of an agent's writes: in tau-bench's airline
    runs on 79 of 298.

    What it cannot hold back are a provider's own tools, which run before there is an answer.

    Args:
        writes: The names of the tools that write. All others read. None counts all as writing that `reads` does not
            name, tools that nobody knows of among them.
        reads: The names of tools that only read; they win over `writes`.
        strong: A tier besides the strongest that may decide on its own.

    Raises:
        RoutingError: If neither is given, or one is a text.

    Example:
        >>> gate = ToolRiskGate({"book_seat"})
        >>> gate.dropped(RouteRequest.of("Book 9A.", forced_tool="book_seat"), "small", "frontier")
        'book_seat may change things, and only frontier decides on that'
    """

    writes: frozenset[str] | Iterable[str] | None = None
    reads: frozenset[str] | Iterable[str] = frozenset()
    strong: str | None = None

    def __post_init__(self) -> None:
        for field in ("writes", "reads"):
            names = getattr(self, field)
            if isinstance(names, str):
                raise RoutingError(f"{field} is a set of names, not one text: write {{{names!r}}}.")
            object.__setattr__(self, field, None if names is None else frozenset(names))
        if self.writes is None and not self.reads:
            raise RoutingError("A risk gate needs the names of tools that write, or of those that only read.")

    @classmethod
    def of(
        cls, tools: Sequence[Any], *, writes: Iterable[str] = (), reads: Iterable[str] = (), strong: str | None = None
    ) -> Self:
        """Make one of what tools say of themselves, as MCP servers do (MCP 2025-06-18, "Tool annotations").

        A tool reads where its metadata has `readOnlyHint` and no `destructiveHint`, and writes where it has either
        hint otherwise. Believe that only of servers that you trust; what is named here wins.

        Args:
            tools: The agent's tools; langchain-mcp-adapters writes a server's annotations into their `metadata`.
            writes: Names of tools that write, whatever they say.
            reads: Names of tools that read, whatever they say.
            strong: A tier besides the strongest that may decide on its own.

        Raises:
            RoutingError: If a tool says nothing and is not named here either.

        Example:
            >>> from langchain_core.tools import StructuredTool
            >>> find = StructuredTool.from_function(len, name="find", description="d", metadata={"readOnlyHint": True})
            >>> sorted(ToolRiskGate.of([find], writes=["book"]).reads)
            ['find']
        """
        said = {name: hint for tool in tools if (name := _name(tool)) is not None for hint in [_reads(tool)]}
        known = said | dict.fromkeys(writes, False) | dict.fromkeys(reads, True)
        silent = sorted(name for name, hint in known.items() if hint is None)
        if silent:
            raise RoutingError(
                f"Nothing says whether {', '.join(silent)} may change things: name each in writes=… or reads=…, "
                f"or give it metadata={{'readOnlyHint': True}}."
            )
        return cls(
            frozenset(name for name, hint in known.items() if not hint),
            frozenset(name for name, hint in known.items() if hint),
            strong,
        )

    @property
    def name(self) -> str:
        """What it is called in decisions and reports."""
        return "tool risk"

    def is_risky(self, tool: str) -> bool:
        """Tell whether a tool may change things."""
        if tool in self.reads:
            return False
        return self.writes is None or tool in self.writes

    def dropped(self, request: RouteRequest, tier: str, strongest: str) -> str | None:
        """Say why a tier may not take a call; None where it may.

        Args:
            request: The call.
            tier: The tier's name.
            strongest: The strongest tier's name.
        """
        forced = request.forced_tool
        if forced is None or forced == request.schema or tier in (strongest, self.strong) or not self.is_risky(forced):
            return None
        return f"{forced} may change things, and only {self.strong or strongest} decides on that"

    def check(self, request: RouteRequest, answer: Any, config: RunnableConfig) -> Verdict:
        """Reject an answer that proposes a tool that writes, unless `strong` gave it."""
        risky = sorted({tool for tool in proposed(answer) if tool != request.schema and self.is_risky(tool)})
        if not risky:
            return Verdict(accepted=True)
        if self.strong is not None and (config.get("metadata") or {}).get(TIER) == self.strong:
            return Verdict(accepted=True, reasons=(f"{self.strong} may decide on tools that change things",))
        known = self.writes or frozenset()
        names = [tool for tool in risky if tool in known or tool in request.tools]  # others are text of the answer
        said = ", ".join(names) if names else "a tool that nobody has named"
        return Verdict(accepted=False, reasons=(f"it proposes {said}, which may change things",))


def _name(tool: Any) -> str | None:
    """A tool's name; None for a provider's own, which runs before there is an answer."""
    if isinstance(tool, BaseTool):
        return tool.name
    if isinstance(tool, Mapping) and "type" in tool and tool["type"] not in ("function", "custom", "object"):
        return None
    return str(convert_to_openai_tool(tool)["function"]["name"])


def _reads(tool: Any) -> bool | None:
    """Whether a tool says that it only reads; None where it says nothing."""
    said = (tool.metadata if isinstance(tool, BaseTool) else None) or {}
    annotations = said.get("annotations")
    hints = {**(annotations if isinstance(annotations, Mapping) else {}), **said}
    if not {"readOnlyHint", "destructiveHint"} & hints.keys():
        return None
    return hints.get("readOnlyHint") is True and hints.get("destructiveHint") is not True
