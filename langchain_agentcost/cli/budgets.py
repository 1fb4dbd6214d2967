"""`langchain-agentcost budgets`: what is left of every budget, and the answers of a person, while the apps run."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from langchain_agentcost.attribution import label
from langchain_agentcost.cli.prices import reported_errors
from langchain_agentcost.cli.tables import print_facts, print_table
from langchain_agentcost.errors import BudgetError, StoreUnavailable
from langchain_agentcost.ledger.kind import noun_of
from langchain_agentcost.ledger.spreadsheet import neutral
from langchain_agentcost.limits.account_name import AccountName
from langchain_agentcost.limits.approvals import Approval, Decision, answer, find, pending
from langchain_agentcost.limits.budget import in_whole, limit_shown
from langchain_agentcost.limits.holds import Account, BudgetStore
from langchain_agentcost.limits.store import open_store, store_beside

_UNCLEAR = 1
_CANDIDATES = 20
_STARTS = {"hour": "%Y-%m-%d %H:%M", "day": "%Y-%m-%d", "month": "%Y-%m"}

commands = typer.Typer(
    help="Budgets: what is left, raise, freeze, approve or deny, while apps run.", no_args_is_help=True
)

StoreName = Annotated[
    str,
    typer.Argument(
        metavar="STORE", help="A budget store: its file or URL, or the ledger that it lies beside (NAME.budgets.db)."
    ),
]
_Scope = Annotated[str, typer.Argument(metavar="SCOPE", help="An account, or a part of its name that no other has.")]
_Window = Annotated[str | None, typer.Option(help="Its window, where one scope has several: total, hour, day, month.")]
_Amount = Annotated[str | None, typer.Option("--by", help="How much to add, in the unit: USD, seconds, or a count.")]


class Format(StrEnum):
    """How a list is written."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"


def register(app: typer.Typer) -> None:
    """Add the `budgets` commands to the command line."""
    app.add_typer(commands, name="budgets")


@commands.command("list")
def list_accounts(
    store: StoreName,
    where: Annotated[list[str] | None, typer.Option(help="Only accounts whose name has this text; repeat it.")] = None,
    form: Annotated[Format, typer.Option("--format", help="How to write it.")] = Format.TABLE,
) -> None:
    """List the accounts of the current windows, and below them what a person is asked."""
    with opened(store) as opened_store:
        accounts = _matching(opened_store.accounts(), where or ())
        asked = [a for a in pending(opened_store) if all(text.lower() in a.scope.lower() for text in where or ())]
    _WRITERS[form](accounts, asked)


@commands.command("raise")
def raise_limit(
    store: StoreName,
    scope: _Scope,
    by: _Amount = None,
    to: Annotated[str | None, typer.Option(help="What the limit shall be, in the same unit.")] = None,
    window: _Window = None,
) -> None:
    """Add to a limit for its current window; --by=-1 lowers it."""
    with opened(store) as opened_store:
        if (by is None) == (to is None):
            raise BudgetError("Say how far: --by AMOUNT or --to AMOUNT, one of them.")
        account = _the_account(opened_store, scope, window)
        more = _whole(account.scope, by) if by is not None else _whole(account.scope, to or "") - account.cap
        after = opened_store.raise_limit(account.scope, more, window=account.window)
    _say(f"The limit was {_shown(after.scope, after.cap - more)} and is {_shown(after.scope, after.cap)}.", after)


@commands.command()
def freeze(
    store: StoreName,
    scope: _Scope,
    thaw: Annotated[bool, typer.Option("--thaw", help="Open it again.")] = False,
    window: _Window = None,
) -> None:
    """Close an account: no call that it counts is made until it is thawed. Calls under way still settle."""
    with opened(store) as opened_store:
        account = _the_account(opened_store, scope, window)
        after = opened_store.freeze(account.scope, frozen=not thaw, window=account.window)
    now = "frozen: nothing is granted until it is thawed" if after.frozen else "open"
    _say(f"The account {'was' if account.frozen == after.frozen else 'is'} {now}.", after)


@commands.command()
def approve(
    store: StoreName,
    approval: Annotated[str | None, typer.Argument(metavar="[ID]", help="Which one; needed if several wait.")] = None,
    by: _Amount = None,
) -> None:
    """Let a call be made that waits for a person. Without --by the budget grants its own limit once more."""
    with opened(store) as opened_store:
        asked = _the_approval(opened_store, approval)
        if by is not None and not asked.unit:
            raise BudgetError(f"Approval {asked.id} is about no account, so there is nothing to raise: leave --by out.")
        more = None if by is None else _whole(asked.scope, by)
        if more is not None and more <= 0:
            raise BudgetError("--by must be above 0: to make no room at all, deny.")
        _answer(opened_store, asked, "approve", more)


@commands.command()
def deny(
    store: StoreName,
    approval: Annotated[str, typer.Argument(metavar="ID", help="Which one.")],
) -> None:
    """Refuse a call that waits for a person: its run is stopped."""
    with opened(store) as opened_store:
        _answer(opened_store, _the_approval(opened_store, approval), "deny", None)


@contextmanager
def opened(name: str) -> Iterator[BudgetStore]:
    """Open a budget store that is there; what goes wrong is one line and exit code 2."""
    with reported_errors():
        store = open_store(url_of(name), create=False)
        try:
            yield store
        finally:
            store.close()


def url_of(name: str) -> str:
    """The budget store that a name means: a ledger's is the one beside it.

    Raises:
        StoreUnavailable: If it is a store that only its own process can see.
    """
    if name.startswith("memory://"):
        raise StoreUnavailable("A budget store in memory is seen by its own process only: name a file.")
    path = _path_of(name)
    if path is None:
        return name
    url = f"sqlite:///{path}"
    return store_beside(url) if noun_of(path) == "ledger" else url


def ledger_of(name: str) -> str | None:
    """The ledger that a name means; None where it means a budget store."""
    path = _path_of(name)
    return str(path) if path is not None and noun_of(path) == "ledger" else None


def _path_of(name: str) -> Path | None:
    """The file that a name means; None where it is another URL.

    Raises:
        StoreUnavailable: If it is no path.
    """
    scheme, separator, rest = name.partition("://")
    if separator and scheme != "sqlite":
        return None
    try:
        return Path(rest.removeprefix("/") if separator else name).expanduser().resolve()
    except (OSError, RuntimeError, ValueError) as error:
        raise StoreUnavailable(f"{label(name)!r} is not a path: {error}.") from error


def _the_account(store: BudgetStore, scope: str, window: str | None) -> Account:
    """The one account that is meant: of this name, or else with this in its name."""
    accounts = [account for account in store.accounts() if window in (None, account.window)]
    found = [account for account in accounts if account.scope == scope] or _matching(accounts, [scope])
    if len(found) == 1:
        return found[0]
    if found:
        raise _unclear(f"{len(found)} accounts have {label(scope)!r} in their name:", found)
    raise _unclear(f"No account has {label(scope)!r} in its name." + (" There are:" if accounts else ""), accounts)


def _matching(accounts: Sequence[Account], texts: Sequence[str]) -> list[Account]:
    return [account for account in accounts if all(text.lower() in account.scope.lower() for text in texts)]


def _unclear(message: str, accounts: Sequence[Account]) -> typer.Exit:
    """Say which accounts there are, the first of them."""
    typer.echo(message, err=True)
    for account in accounts[:_CANDIDATES]:
        typer.echo(f"  {label(account.scope)}  ({_window(account)})", err=True)
    if len(accounts) > _CANDIDATES:
        typer.echo(f"  … and {len(accounts) - _CANDIDATES} more: see budgets list.", err=True)
    return typer.Exit(_UNCLEAR)


def _the_approval(store: BudgetStore, approval_id: str | None) -> Approval:
    """The one approval that is meant: of this id, with an id that starts so, or the only one that waits."""
    known = find(store, approval_id) if approval_id else None
    if known is not None:
        return known
    waiting = pending(store)
    found = [approval for approval in waiting if approval.id.startswith(approval_id or "")]
    if len(found) == 1:
        return found[0]
    if approval_id and not found:
        typer.echo(f"No approval is {label(approval_id)!r}.", err=True)
    typer.echo("These wait; name one:" if waiting else "Nobody is asked anything.", err=True)
    for approval in waiting:
        typer.echo(f"  {approval.id}  {approval.message}", err=True)
    raise typer.Exit(_UNCLEAR)


def _answer(store: BudgetStore, asked: Approval, decision: Decision, raise_by: int | None) -> None:
    """Answer, and say what stands: somebody else may have been first."""
    stands = answer(store, asked.id, decision, raise_by=raise_by)
    said: str = stands.status
    if stands.raise_by is not None:
        said += f", which adds {_shown(stands.scope, stands.raise_by)} to the limit"
    typer.echo(stands.message)
    agrees = (stands.status == "denied") == (decision == "deny") and raise_by in (None, stands.raise_by)
    if asked.status != "pending" or not agrees:
        when = f"{stands.answered_at:%Y-%m-%d %H:%M:%S} UTC" if stands.answered_at else "before"
        typer.echo(f"It was answered at {when}, and the first answer stands: {said}.", err=True)
        raise typer.Exit(_UNCLEAR)
    _say(f"Approval {stands.id} is {said}.", *store.accounts([(stands.scope, stands.window)]))
    if stands.thread and decision == "deny":
        typer.echo(f"The run stops when its thread {stands.thread} is resumed.")
    elif stands.thread:
        typer.echo(f"The run goes on when its thread {stands.thread} is resumed. {stands.resume}".rstrip())


def _say(what: str, *accounts: Account) -> None:
    """Say what was done, and how the account stands now."""
    typer.echo(what)
    for account in accounts:
        facts = (
            ("limit", account.cap),
            ("spent", account.spent),
            ("reserved", account.reserved),
            ("left", _left(account)),
        )
        typer.echo(f"{label(account.scope)} ({_window(account)})")
        print_facts([(f"  {name}", _shown(account.scope, amount)) for name, amount in facts])


def _print_table(accounts: Sequence[Account], asked: Sequence[Approval]) -> None:
    rows = [_row(account) for account in accounts]
    if rows:
        print_table(("budget", "of", "window", "limit", "spent", "reserved", "left", "state"), rows)
    else:
        typer.echo("No account matches.")
    if asked:
        typer.echo("\nA person is asked; answer with: budgets approve | deny")
        questions = [[a.id, f"{a.asked_at:%Y-%m-%d %H:%M}", a.thread or "", a.message] for a in asked]
        print_table(("approval", "since (UTC)", "thread", "why"), questions)


def _row(account: Account) -> list[str]:
    name = AccountName.of(account.scope)
    amounts = (account.cap, account.spent, account.reserved, _left(account))
    raised = f"raised by {_shown(account.scope, account.raised)}" if account.raised else ""
    state = ", ".join(text for text in ("frozen" if account.frozen else "", raised) if text)
    shown = [_shown(account.scope, amount) for amount in amounts]
    return [label(name.title), label(name.subject), _window(account), *shown, state]


def _print_json(accounts: Sequence[Account], asked: Sequence[Approval]) -> None:
    listed = {"accounts": [_record(account) for account in accounts], "approvals": [_question(a) for a in asked]}
    sys.stdout.write(json.dumps(listed, indent=2, ensure_ascii=False) + "\n")


def _print_csv(accounts: Sequence[Account], asked: Sequence[Approval]) -> None:
    """Write the accounts; questions are no rows of the same table."""
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(_record(Account("")))
    for account in accounts:
        writer.writerow(neutral(value) if isinstance(value, str) else value for value in _record(account).values())


_WRITERS: dict[Format, Callable[[Sequence[Account], Sequence[Approval]], None]] = {
    Format.TABLE: _print_table,
    Format.JSON: _print_json,
    Format.CSV: _print_csv,
}


def _record(account: Account) -> dict[str, Any]:
    """An account for machines: amounts in the unit, USD and seconds as text."""
    name = AccountName.of(account.scope)
    amounts = {
        "limit": account.cap,
        "raised": account.raised,
        "spent": account.spent,
        "reserved": account.reserved,
        "left": _left(account),
    }
    return {
        "scope": label(account.scope),
        "budget": label(name.title),
        "unit": name.unit,
        "of": label(name.subject),
        "window": account.window,
        "window_start": account.window_start.isoformat() if account.window_start else None,
        **{key: _exact(name.unit, amount) for key, amount in amounts.items()},
        "frozen": account.frozen,
    }


def _question(asked: Approval) -> dict[str, Any]:
    """An approval for machines, likewise."""
    amounts = {name: _exact(asked.unit, getattr(asked, name)) for name in ("limit", "spent", "needed")}
    texts = {
        name: getattr(asked, name) for name in ("id", "scope", "window", "unit", "title", "thread", "run", "message")
    }
    return {**texts, **amounts, "resume": asked.resume, "asked_at": asked.asked_at.isoformat()}


def _left(account: Account) -> int:
    return account.cap - account.spent - account.reserved


def _window(account: Account) -> str:
    start = account.window_start
    return f"{account.window} {start:{_STARTS[account.window]}}" if start else account.window


def _exact(unit: str | None, amount: int) -> str | int:
    shown = limit_shown(unit or "", amount)
    return f"{shown:f}" if isinstance(shown, Decimal) else shown


def _shown(scope: str, amount: int) -> str:
    return AccountName.of(scope).shown(amount)


def _whole(scope: str, text: str) -> int:
    """An amount that a person typed, in whole units of an account."""
    sign = -1 if text.startswith("-") else 1
    return sign * in_whole(AccountName.of(scope).unit or "this account", text.removeprefix("-"))
