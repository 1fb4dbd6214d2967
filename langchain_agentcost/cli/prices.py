"""`langchain-agentcost prices`: what a model costs, whether the prices are fresh and valid, and what changed."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated

import typer

from langchain_agentcost.cli.report import instant
from langchain_agentcost.cli.tables import print_facts, print_table
from langchain_agentcost.errors import AgentCostError, PriceNotFound, PriceNotFoundWarning
from langchain_agentcost.pricing import PriceBook, PriceCard, PriceOverrides, Rate
from langchain_agentcost.pricing.card import RATES
from langchain_agentcost.pricing.lines import PERCENT, ModelLine, is_pattern

BUNDLED = "bundled"
STALE_DAYS = 60
"""A list whose newest dated price is older than this is worth an upgrade: vendors change prices every month."""

_MISUSE = 2

commands = typer.Typer(help="Prices: look one up, check a price file, compare two.", no_args_is_help=True)

PriceFile = Annotated[str | None, typer.Option("--prices", help="Your price file (TOML or JSON), above the list.")]


def register(app: typer.Typer) -> None:
    """Add the `prices` commands to the command line."""
    app.add_typer(commands, name="prices")


@commands.command()
def show(
    model: Annotated[str, typer.Argument(help="The model, as the provider, LangChain or LiteLLM writes it.")],
    provider: Annotated[str | None, typer.Option(help="The provider; without it the model's name tells.")] = None,
    at: Annotated[str | None, typer.Option(help="The prices of that time: an ISO date, or an age such as 7d.")] = None,
    tier: Annotated[str | None, typer.Option(help="The service tier: batch, flex, priority, …")] = None,
    prices: PriceFile = None,
) -> None:
    """Show what a model costs, and where the price comes from."""
    with reported_errors():
        book = PriceBook(prices)
        when = instant(at) if at else datetime.now(UTC)
        card = book.card(model, provider=provider, at=when, service_tier=tier)
        if card is None:
            by = f" of {provider}" if provider else ""
            raise PriceNotFound(
                f"No price is known for {model[:80]!r}{by}. Check the name, or state a price in a file (--prices)."
            )
        _print_card(card, book, when)


@commands.command()
def check(prices: PriceFile = None) -> None:
    """Tell how old the bundled list is, and whether a price file is valid."""
    with reported_errors():
        book = PriceBook(prices)
        listed = book.prices
        newest = listed.newest_date(datetime.now(UTC))
        age = (datetime.now(UTC) - newest).days if newest else None
        facts = [
            ("list", f"genai-prices {listed.version}, bundled, never updated at run time"),
            ("hash", listed.fingerprint),
            ("content", f"{len(listed.known)} providers, {listed.models} models"),
            ("newest price", f"of {newest:%Y-%m-%d}, {age} days ago" if newest else "without a date"),
        ]
        if age is not None and age > STALE_DAYS:
            facts.append(("", "This is old: pip install --upgrade genai-prices"))
        if prices:
            facts += _file_facts(book.overrides)
        print_facts([*facts, ("book", book.version)])


@commands.command()
def diff(
    old: Annotated[str, typer.Argument(help=f"A price file, or '{BUNDLED}' for the list alone.")],
    new: Annotated[str, typer.Argument(help=f"A price file, or '{BUNDLED}'.")],
    at: Annotated[str | None, typer.Option(help="Compare the prices of that time; now by default.")] = None,
) -> None:
    """Show what differs between two price files: for models that one of them names, what they cost; else the lines."""
    with reported_errors():
        books = [PriceBook(None if name == BUNDLED else name) for name in (old, new)]
        when = instant(at) if at else datetime.now(UTC)
        rows = list(_differences(books[0], books[1], when))
        if rows:
            print_table(("model or tool", "provider", "tier", "price", "old", "new"), rows)
        elif books[0].overrides.version == books[1].overrides.version:
            typer.echo("No price differs.")
        else:
            typer.echo(f"No price differs on {when:%Y-%m-%d}. The files do: in order, in other dates or in currency.")


@contextmanager
def reported_errors() -> Iterator[None]:
    """Turn our own errors into one line and exit code 2; warnings about unknown prices are for programs."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", PriceNotFoundWarning)
            yield
    except (AgentCostError, OSError) as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(_MISUSE) from error


def _print_card(card: PriceCard, book: PriceBook, at: datetime) -> None:
    steps = sorted({start for rate in card.rates.values() for start, _ in rate.above})
    currency = book.overrides.currency
    columns = ["USD per million tokens", "price", *(f"above {start:,} input tokens" for start in steps)]
    rows = []
    for name in RATES:
        if name in card.rates:
            usd = [card.rates[name].usd, *(card.rates[name].at(start + 1) for start in steps)]
            shown = [_plain(amount) for amount in usd]
            rows.append([name, *shown, *([_plain(currency.convert(usd[0], at=at))] if currency else [])])
    print_table([*columns, *([currency.code] if currency else [])], rows)
    fees = [
        ("per request", card.request),
        ("per task", card.task),
        *((f"per {t}", usd) for t, usd in card.tools.items()),
    ]
    facts = [(name, f"{_plain(usd)} USD") for name, usd in fees if usd]
    facts += [
        ("model", f"{card.model}, {card.provider or 'any provider'}, {card.service_tier or 'standard'} tier"),
        ("source", f"{card.price.name} {card.price.version}"),
        ("holds since", card.price.as_of or "always, as far as the source says"),
        *(("note", said) for said in card.flags),
        *(("note", card.notes[name]) for name in card.notes if name in card.rates),
    ]
    substituted = [name for name in card.notes if name not in card.rates]
    if substituted:
        facts.append(("no own rate", f"{', '.join(substituted)}: billed like the input or output they are part of"))
    print_facts(facts)


def _file_facts(overrides: PriceOverrides) -> list[tuple[str, str]]:
    counts = {
        "model lines": len(overrides.models),
        "discounts": len(overrides.discounts),
        "tools": len(overrides.tools),
        "hosted": len(overrides.hosted),
    }
    content = ", ".join(f"{count} {name}" for name, count in counts.items())
    currency = f", in {overrides.currency.code}" if overrides.currency else ""
    return [("file", f"{overrides.origin} is valid: {content}{currency}"), ("file hash", overrides.version)]


_Key = tuple[str, str | None, str | None]
"""A model or tool, a provider and a service tier."""

_Prices = dict[str, Decimal]

_ANY = "any"


def _differences(old: PriceBook, new: PriceBook, at: datetime) -> Iterator[list[str]]:
    named = {
        (line.scope.model, line.scope.provider, line.service_tier)
        for book in (old, new)
        for line in book.overrides.models
        if not is_pattern(line.scope.model)
    }
    cards = [{key: _prices(_card(book, key, at)) for key in named} for book in (old, new)]
    yield from _rows(cards[0], cards[1])
    yield from _rows(_line_prices(old.overrides, at), _line_prices(new.overrides, at))


def _rows(old: dict[_Key, _Prices], new: dict[_Key, _Prices]) -> Iterator[list[str]]:
    for key in sorted(old.keys() | new.keys(), key=lambda key: [part or "" for part in key]):
        before, after = old.get(key, {}), new.get(key, {})
        for price in dict.fromkeys((*before, *after)):
            if before.get(price) != after.get(price):
                shown = [_plain(side[price]) if price in side else "-" for side in (before, after)]
                yield [key[0], key[1] or _ANY, key[2] or "standard", price, *shown]


def _card(book: PriceBook, key: _Key, at: datetime) -> PriceCard | None:
    model, provider, tier = key
    return book.card(model, provider=provider, at=at, service_tier=tier)


def _line_prices(overrides: PriceOverrides, at: datetime) -> dict[_Key, _Prices]:
    """What is stated for no model by name, at an instant: of several lines for the same, the first one counts."""
    stated: dict[_Key, _Prices] = {}
    for line in overrides.models:
        if is_pattern(line.scope.model) and line.scope.holds(at):
            stated.setdefault((line.scope.model, line.scope.provider, line.service_tier), _stated(line))
    for scope, hosted in overrides.hosted:
        rates = {f"hosted {name}": rate.usd for name, rate in hosted.rates().items()}
        stated.setdefault((scope.model, scope.provider, _ANY), {}).update(rates)
    for discount in overrides.discounts:
        if discount.scope.holds(at):
            prices = stated.setdefault((discount.scope.model, discount.scope.provider, _ANY), {})
            prices.setdefault("discount %", discount.percent)
    for scope, tool in overrides.tools:
        prices = stated.setdefault((scope.model, None, _ANY), {})
        prices.setdefault("tool per call", tool.per_call)
        if tool.per_second:
            prices.setdefault("tool per second", tool.per_second)
    return stated


def _stated(line: ModelLine) -> _Prices:
    """Every price of a line by a name that says what it is for."""
    less = {} if line.factor is None else {"discount %": (1 - line.factor) * PERCENT}
    fees = {"request": line.request, "task": line.task, **line.tools}
    return _rates(line.rates) | less | {f"per {name}": usd for name, usd in fees.items() if usd is not None}


def _prices(card: PriceCard | None) -> _Prices:
    """Every price of a card by a name that says what it is for."""
    if card is None:
        return {}
    fees = {"request": card.request, "task": card.task, **card.tools}
    return _rates(card.rates) | {f"per {name}": usd for name, usd in fees.items() if usd}


def _rates(rates: Mapping[str, Rate]) -> _Prices:
    base = {name: rates[name].usd for name in RATES if name in rates}
    return base | {f"{name} above {start}": usd for name, rate in rates.items() for start, usd in rate.above}


def _plain(usd: Decimal) -> str:
    shown = f"{usd.normalize():f}"
    return shown if len(shown) <= 12 else f"{usd:.6f}"
