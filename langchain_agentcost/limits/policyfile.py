"""Reading the tables of a policy file. What is wrong with one is said by what it makes; here it gets its place."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import fields, replace
from decimal import Decimal
from inspect import signature
from pathlib import Path
from typing import Any, TypeVar, get_args

from langchain_agentcost.attribution import AttributionMap
from langchain_agentcost.errors import PriceFileError
from langchain_agentcost.limits.breakers import BreakerKind, CircuitBreaker
from langchain_agentcost.limits.budget import LIMIT_NAMES, Budget
from langchain_agentcost.limits.presets import PRESETS, preset
from langchain_agentcost.limits.webhook import Webhook
from langchain_agentcost.pricing.overrides import PriceOverrides
from langchain_agentcost.pricing.pricefile import Table
from langchain_agentcost.reported import shown

_T = TypeVar("_T")

NONE = "none"
"""What a file writes for None, which TOML does not have."""


def prices_of(policy: Table, folder: Path) -> PriceOverrides | None:
    """Read `prices`: the path of a price file, from the policy's folder, or what such a file holds."""
    given = policy.get("prices")
    if given is None:
        return None
    if isinstance(given, Mapping):
        return PriceOverrides.from_table(policy.inner("prices"))
    path = policy.text("prices") or ""
    try:
        return PriceOverrides.load(folder / path)
    except PriceFileError as error:
        policy.fail("prices", f"cannot be used: {error}")


def attribution_of(policy: Table) -> AttributionMap:
    """Read `[attribution]`."""
    table = policy.table("attribution")
    if table is None:
        return AttributionMap()
    stated = {
        "keys": {name: _texts(holder, name) for name, _, holder in table.named("keys")},
        "tags": _texts(table, "tags"),
        "constants": _labels(table, "constants"),
        "purposes": _labels(table, "purposes"),
    }
    table.close()
    return _made(table, AttributionMap, stated)


def limits_of(policy: Table) -> tuple[Budget | CircuitBreaker, ...]:
    """Read `preset`, `[[budget]]` and `[[breaker]]`.

    Raises:
        PriceFileError: If one of them cannot be, or two budgets are one by their names.
    """
    limits = [*_preset(policy)]
    known = {(limit.title, unit) for limit in limits if isinstance(limit, Budget) for unit in limit.limits}
    for table in policy.tables("budget"):
        budget = _budget(table)
        for unit in budget.limits:
            if (budget.title, unit) in known:
                table.fail("", f"is a second limit of {unit} named {budget.title!r}: give it a name of its own.")
            known.add((budget.title, unit))
        limits.append(budget)
    return (*limits, *(_breaker(table) for table in policy.tables("breaker")))


def webhooks_of(policy: Table) -> tuple[Webhook, ...]:
    """Read `[[alert]]`."""
    return tuple(_webhook(table) for table in policy.tables("alert"))


def choice(table: Table, key: str, choices: Collection[str]) -> Any:
    """Read one of several words; None where the key is absent."""
    word = table.text(key)
    if word is not None and word not in choices:
        table.fail(key, f"cannot be {shown(word)}: it is one of {', '.join(choices)}.")
    return word


def _preset(policy: Table) -> tuple[Budget | CircuitBreaker, ...]:
    given = policy.get("preset")
    if given is None:
        return ()
    if not isinstance(given, Mapping):
        return preset(choice(policy, "preset", PRESETS))
    table = policy.inner("preset")
    name = choice(table, "name", PRESETS) or table.fail("name", f"is missing: it is one of {', '.join(PRESETS)}.")
    rows = {row: _or_none(table.get(row)) for rows in PRESETS.values() for row in rows if row != "breakers"}
    stated = {row: value for row, value in rows.items() if row in given}
    breakers = choice(table, "breakers", ("defaults", NONE))
    if breakers is not None:
        stated["breakers"] = CircuitBreaker.defaults() if breakers == "defaults" else ()
    table.close()
    return _made(table, lambda **overrides: preset(name, **overrides), stated)


def _budget(table: Table) -> Budget:
    read: Mapping[str, Callable[[Table, str], Any]] = {
        **dict.fromkeys(LIMIT_NAMES, _number),
        "per": lambda table, key: table.get(key) if isinstance(table.get(key), str) else _texts(table, key),
        "where": _labels,
        "thresholds": _thresholds,
    }
    if "when" in table.values:
        table.fail("when", "is a function, which no file can hold: give that budget to CostMeter(budgets=…) in code.")
    return _made(table, Budget, _stated(table, (f.name for f in fields(Budget) if f.init), read))


def _breaker(table: Table) -> CircuitBreaker:
    kind = choice(table, "kind", get_args(BreakerKind))
    if kind is None:
        table.fail("kind", f"is missing: it is one of {', '.join(get_args(BreakerKind))}.")
    start: CircuitBreaker = getattr(CircuitBreaker, kind)()
    names = (f.name for f in fields(CircuitBreaker) if f.name != "kind")
    stated = _stated(table, names, dict.fromkeys(("warn", "stop", "window_s", "floor_tokens"), _number))
    return _made(table, lambda **stated: replace(start, **stated), stated)


def _webhook(table: Table) -> Webhook:
    if "secret" in table.values:
        table.fail("secret", "does not belong in a file: put it into the environment, and secret_env = its name here.")
    urls = {"webhook": table.text("webhook"), "webhook_env": _environment(table, "webhook_env")}
    place, url = next(((key, url) for key, url in urls.items() if url is not None), ("webhook", None))
    if url is None or None not in urls.values():
        table.fail(place, "is where to post the alerts: state it, or webhook_env, and not both.")
    secret = _environment(table, "secret_env")
    numbers = dict.fromkeys(("timeout_s", "attempts", "queue", "pause_s"), _number)
    names = (name for name in signature(Webhook).parameters if name not in ("url", "secret"))
    stated = _stated(table, names, {**numbers, "allow_http": _switch})

    def make(**given: Any) -> Webhook:
        return Webhook(given.pop(place), secret=given.pop("secret_env", None), **given)

    return _made(table, make, {place: url, "secret_env": secret, **stated})


def _stated(table: Table, names: Iterable[str], read: Mapping[str, Callable[[Table, str], Any]]) -> dict[str, Any]:
    """The keys of a table that are there, each read its own way, and else as text; others are refused."""
    found = {name: read.get(name, _text)(table, name) for name in names}
    table.close()
    return {name: value for name, value in found.items() if name in table.values}


def _made(table: Table, make: Callable[..., _T], stated: dict[str, Any]) -> _T:
    """Make what a table stands for. An error is that of the last key without which there would be none, or another."""
    try:
        return make(**stated)
    except ValueError as error:
        fault = str(error)
    without = ((key, {k: v for k, v in stated.items() if k != key}) for key in reversed(stated))
    return table.fail(next((key for key, others in without if _fault(make, others) != fault), ""), fault)


def _fault(make: Callable[..., object], stated: Mapping[str, Any]) -> str | None:
    try:
        make(**stated)
    except (ValueError, KeyError) as error:
        return str(error)
    return None


def _text(table: Table, key: str) -> str | None:
    return table.text(key)


def _number(table: Table, key: str) -> Any:
    """A number as it is written; what makes of it an amount checks it."""
    value = _or_none(table.get(key))
    if isinstance(value, bool | list | Mapping):
        table.fail(key, f"must be a number, got {shown(value)}.")
    # Only money is read exactly: durations and counts of breakers are compared with floats.
    return float(value) if isinstance(value, Decimal) and key != "usd" else value


def _switch(table: Table, key: str) -> bool | None:
    value = table.get(key)
    if value is not None and not isinstance(value, bool):
        table.fail(key, f"must be true or false, got {shown(value)}.")
    return value


def _or_none(value: Any) -> Any:
    return None if value == NONE else value


def _texts(table: Table, key: str) -> tuple[str, ...]:
    """A text, or a list of texts."""
    value = table.get(key)
    texts = () if value is None else (value,) if isinstance(value, str) else value
    if not isinstance(texts, list | tuple) or not all(isinstance(text, str) and text.strip() for text in texts):
        table.fail(key, f"must be a text or a list of texts, got {shown(value)}.")
    return tuple(texts)


def _labels(table: Table, key: str) -> dict[str, str]:
    """A table of texts, which may be empty."""
    labels = {name: (value, holder) for name, value, holder in table.named(key)}
    for name, (value, holder) in labels.items():
        if not isinstance(value, str):
            holder.fail(name, f"must be a text, got {shown(value)}.")
    return {name: value for name, (value, _) in labels.items()}


def _thresholds(table: Table, key: str) -> dict[float, str]:
    """Actions by the percentage at which they happen."""
    found: dict[float, str] = {}
    for name, _, holder in table.named(key):
        percent = re.fullmatch(r"(\d{1,3}(?:\.\d+)?) ?%", str(name), re.ASCII)
        share = float(Decimal(percent[1]) / 100) if percent else 0.0
        if not 0 < share <= 1 or share in found:
            holder.fail(name, 'is no share of a limit: write each once, as a percentage in quotes: "85%" = "warn".')
        found[share] = holder.text(name) or ""
    return found


def _environment(table: Table, key: str) -> str | None:
    """The value of the environment variable that a key names."""
    name = table.text(key)
    if name is None:
        return None
    value = os.environ.get(name)
    if not value:
        table.fail(key, f"names the environment variable {name[:80]}, which is not set: set it, or leave this out.")
    return value
