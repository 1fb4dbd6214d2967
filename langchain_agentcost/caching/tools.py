"""What a tool does to the world, and so whether what it gave may be served again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, dataclass
from decimal import Decimal
from string import Formatter
from typing import Any, Literal, Self, get_args

from langchain_core.tools import BaseTool

from langchain_agentcost.caching.lifetime import Lifetime
from langchain_agentcost.caching.scope import Scope, checked_scope
from langchain_agentcost.errors import CacheError, Unkeyable

Effect = Literal["pure", "read", "write"]
"""What a call does: nothing but compute, look at a state that may change, or perhaps change it."""

Normalise = Callable[[dict[str, Any]], Mapping[str, Any]] | Mapping[str, Callable[[Any], Any]]
"""Makes arguments that mean the same the same: a function of all of them, or of single ones by name."""

ROOTS = ("state", "context", "configurable", "metadata")
"""Where what a graph hands to a tool can be looked up: see `ToolCachePolicy.vary_on`."""


@dataclass(frozen=True, slots=True)
class ToolCachePolicy:
    """How a tool's results are cached. Nothing said means the worst: it writes, and nobody knows what.

    A write is never cached. When it ends, however it ends, it ends the reads that its tags name. Without tags it ends
    all that its caller could be served, and its run reads past the cache from then on.

    Args:
        effect: "pure": the same arguments give the same result for ever. "read": until something is written. "write":
            never.
        ttl_s: How long a result is served, in seconds; None is for ever. It varies by a tenth.
        soft_ttl_s: From when on one caller makes the call anew, while the others are still served.
        scope: Of a pure tool or a read, whose state it sees: who shares results. None is the run. Of a write without
            tags, whose state it may change; None is every one that its caller sees.
        tags: What a read shows, or a write changes, such as "orders" or "orders:{order_id}" with an argument's value.
        negative_ttl_s: How long a result that says it is an error is served; None never. Any write ends it.
        price: What a call costs, in USD; None where it costs nothing or nobody knows.
        normalise: Makes arguments that mean the same the same.
        vary_on: What else a result depends on of what the graph hands to the tool: "state.customer",
            "context.user_id", "configurable.region". Where a tool is given the store, the runtime, the config or the
            whole state, it is not cached until this says on what of it the result depends; () is on nothing.
        version: Of the tool: what another version gave is not served. Where a tool has captured or holds objects, such
            as clients, its results outlive the process only under a version, which then speaks for them.

    Raises:
        CacheError: If it cannot be so.

    Example:
        >>> ToolCachePolicy("read", tags=("orders:{order_id}",)).tags_for({"order_id": 7})
        ('orders:7',)
    """

    effect: Effect = "write"
    _: KW_ONLY
    ttl_s: float | None = None
    soft_ttl_s: float | None = None
    scope: Scope | None = None
    tags: tuple[str, ...] = ()
    negative_ttl_s: float | None = None
    price: Decimal | None = None
    normalise: Normalise | None = None
    vary_on: tuple[str, ...] | None = None
    version: str = ""

    def __post_init__(self) -> None:
        if self.effect not in get_args(Effect):
            raise CacheError(f"effect is pure, read or write, not {self.effect!r}.")
        kept = (self.ttl_s, self.soft_ttl_s, self.negative_ttl_s, self.price, self.vary_on)
        if self.effect == "write" and any(value is not None for value in kept):
            raise CacheError('A write is never cached: say effect="read" or "pure", or leave times and price out.')
        if self.effect == "pure" and self.tags:
            raise CacheError("What a pure tool gives never ends: tags are for reads and writes.")
        Lifetime(ttl_s=self.ttl_s, soft_ttl_s=self.soft_ttl_s)
        Lifetime(ttl_s=self.negative_ttl_s)
        _check_scope(self.scope)
        _check_price(self.price)
        _check_texts("tags", self.tags, _check_tag)
        _check_texts("vary_on", self.vary_on or (), _check_path)

    @classmethod
    def of(cls, tool: BaseTool) -> Self:
        """Read what a tool's own metadata says, as MCP servers do; a tool that says nothing writes.

        `readOnlyHint` makes a read, in the scope of the run. `idempotentHint` alone does not: MCP means by it that a
        second call changes nothing more, so the first one does change something, and has to end what was read before.
        Give tools of servers that you do not trust policies of your own (MCP 2025-06-18, "Tool annotations").

        Args:
            tool: Any tool; langchain-mcp-adapters writes the server's annotations into `metadata`.

        Example:
            >>> from langchain_core.tools import StructuredTool
            >>> hints = {"readOnlyHint": True}
            >>> ToolCachePolicy.of(StructuredTool.from_function(len, name="f", description="d", metadata=hints)).effect
            'read'
        """
        said = tool.metadata or {}
        hints = {**_mapping(said.get("annotations")), **said}
        reads = hints.get("readOnlyHint") is True and hints.get("destructiveHint") is not True
        return cls("read" if reads else "write")

    @property
    def lifetime(self) -> Lifetime:
        """How long a result is served."""
        return Lifetime(ttl_s=self.ttl_s, soft_ttl_s=self.soft_ttl_s)

    def normalised(self, args: Mapping[str, Any]) -> dict[str, Any]:
        """Give arguments as they are compared.

        Args:
            args: The arguments, after the tool's own schema.

        Raises:
            Exception: Whatever `normalise` raises.
        """
        if self.normalise is None:
            return dict(args)
        if callable(self.normalise):
            return dict(self.normalise(dict(args)))
        rules = self.normalise
        return {name: rules[name](value) if name in rules else value for name, value in args.items()}

    def tags_for(self, args: Mapping[str, Any]) -> tuple[str, ...]:
        """Give the tags of a call.

        Args:
            args: Its arguments, as they are compared.

        Raises:
            Unkeyable: If a tag names an argument that there is not.
        """
        try:
            return tuple(tag.format_map(args) for tag in self.tags)
        except Exception as error:  # how a value is written is its own code
            raise Unkeyable(f"A tag of {self.tags} cannot be filled in: {error!r}") from error


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _check_scope(scope: str | None) -> None:
    try:
        checked_scope(scope if scope is not None else "run")
    except ValueError as error:
        raise CacheError(str(error)) from error


def _check_price(price: object) -> None:
    if price is not None and not (isinstance(price, Decimal) and price.is_finite() and price >= 0):
        raise CacheError(f"price is a Decimal of USD of at least 0, or None, not {price!r}.")


def _check_texts(name: str, texts: tuple[str, ...] | str, check: Callable[[str], None]) -> None:
    if isinstance(texts, str):
        raise CacheError(f"{name} is a tuple of texts, not one text: write ({texts!r},).")
    for text in texts:
        check(text)


def _check_path(path: str) -> None:
    root, _, rest = path.partition(".")
    if root not in ROOTS or not rest:
        raise CacheError(f"vary_on takes paths such as {ROOTS[0]}.name, below {', '.join(ROOTS)}, not {path!r}.")


def _check_tag(tag: str) -> None:
    """Only names of arguments may stand in braces: nothing of theirs is looked into."""
    try:
        fields = [name for _, name, _, _ in Formatter().parse(tag) if name is not None]
    except ValueError as error:
        raise CacheError(f"The tag {tag!r} has a brace too many: {error}") from error
    if not all(name.isidentifier() for name in fields):
        raise CacheError(f"A tag holds arguments by name, as in orders:{{order_id}}, not as in {tag!r}.")
