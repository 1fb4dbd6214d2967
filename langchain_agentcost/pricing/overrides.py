"""Your own prices: they win over the bundled list.

A price file is TOML (or JSON of the same shape, or a `dict`). Every section is optional, every key that is not known is
refused, and a file with a fault is not loaded at all. Amounts are USD; rates are USD per million tokens; write them as
numbers or as text, they are read exactly. Model names may be patterns (`*`, `?`, `[abc]`) and are compared in lower
case. Where several lines fit a call, the first one in the file counts. Dates are days, 00:00 UTC; `until` is the first
day on which a line no longer holds.

A line is looked for under the name of the model that answered, then under the name that was asked for, such as a
deployment's or an alias; the bundled list comes after both. A name is also that of its dated snapshots: "gpt-5-mini"
prices "gpt-5-mini-2025-08-07", unless another line fits the snapshot and not "gpt-5-mini".

```toml
# A model's own prices. A line that states rates states all of them: nothing is mixed with the list's.
[[models]]
model = "deepseek-chat"
provider = "deepseek"            # optional; as LangChain or genai-prices names it
input = 0.28
output = 0.42
cache_read = 0.028               # also: cache_write, cache_write_1h, input_audio, cache_audio_read, output_audio,
                                 # reasoning
from = 2025-09-29
until = 2027-01-01

[[models]]                       # a long prompt is dearer as a whole; a batch line is for the batch tier alone
model = "our-gateway/*"
service_tier = "batch"
input = 1.25
output = 5
request = 0.001                  # per request
task = 0.05                      # per task: a workflow run, paid with its first call
tiers = [{ above_input_tokens = 200_000, input = 2.5, output = 7.5 }]
server_tools = { web_search = 0.01 }

[[models]]                       # no rates: the list's are kept, and what is stated here is added
model = "gpt-4.1*"
volume_tokens = 600_000_000      # what you expect to use this month; each step may state a discount or rates
volume = [
    { above_tokens = 100_000_000, discount_percent = 5 },
    { above_tokens = 500_000_000, discount_percent = 10 },
]

# Negotiated discounts off the list. Rates that you state above are what you pay: they are not discounted again.
[[discounts]]
provider = "anthropic"
percent = 12.5
from = 2026-07-01

[tools]                          # a number is the price of a call
web_search = 0.008
"sql_*" = { per_call = 0.0001, per_second = 0.00002 }

[hosted."llama-3.1-70b*"]        # own hardware, by what you pay for an hour and what you measured
gpu_hour = 2.4
gpus = 4
input_tokens_per_s = 9000
output_tokens_per_s = 1400
utilisation = 0.4

[currency]                       # how bills are shown; the ledger stays in USD
code = "EUR"
rates = [{ from = 2026-01-01, per_usd = 0.92 }, { from = 2026-07-01, per_usd = 0.89 }]
```

Example:
    >>> import re
    >>> loaded = PriceOverrides.from_toml(re.search("(?s)```toml(.*?)```", __doc__)[1])
    >>> len(loaded.models), loaded.discounts[0].percent, loaded.currency.code
    (3, Decimal('12.5'), 'EUR')
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from hashlib import sha256
from pathlib import Path
from typing import Any, Self

from langchain_agentcost.errors import PriceFileError
from langchain_agentcost.pricing.genai import ALWAYS
from langchain_agentcost.pricing.lines import Discount, ModelLine, Scope, discount, is_pattern, model_line
from langchain_agentcost.pricing.litellm import looks_like_litellm, model_lines
from langchain_agentcost.pricing.names import MAX_NAME_CHARS, Reference, provider_id
from langchain_agentcost.pricing.pricefile import MAX_USD, Document, Table, read_file, read_toml
from langchain_agentcost.pricing.rates import Currency, HostedRate, ToolRate

Given = Mapping[str, Any] | Path | str


@dataclass(frozen=True, slots=True)
class PriceOverrides:
    """Prices that a user states. Build it with `load`, `from_toml` or `from_litellm`.

    Args:
        models: Prices of models, the first that fits counts.
        discounts: Shares off the list, the first that fits counts.
        tools: Prices of tools, by name or pattern.
        hosted: Prices of own hardware, by model or pattern.
        currency: How bills are shown; None is USD.
        origin: What to call the source: a path, or "mapping".
    """

    models: tuple[ModelLine, ...] = ()
    discounts: tuple[Discount, ...] = ()
    tools: tuple[tuple[Scope, ToolRate], ...] = ()
    hosted: tuple[tuple[Scope, HostedRate], ...] = ()
    currency: Currency | None = None
    origin: str = "mapping"
    version: str = field(init=False)
    _named: Mapping[str, tuple[int, ...]] = field(init=False, repr=False, compare=False)
    _patterns: tuple[int, ...] = field(init=False, repr=False, compare=False)
    _edges: tuple[datetime, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        content = (self.models, self.discounts, self.tools, self.hosted, self.currency)
        object.__setattr__(self, "version", sha256(repr(content).encode()).hexdigest()[:12])
        named: dict[str, tuple[int, ...]] = {}
        for number, line in enumerate(self.models):
            if not is_pattern(line.scope.model):
                named[line.scope.model] = (*named.get(line.scope.model, ()), number)
        object.__setattr__(self, "_named", named)
        patterns = (number for number, line in enumerate(self.models) if is_pattern(line.scope.model))
        object.__setattr__(self, "_patterns", tuple(patterns))
        scopes = [*(line.scope for line in self.models), *(line.scope for line in self.discounts)]
        edges = {edge for scope in scopes for edge in (scope.since, scope.until)} | set(ALWAYS)
        object.__setattr__(self, "_edges", tuple(sorted(edges)))

    @classmethod
    def load(cls, given: Given) -> Self:
        """Load a price file, or a mapping of the same shape.

        Args:
            given: The path of a .toml or .json file, or the mapping. LiteLLM's price map is recognised.

        Returns:
            The overrides.

        Raises:
            PriceFileError: If anything in it is wrong; the message names the line and the key.

        Example:
            >>> PriceOverrides.load({"models": [{"model": "m", "input": -1}]})
            Traceback (most recent call last):
            langchain_agentcost.errors.PriceFileError: the price mapping, models[0].input: must be at least 0 USD per \
million tokens, got -1.
        """
        if isinstance(given, Mapping):
            return cls.from_table(Table(given, Document("the price mapping")))
        return cls.from_table(read_file(Path(given)), origin=str(given))

    @classmethod
    def from_toml(cls, text: str) -> Self:
        """Load the text of a price file.

        Raises:
            PriceFileError: If anything in it is wrong.
        """
        return cls.from_table(read_toml(text), origin="text")

    @classmethod
    def from_litellm(cls, given: Given) -> Self:
        """Load prices in LiteLLM's format (`model_prices_and_context_window.json`).

        Read are rates per token for text, audio, reasoning and the prompt cache, their `_above_200k_tokens` steps, and
        their `_batches`, `_priority` and `_flex` tiers. Models that are billed in another unit alone are left out, also
        where their rates per token are stated as 0.

        Args:
            given: The path of the JSON file, or the mapping.

        Raises:
            PriceFileError: If anything in it is wrong.
        """
        if isinstance(given, Mapping):
            return cls(models=model_lines(Table(given, Document("the LiteLLM mapping"))), origin="LiteLLM mapping")
        return cls(models=model_lines(read_file(Path(given))), origin=str(given))

    @classmethod
    def from_table(cls, table: Table, *, origin: str = "mapping") -> Self:
        """Load a table of a file that is being read, which may be a larger one.

        Args:
            table: The table; errors name its place.
            origin: What to call the source.

        Raises:
            PriceFileError: If anything in it is wrong.
        """
        if looks_like_litellm(table.values):
            return cls(models=model_lines(table), origin=origin)
        read = cls(
            models=tuple(model_line(line) for line in table.tables("models")),
            discounts=tuple(discount(line) for line in table.tables("discounts")),
            tools=tuple((Scope(name.lower()), _tool(name, holder)) for name, _, holder in table.named("tools")),
            hosted=tuple(_hosted(name, holder) for name, _, holder in table.named("hosted")),
            currency=_currency(table.table("currency")),
            origin=origin,
        )
        table.close()
        return read

    @property
    def plain(self) -> bool:
        """Whether no model's price is stated here, so that the list alone decides."""
        return not (self.models or self.discounts or self.hosted)

    def line(self, reference: Reference, at: datetime, tier: str | None) -> ModelLine | None:
        """Give the line that prices a call: one for its tier, else one for the standard tier.

        A line that fits a snapshot alone goes before one for all snapshots of the model, wherever it stands.

        Args:
            reference: The model and provider.
            at: The instant of the call.
            tier: Its service tier; None is standard.
        """
        names = (*reference.names, *reference.bases)
        exact = (number for name in names for number in self._named.get(name, ()))
        fitting = [
            line
            for line in (self.models[number] for number in sorted({*exact, *self._patterns}))
            if line.service_tier in (tier, None) and line.scope.covers(names, reference.providers, at)
        ]
        return _closest([line for line in fitting if line.service_tier == tier] or fitting, reference)

    def discount(
        self, references: Sequence[Reference], at: datetime, *, listed: tuple[str | None, str]
    ) -> Discount | None:
        """Give the discount off a list price.

        Args:
            references: The model that answered, and the one that was asked for.
            at: The instant of the call.
            listed: The provider and model under which the list has the price.
        """
        provider, model = listed
        names = {model.lower(), *(name for one in references for name in (*one.names, *one.bases))}
        providers = {provider} if provider else None
        return next((d for d in self.discounts if d.scope.covers(names, providers, at)), None)

    def hosted_rate(self, reference: Reference) -> HostedRate | None:
        """Give the hosted rate of a model."""
        names, providers = (*reference.names, *reference.bases), reference.providers
        return next((rate for scope, rate in self.hosted if scope.covers(names, providers, ALWAYS[0])), None)

    def tool(self, name: str) -> ToolRate | None:
        """Give the price of a tool."""
        names = (name[:MAX_NAME_CHARS].lower(),)
        return next((rate for scope, rate in self.tools if scope.covers(names, None, ALWAYS[0])), None)

    def steady(self, at: datetime) -> tuple[datetime, datetime]:
        """Give the time around an instant in which no line starts or ends."""
        after = bisect_right(self._edges, at)
        return self._edges[after - 1], self._edges[min(after, len(self._edges) - 1)]


def _closest(lines: Sequence[ModelLine], reference: Reference) -> ModelLine | None:
    """The first line of the file, unless it is for all snapshots of the model and another one for this alone."""
    first = lines[0] if lines else None
    if first is None or first.scope.fits(reference.names):
        return first
    own = (line for line in lines if line.scope.fits(reference.names) and not line.scope.fits(reference.bases))
    return next(own, first)


def _tool(name: str, holder: Table) -> ToolRate:
    if not isinstance(holder.values[name], Mapping):
        return ToolRate(holder.usd(name) or Decimal(0))
    table = holder.inner(name)
    per_call, per_second = table.usd("per_call"), table.usd("per_second")
    table.close()
    if per_call is per_second is None:
        table.fail("", "needs `per_call` or `per_second` in USD.")
    return ToolRate(per_call or Decimal(0), per_second or Decimal(0))


_SPEED = "tokens per second"
_SPEEDS = ("input_tokens_per_s", "output_tokens_per_s", "cache_read_tokens_per_s")


def _hosted(model: str, holder: Table) -> tuple[Scope, HostedRate]:
    table = holder.inner(model)
    gpu_hour = table.number("gpu_hour", at_most=MAX_USD, unit="USD per hour", required=True)
    gpus = table.number("gpus", at_most=MAX_USD, unit="GPUs", positive=True)
    busy = table.number("utilisation", at_most=Decimal(1), unit="(a share of 1)", positive=True)
    speeds = [
        table.number(name, at_most=Decimal(10**12), unit=_SPEED, positive=True, required=name != _SPEEDS[2])
        for name in _SPEEDS
    ]
    provider = provider_id(table.text("provider"))
    table.close()
    rate = HostedRate(
        gpu_hour or Decimal(0),
        speeds[0] or Decimal(1),
        speeds[1] or Decimal(1),
        gpus=gpus or Decimal(1),
        utilisation=busy or Decimal(1),
        cache_read_tokens_per_s=speeds[2],
    )
    return Scope(model.lower(), provider), rate


def _currency(table: Table | None) -> Currency | None:
    if table is None:
        return None
    code = table.text("code", required=True) or ""
    if not (len(code) == 3 and code.isascii() and code.isalpha()):
        table.fail("code", f"must be a currency code of three letters, such as EUR, got {code[:20]!r}.")
    rates = dict(_rate_of_day(line) for line in table.tables("rates"))
    table.close()
    if not rates:
        table.fail("rates", "is missing; state at least { from = DATE, per_usd = NUMBER }.")
    return Currency(code.upper(), dict(sorted(rates.items())))


def _rate_of_day(line: Table) -> tuple[date, Decimal]:
    start = line.day("from")
    per_usd = line.number("per_usd", at_most=MAX_USD, unit="of the currency for one USD", positive=True, required=True)
    line.close()
    if start is None or per_usd is None:
        line.fail("from", "is missing; state the first day of the rate.")
    return start.astimezone(UTC).date(), per_usd


def as_overrides(given: PriceOverrides | Given | None) -> PriceOverrides:
    """Take overrides in any form that `PriceBook` accepts.

    Raises:
        PriceFileError: If they cannot be read, or are something else altogether.
    """
    if given is None:
        return PriceOverrides()
    if isinstance(given, PriceOverrides):
        return given
    if isinstance(given, Mapping | Path | str):
        return PriceOverrides.load(given)
    raise PriceFileError(f"Prices must be a path, a mapping or PriceOverrides, got {type(given).__name__}.")
