"""A policy file: prices, attribution, limits and alerts in one `agentcost.toml`.

Every key is optional, every key that is not known is refused, and a file with a fault is not used at all. Keys mean
what the arguments of the same name do: those of `CostMeter` at the top, of `AttributionMap`, `Budget`,
`CircuitBreaker` and `Webhook` in the tables. `AGENTCOST_MODE` in the environment wins over the mode of the file.
`langchain-agentcost check FILE` says what a file means.

```toml
mode = "enforce"                          # or "observe": count, and say what would be stopped; or "off"
on_store_error = "closed"                 # or "open": calls are made while the budgets cannot be checked
ledger = "sqlite:///costs.db"             # as open_ledger takes it; where the process runs, not where this file is
store = "sqlite:///costs.budgets.db"      # where budgets are kept; left out, beside the ledger

# A file beside this one, prices = "prices.toml", or what such a file holds (see pricing/overrides.py):
[prices]
models = [{ model = "our-model", input = 0.5, output = 1.5 }]
discounts = [{ provider = "anthropic", percent = 12.5 }]

[attribution]
keys = { tenant = ["customer", "customer_id"] }    # metadata keys, put before the default ones
tags = ["ticket"]
constants = { deployment = "production" }
purposes = { fact_check = "verification" }

# A set of limits to start from, preset = "typical", or with rows of it stated otherwise; "none" leaves a row out.
[preset]
name = "typical"
run_steps = 80
tool_retries = "none"

[[budget]]
usd = "20.00"                             # a number or text, read exactly
per = "tenant"                            # several make one subject: ["tenant", "user"]
window = "day"
where = { deployment = "production" }
thresholds = { "65%" = "warn", "85%" = "downgrade" }
on_limit = "interrupt"
unknown_price = "assume_dearest"

[[budget]]
tool_calls = 3
tool = "send_refund"
per = "session"

[[breaker]]                               # what is left out is as in CircuitBreaker.identical_calls()
kind = "identical_calls"
warn = 3
stop = 6                                  # "none" never stops
on_trip = "drain"

[[alert]]                                 # told of everything; webhook_env = "…" where the URL itself is secret
webhook = "https://hooks.example.com/agentcost"
secret_env = "AGENTCOST_WEBHOOK_SECRET"   # the environment variable that holds the secret, which is never in the file
attempts = 8
```

Example:
    >>> import os, re
    >>> os.environ["AGENTCOST_WEBHOOK_SECRET"] = "whsec_" + "A" * 32
    >>> policy = Policy.from_toml(re.search("(?s)```toml(.*?)```", __doc__)[1])
    >>> del os.environ["AGENTCOST_WEBHOOK_SECRET"]
    >>> for limit in policy.limits:
    ...     print(limit.title)
    step budget
    run budget
    session budget
    tenant budget a day deployment=production
    session budget send_refund
    identical_calls breaker at 6
    >>> policy.alerts
    (Webhook('https://hooks.example.com/…', signed),)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self, get_args

from langchain_agentcost.attribution import AttributionMap
from langchain_agentcost.errors import PolicyError, PriceFileError
from langchain_agentcost.limits.alerts import AlertSink
from langchain_agentcost.limits.breakers import CircuitBreaker
from langchain_agentcost.limits.budget import Budget, Mode, OnStoreError
from langchain_agentcost.limits.policyfile import attribution_of, choice, limits_of, prices_of, webhooks_of
from langchain_agentcost.pricing.overrides import PriceOverrides
from langchain_agentcost.pricing.pricefile import Document, Table, read_file, read_toml


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What a policy file states, as objects that are ready to use. Build it with `load` or `from_toml`.

    Args:
        mode: Whether limits are held.
        ledger: The ledger's URL; None where the file states none.
        store: The budget store's URL; None where the file states none.
        prices: The prices that win over the bundled list; None where the file states none.
        attribution: Which metadata fills which dimension.
        limits: The budgets and breakers: the preset's, then the others in the file's order.
        alerts: Who is told.
        on_store_error: What happens to a call while the budget store cannot be reached.
        origin: What to call the source: a path, "mapping" or "text".
    """

    mode: Mode = "enforce"
    ledger: str | None = field(default=None, repr=False)  # URLs may hold passwords
    store: str | None = field(default=None, repr=False)
    prices: PriceOverrides | None = None
    attribution: AttributionMap = field(default_factory=AttributionMap)
    limits: tuple[Budget | CircuitBreaker, ...] = ()
    alerts: tuple[AlertSink, ...] = ()
    on_store_error: OnStoreError = "closed"
    origin: str = "mapping"

    @classmethod
    def load(cls, given: Mapping[str, Any] | Path | str) -> Self:
        """Load a policy file, or a mapping of the same shape. Nothing is opened, and nothing is sent.

        Args:
            given: The path of a .toml or .json file, or the mapping.

        Raises:
            PolicyError: If anything in it is wrong; the message names the file, the line and the key.

        Example:
            >>> Policy.load({"budget": [{"usd": 5}, {"usd": -1}]})
            Traceback (most recent call last):
            langchain_agentcost.errors.PolicyError: the policy mapping, budget[1].usd: usd=-1: An amount of usd is a \
number from 0, not -1.
        """
        try:
            if isinstance(given, Mapping):
                return cls._read(Table(given, Document("the policy mapping")), Path(), "mapping")
            return cls._read(read_file(Path(given)), Path(given).parent, str(given))
        except PriceFileError as error:  # what reads price files reads this one too
            raise PolicyError(str(error)) from error.__cause__

    @classmethod
    def from_toml(cls, text: str) -> Self:
        """Load the text of a policy file.

        Raises:
            PolicyError: If anything in it is wrong.
        """
        try:
            return cls._read(read_toml(text, name="the policy text"), Path(), "text")
        except PriceFileError as error:
            raise PolicyError(str(error)) from error.__cause__

    @classmethod
    def _read(cls, table: Table, folder: Path, origin: str) -> Self:
        read = cls(
            mode=choice(table, "mode", get_args(Mode)) or "enforce",
            ledger=table.text("ledger"),
            store=table.text("store"),
            prices=prices_of(table, folder),
            attribution=attribution_of(table),
            limits=limits_of(table),
            alerts=webhooks_of(table),
            on_store_error=choice(table, "on_store_error", get_args(OnStoreError)) or "closed",
            origin=origin,
        )
        table.close()
        return read
