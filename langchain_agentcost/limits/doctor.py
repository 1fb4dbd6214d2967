"""Whether a budget store says what really happened: its accounts against its holds, its holds against the ledger."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Literal

from langchain_agentcost.attribution import label
from langchain_agentcost.ledger.base import Ledger
from langchain_agentcost.ledger.entry import Entry
from langchain_agentcost.ledger.query import MAX_VALUES
from langchain_agentcost.limits import approvals
from langchain_agentcost.limits.account_name import AccountName
from langchain_agentcost.limits.demand import Taken
from langchain_agentcost.limits.holds import BudgetStore, Drift, Hold, HoldState

FindingKind = Literal["unsettled", "overdue", "drift", "unbooked", "differs", "mode", "disk"]
"""unsettled: a call that the ledger has and the store does not know the end of; overdue: leases that ended and still
hold something; drift: an account that does not follow from its holds; unbooked: a posted call that the ledger does not
have; differs: one that the ledger has another amount for; mode: a file that others may read or write; disk: a network
disk, whose locks do not hold."""

ANSWERS_KEPT_S = 30 * 24 * 3600.0
"""How long answered approvals are kept: a paused thread that goes on later has to find its answer."""

_AT_ONCE = MAX_VALUES
"""Holds that are compared at a time: a SQLite ledger is read through for each lot, so it is as large as it may be."""

_OPEN: tuple[HoldState, ...] = ("pending", "expired")
_BESIDE = ("", "-wal", "-shm", ".lock")
_OTHERS = stat.S_IRWXO
_NETWORK = frozenset({"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "ceph", "fuse.sshfs", "glusterfs", "lustre"})
_MOUNTS = Path("/proc/mounts")


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is wrong, or was.

    Args:
        kind: What it is.
        message: A sentence with what is there and what should be.
        repaired: Whether it was put right.
    """

    kind: FindingKind
    message: str
    repaired: bool = False


@dataclass(slots=True)
class Examination:
    """What a look at a budget store found.

    Args:
        accounts: How many accounts the current windows have.
        holds: How many holds are kept.
        under_way: How many of them are of calls under way.
        overdue: How many of them still hold something although their lease had ended.
        lost: How many of them were never heard of again, and were charged as lost.
        compared: How many of them were compared with their entry in the ledger.
        forgotten: How many old answers to approvals were forgotten.
        findings: What is wrong, or was.
    """

    accounts: int = 0
    holds: int = 0
    under_way: int = 0
    overdue: int = 0
    lost: int = 0
    compared: int = 0
    forgotten: int = 0
    findings: list[Finding] = field(default_factory=list)

    @property
    def healthy(self) -> bool:
        """Whether nothing is wrong any more."""
        return all(finding.repaired for finding in self.findings)


def examine(store: BudgetStore, ledger: Ledger | None = None, *, repair: bool = False) -> Examination:
    """Look for what is wrong with a budget store. It may be in use: what is under way is left alone.

    With `repair`, calls that the ledger has are settled with their real usage and cost, leases that have ended are
    expired and charged, accounts are made to follow from their holds, files are closed to other users, and answers to
    approvals older than `ANSWERS_KEPT_S` are forgotten. Posted holds and the ledger are never changed.

    Args:
        store: The budget store.
        ledger: The ledger of the same calls; None leaves holds uncompared.
        repair: Whether to put right what can be.

    Returns:
        What was found and done.

    Raises:
        StoreUnavailable: If store or ledger cannot be used.

    Example:
        >>> from langchain_agentcost.limits.holds import Line
        >>> from langchain_agentcost.limits.memory import MemoryBudgetStore
        >>> store = MemoryBudgetStore()
        >>> granted = store.reserve("h1", [Line("run budget:steps|run=r1", limit=5, fixed=1)], ttl_s=0)
        >>> examine(store).healthy, examine(store, repair=True).healthy, examine(store).findings
        (False, True, [])
    """
    seen = Examination(accounts=len(store.accounts()))
    if store.url.startswith("sqlite:///"):
        seen.findings += _file_findings(Path(store.url.removeprefix("sqlite:///")), repair=repair)
    _compare(store, ledger, seen, repair=repair)
    _sweep(store, seen, repair=repair)
    seen.findings += [Finding("drift", _drifted(drift), repair) for drift in store.reconcile(repair=repair)]
    if repair:
        seen.forgotten = approvals.forget(store, older_than_s=ANSWERS_KEPT_S)
    return seen


def taken_by(entry: Entry) -> Taken:
    """What a call took, by its entry in the ledger: what `Ending.taken` of the meter says of the same call."""
    if entry.kind == "cache_hit":
        return Taken(provider_called=False)
    tokens = (entry.usage.input_tokens, entry.usage.output_tokens) if entry.usage is not None else (0, 0)
    return Taken(entry.cost.total_nano if entry.cost is not None else None, *tokens)


def _compare(store: BudgetStore, ledger: Ledger | None, seen: Examination, *, repair: bool) -> None:
    """Compare the holds with the ledger, and settle what it knows the end of."""
    first = next(iter(ledger.entries()), None) if ledger is not None else None
    unsettled: list[tuple[Hold, Entry]] = []
    for holds in _batches(store.holds()):
        entries = _entries_of(ledger, holds) if ledger is not None else {}
        seen.holds += len(holds)
        for hold in holds:
            entry = entries.get(hold.call_id or "")
            if entry is None:
                _count(seen, hold)
                if ledger is not None and hold.state == "posted" and _should_be_booked(hold, first):
                    seen.findings.append(Finding("unbooked", _unbooked(hold)))
                continue
            seen.compared += 1
            if hold.state in ("pending", "expired"):
                unsettled.append((hold, entry))
            elif hold.state == "posted":
                seen.findings += [Finding("differs", text) for text in _differences(hold, entry)]
    if unsettled:
        _settle(store, unsettled, seen, repair=repair)


def _count(seen: Examination, hold: Hold) -> None:
    """Count a hold of a call that the ledger does not have."""
    overdue = hold.state == "pending" and hold.expires_at <= datetime.now(UTC)
    seen.overdue += overdue
    seen.under_way += hold.state == "pending" and not overdue
    seen.lost += hold.state == "expired"


def _settle(store: BudgetStore, unsettled: Iterable[tuple[Hold, Entry]], seen: Examination, *, repair: bool) -> None:
    """Settle calls late. Those that their own process has settled in the meantime are left out."""
    still = {hold.id for state in _OPEN for hold in store.holds(state)}
    for hold, entry in unsettled:
        amounts = _amounts(hold, taken_by(entry))
        if hold.id in still and (not repair or store.settle(hold.id, amounts, call_id=hold.call_id).applied):
            seen.findings.append(Finding("unsettled", _late(hold, amounts), repair))


def _sweep(store: BudgetStore, seen: Examination, *, repair: bool) -> None:
    """Expire what is overdue."""
    number = store.sweep() if repair else seen.overdue
    if number:
        what = "was charged as lost" if repair else "still holds what it reserved"
        seen.findings.append(
            Finding("overdue", f"Calls that were never heard of again: {number}. Each {what}.", repair)
        )


def _batches(holds: Iterator[Hold]) -> Iterator[list[Hold]]:
    while batch := list(islice(holds, _AT_ONCE)):
        yield batch


def _entries_of(ledger: Ledger, holds: Iterable[Hold]) -> dict[str, Entry]:
    ids = [hold.call_id for hold in holds if hold.call_id is not None]
    return {entry.id: entry for entry in ledger.entries({"id": ids})} if ids else {}


def _amounts(hold: Hold, taken: Taken) -> list[int]:
    """What each line takes; a line whose unit is not known takes what was reserved."""
    units = (AccountName.of(scope).unit or "" for scope in hold.scopes)
    return [taken.of(unit, reserved) for unit, reserved in zip(units, hold.reserved, strict=True)]


def _differences(hold: Hold, entry: Entry) -> Iterator[str]:
    """The lines of a posted hold that took another amount than the entry says."""
    for scope, taken, expected in zip(hold.scopes, hold.taken, _amounts(hold, taken_by(entry)), strict=True):
        if taken != expected and AccountName.of(scope).unit is not None:
            there = AccountName.of(scope).shown(expected)
            yield f"Call {hold.call_id} took {_shown([scope], [taken])}; the ledger says {there}."


def _should_be_booked(hold: Hold, first: Entry | None) -> bool:
    """Whether the ledger has to know a posted call: time alone is no call, and old entries may have been pruned."""
    lines = zip(hold.scopes, hold.taken, strict=True)
    counts = any(taken and AccountName.of(scope).unit != "wall_time" for scope, taken in lines)
    return counts and (first is None or hold.expires_at >= first.at)


def _unbooked(hold: Hold) -> str:
    return f"Call {hold.call_id or hold.id} took {_shown(hold.scopes, hold.taken)}; the ledger has no such entry."


def _late(hold: Hold, amounts: Sequence[int]) -> str:
    took = _shown(hold.scopes, amounts)
    return f"Call {hold.call_id} took {took}, says the ledger; its hold is {hold.state}."


def _drifted(drift: Drift) -> str:
    shown, since = AccountName.of(drift.scope).shown, drift.window_start
    return (
        f"{label(drift.scope)}{f' from {since:%Y-%m-%d %H:%M}' if since else ''} says {shown(drift.spent)} spent and "
        f"{shown(drift.reserved)} reserved; its holds say {shown(drift.spent_by_holds)} and "
        f"{shown(drift.reserved_by_holds)}."
    )


def _shown(scopes: Sequence[str], amounts: Sequence[int]) -> str:
    lines = zip(scopes, amounts, strict=True)
    return ", ".join(f"{AccountName.of(scope).shown(amount)} of {label(scope)}" for scope, amount in lines)


def _file_findings(path: Path, *, repair: bool) -> Iterator[Finding]:
    """What is wrong with the store's files: who else may use them, and where they lie."""
    for file in (Path(f"{path}{end}") for end in _BESIDE) if os.name == "posix" else ():
        mode = stat.S_IMODE(file.stat().st_mode) if file.exists() else 0
        if mode & _OTHERS:
            if repair:
                file.chmod(mode & ~_OTHERS)
            yield Finding("mode", f"{file} can be used by every user of this machine (mode {mode:o}).", repair)
    if _MOUNTS.exists() and (kind := disk_of(path, _MOUNTS.read_text("utf-8", "replace"))) in _NETWORK:
        yield Finding("disk", f"{path} is on a network disk ({kind}), where locks do not hold: move it to a local one.")


def disk_of(path: Path, mounts: str) -> str:
    r"""The kind of file system that a path is on, by the lines of /proc/mounts; empty where none covers it.

    Example:
        >>> disk_of(Path("/srv/b.db"), "/dev/sda / ext4 rw 0 0\nhost:/x /srv nfs4 rw 0 0")
        'nfs4'
    """
    found = [fields for fields in (line.split() for line in mounts.splitlines()) if len(fields) > 2]
    covering = [(len(where), kind) for _, where, kind, *_ in found if path.is_relative_to(where)]
    return max(covering, default=(0, ""))[1]
