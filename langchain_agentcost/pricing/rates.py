"""Prices that are not per token: tools, own hardware, and the currency of the bill."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from math import inf

from langchain_agentcost.errors import PriceNotFound
from langchain_agentcost.money import to_nano
from langchain_agentcost.pricing.card import TOKENS_PER_RATE, Rate
from langchain_agentcost.pricing.cost import Cost, PriceSource

SECONDS_PER_HOUR = 3600


@dataclass(frozen=True, slots=True)
class ToolRate:
    """What one call of a tool costs.

    Args:
        per_call: USD per call.
        per_second: USD per second of its duration.

    Example:
        >>> ToolRate(per_call=Decimal("0.005"), per_second=Decimal("0.001")).usd(duration_s=2.0)
        Decimal('0.007')
    """

    per_call: Decimal = Decimal(0)
    per_second: Decimal = Decimal(0)

    def usd(self, *, duration_s: float | None = None) -> Decimal | None:
        """Give the price of one call in USD; None where it depends on a duration that was not measured."""
        if not self.per_second:
            return self.per_call
        if duration_s is None or not 0 <= duration_s < inf:
            return None
        return self.per_call + self.per_second * Decimal(duration_s)

    def cost(self, price: PriceSource, *, duration_s: float | None = None) -> Cost | None:
        """Give the price of one call as a cost."""
        usd = self.usd(duration_s=duration_s)
        if usd is None:
            return None
        nano = to_nano(usd)
        return Cost(nano, tool_nano=nano, price=price)


@dataclass(frozen=True, slots=True)
class HostedRate:
    """What a token costs on hardware that is paid by the hour.

    An hour of hardware yields `tokens_per_s * 3600 * utilisation` tokens of one kind, where `tokens_per_s` is what you
    measured under full load, with all batching, over the whole server. What the server does while nobody asks is paid
    too: that is the utilisation.

    Args:
        gpu_hour: USD for one hour of one GPU (or CPU server).
        input_tokens_per_s: Prompt tokens that the server reads in a second.
        output_tokens_per_s: Tokens that it writes in a second.
        gpus: How many GPUs the server has.
        utilisation: The share of paid time in which it works, above 0 and at most 1.
        cache_read_tokens_per_s: Prompt tokens that it takes from its prefix cache in a second; None: billed as input.

    Example:
        >>> HostedRate(Decimal("3.6"), Decimal(5000), Decimal(500), utilisation=Decimal("0.5")).rates()["output"].usd
        Decimal('4.000')
    """

    gpu_hour: Decimal
    input_tokens_per_s: Decimal
    output_tokens_per_s: Decimal
    gpus: Decimal = Decimal(1)
    utilisation: Decimal = Decimal(1)
    cache_read_tokens_per_s: Decimal | None = None

    def rates(self) -> dict[str, Rate]:
        """Give the rates in USD per million tokens, as a `PriceCard` takes them."""
        speeds = {"input": self.input_tokens_per_s, "output": self.output_tokens_per_s}
        if self.cache_read_tokens_per_s is not None:
            speeds["cache_read"] = self.cache_read_tokens_per_s
        second = self.gpu_hour * self.gpus / SECONDS_PER_HOUR / self.utilisation
        return {name: Rate(second * TOKENS_PER_RATE / speed) for name, speed in speeds.items()}


@dataclass(frozen=True, slots=True)
class Currency:
    """The currency that bills are shown in. The ledger stays in USD.

    Args:
        code: Such as "EUR".
        per_usd: For each date, how much of it one USD buys from that date on (00:00 UTC).

    Example:
        >>> euro = Currency("EUR", {date(2026, 1, 1): Decimal("0.9"), date(2026, 7, 1): Decimal("0.8")})
        >>> euro.convert(Decimal(10), at=datetime(2026, 8, 1, tzinfo=UTC))
        Decimal('8.0')
    """

    code: str
    per_usd: Mapping[date, Decimal]

    def convert(self, usd: Decimal, *, at: datetime) -> Decimal:
        """Convert an amount at the rate of its day.

        Args:
            usd: The amount in USD.
            at: When it was spent, with a time zone.

        Returns:
            The amount in this currency, not rounded.

        Raises:
            PriceNotFound: If the earliest rate is later than `at`.
        """
        day = at.astimezone(UTC).date()
        valid = [start for start in self.per_usd if start <= day]
        if not valid:
            raise PriceNotFound(
                f"No {self.code} rate holds on {day}; the earliest is of {min(self.per_usd)}. Add an earlier one."
            )
        return usd * self.per_usd[max(valid)]
