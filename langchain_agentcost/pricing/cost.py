"""What one call costs, split so that the parts sum to the total."""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Self

from langchain_agentcost.money import from_nano


@dataclass(frozen=True, slots=True)
class PriceSource:
    """Where a price comes from, so that a bill can be checked years later.

    Args:
        name: "genai-prices", "override", "hosted", "tool", …: who says so.
        version: The source's version, or the hash of the user's price file.
        as_of: The instant from which the price holds, ISO 8601; None where the source knows of no change before it.
    """

    name: str
    version: str
    as_of: str | None = None


@dataclass(frozen=True, slots=True)
class Cost:
    """The price of one call, or of several added up. The six parts are disjoint and sum to the total.

    Inside, money is whole nano-USD; the properties give `Decimal` USD.

    Args:
        total_nano: The total in nano-USD, rounded once, half to even.
        input_nano: Input that was neither read from nor written to the prompt cache, audio included.
        output_nano: All output, reasoning and audio included.
        cache_read_nano: Input read from the prompt cache.
        cache_write_nano: Input written to the prompt cache, for any lifetime.
        request_nano: Fees per request or task.
        tool_nano: Tools: the price of a tool call, or the provider's own tools within a model call.
        price: Where the price comes from; None for sums over several sources.
        service_tier: The tier it was priced at; None is standard.
        flags: What a reader must know, such as "estimated usage" or "no batch price; standard used".

    Example:
        >>> Cost(3, input_nano=2, output_nano=1).usd
        Decimal('3E-9')
    """

    total_nano: int = 0
    input_nano: int = 0
    output_nano: int = 0
    cache_read_nano: int = 0
    cache_write_nano: int = 0
    request_nano: int = 0
    tool_nano: int = 0
    price: PriceSource | None = None
    service_tier: str | None = None
    flags: tuple[str, ...] = ()

    @property
    def total(self) -> Decimal:
        """The total in USD."""
        return from_nano(self.total_nano)

    usd = total

    @property
    def input(self) -> Decimal:
        """Uncached input in USD."""
        return from_nano(self.input_nano)

    @property
    def output(self) -> Decimal:
        """Output in USD."""
        return from_nano(self.output_nano)

    @property
    def cache_read(self) -> Decimal:
        """Prompt-cache reads in USD."""
        return from_nano(self.cache_read_nano)

    @property
    def cache_write(self) -> Decimal:
        """Prompt-cache writes in USD."""
        return from_nano(self.cache_write_nano)

    @property
    def request(self) -> Decimal:
        """Fees per request or task in USD."""
        return from_nano(self.request_nano)

    @property
    def tool(self) -> Decimal:
        """Tools in USD."""
        return from_nano(self.tool_nano)

    @property
    def source(self) -> str | None:
        """Who states the price."""
        return self.price.name if self.price else None

    @property
    def version(self) -> str | None:
        """The version of the source."""
        return self.price.version if self.price else None

    @property
    def as_of(self) -> str | None:
        """The instant from which the price holds, ISO 8601."""
        return self.price.as_of if self.price else None

    def flagged(self, *flags: str) -> Self:
        """Give this cost with further flags."""
        return replace(self, flags=tuple(dict.fromkeys(self.flags + flags)))

    def __add__(self, other: object) -> Self:
        """Add costs part by part."""
        if not isinstance(other, Cost):
            return NotImplemented
        return type(self)(
            **{name: getattr(self, name) + getattr(other, name) for name in PARTS},
            price=self.price if self.price == other.price else None,
            service_tier=self.service_tier if self.service_tier == other.service_tier else None,
            flags=tuple(dict.fromkeys(self.flags + other.flags)),
        )

    def __neg__(self) -> Self:
        """Turn the cost around, for correction entries."""
        return replace(self, **{name: -getattr(self, name) for name in PARTS})

    def __radd__(self, other: object) -> Self:
        """Make `sum()` work, which starts from 0."""
        return self if other == 0 else NotImplemented


PARTS = ("total_nano", "input_nano", "output_nano", "cache_read_nano", "cache_write_nano", "request_nano", "tool_nano")
"""The amounts of a `Cost`, the total first."""
