"""How many entries a second a ledger takes, and how long a report over them lasts as it grows.

Ours, in memory and in SQLite, beside two plain alternatives in the same run: a JSON line for each event, and a SQLite
table with one wide row of text for each event and an index for each column that one groups by. All but memory have an
entry safe from `kill -9` when the append returns. Ours grow to 1 %, 10 % and all of `--entries`, the alternatives to
10 % (they take long); the reports by node, by agent and model, and by user are made at each size: of ours the whole
report that a user gets, of the alternatives a plain sum by group. The rate is that of the appends since the size
before. Making the entries is not timed. Ours are measured with few users and with many.
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

from rows import parser, publish

from langchain_agentcost.attribution import Attribution
from langchain_agentcost.finops import report
from langchain_agentcost.ledger import Entry, InputSplit, Ledger, open_ledger
from langchain_agentcost.ledger.record import to_record
from langchain_agentcost.pricing.cost import Cost, PriceSource
from langchain_agentcost.usage import Usage

_START = datetime(2026, 11, 1, tzinfo=UTC)
_PRICE = PriceSource("genai-prices", "2026-11")
_CHUNK = 5_000
_FEW_USERS, _MANY_USERS = 200, 20_000
_REPORTS = (("node",), ("agent", "model"), ("user",))
_GROUPED = ("tenant", "user", "session", "run", "agent", "node", "provider", "model")


class System(Protocol):
    """What is compared."""

    def append(self, entry: Entry) -> None:
        """Keep an entry."""
        ...

    def report(self, by: Sequence[str]) -> int:
        """Add up cost and calls by some columns; gives the number of groups."""
        ...

    def close(self) -> None:
        """Let go of it."""
        ...


class Ours:
    """A ledger of this package."""

    def __init__(self, url: str) -> None:
        self.ledger: Ledger = open_ledger(url)
        self.append = self.ledger.append
        self.close = self.ledger.close

    def report(self, by: Sequence[str]) -> int:
        """All that a user gets."""
        return len(report(self.ledger, by=by).rows)


class JsonLines:
    """A line for each event, written with one system call, so that it outlives the process."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def append(self, entry: Entry) -> None:
        """One line."""
        os.write(self._file, json.dumps(to_record(entry)).encode() + b"\n")

    def report(self, by: Sequence[str]) -> int:
        """Read all lines."""
        sums: defaultdict[tuple[str, ...], float] = defaultdict(float)
        with self._path.open(encoding="utf-8") as file:
            for line in file:
                record = json.loads(line)
                sums[tuple(record[name] for name in by)] += float(record["cost_total_usd"])
        return len(sums)

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)


class WideRows:
    """A table of text with an index for each column that is grouped by, committed with each event."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = NORMAL")
        self._columns = tuple(to_record(next(entries(0, 1))))
        self._db.execute(f"CREATE TABLE event ({', '.join(self._columns)}, UNIQUE (id))")
        for column in _GROUPED:
            self._db.execute(f"CREATE INDEX by_{column} ON event ({column})")

    def append(self, entry: Entry) -> None:
        """One row."""
        values = [json.dumps(value) if isinstance(value, tuple) else value for value in to_record(entry).values()]
        with self._lock:
            self._db.execute(f"INSERT OR IGNORE INTO event VALUES ({', '.join('?' * len(values))})", values)  # noqa: S608  # question marks

    def report(self, by: Sequence[str]) -> int:
        """Let SQLite add up."""
        names = ", ".join(by)
        select = f"SELECT {names}, count(*), sum(cost_total_usd) FROM event GROUP BY {names}"  # noqa: S608  # constants
        return len(self._db.execute(select).fetchall())

    def close(self) -> None:
        """Close the database."""
        self._db.close()


SYSTEMS: dict[str, Callable[[Path], System]] = {
    "ours, memory": lambda _: Ours("memory://"),
    "ours, sqlite": lambda folder: Ours(f"sqlite:///{folder / 'ledger.db'}"),
    "json lines": lambda folder: JsonLines(folder / "events.jsonl"),
    "sqlite, wide rows": lambda folder: WideRows(folder / "events.db"),
}


def entries(first: int, last: int, *, users: int = _FEW_USERS) -> Iterator[Entry]:
    """Calls as an application makes them: runs of 25 steps, 5 tenants, 24 combinations of agent and node."""
    for number in range(first, last):
        run, step = divmod(number, 25)
        yield Entry(
            id=f"{number:08x}-0000-7000-8000-{run:012x}",
            kind="llm",
            at=_START + timedelta(seconds=number * 2.6),
            attribution=Attribution(
                tenant=f"tenant-{run % 5}",
                user=f"user-{run % users}",
                session=f"session-{run // 3}",
                workflow="support",
                run=f"{run:08x}-1111-7000-8000-000000000000",
                agent=f"agent-{step % 3}",
                node=f"desk/node-{step % 8}",
                step=step + 1,
                provider="openai",
                model=f"model-{step % 3}",
            ),
            duration_s=0.5 + number % 197 / 50,
            usage=Usage(input_tokens=1000 + number % 900, output_tokens=200, cache_read_tokens=512),
            cost=Cost(3000 + number % 99, 1000, 1000, 1000 + number % 99, price=_PRICE),
            split=InputSplit(100, 900 + number % 900),
        )


def fill(system: System, first: int, last: int, *, threads: int, users: int) -> float:
    """Append entries from threads and give the seconds that it took, without making the entries."""
    seconds = 0.0
    for start in range(first, last, _CHUNK * threads):
        stop = min(start + _CHUNK * threads, last)
        share = -(-(stop - start) // threads)
        shares = [list(entries(at, min(at + share, stop), users=users)) for at in range(start, stop, share)]
        seconds += _timed(lambda shares=shares: _together(system, shares))  # type: ignore[misc]
    return seconds


def grow(name: str, sizes: Sequence[int], *, threads: int = 1, users: int = _FEW_USERS) -> Iterator[dict[str, Any]]:
    """The rows of one system as it grows."""
    folder = Path(tempfile.mkdtemp(prefix="ledger-benchmark-"))
    system = SYSTEMS[name](folder)
    try:
        held = 0
        for size in sizes:
            seconds = fill(system, held, size, threads=threads, users=users)
            reports = {f"report_{'_'.join(by)}_s": _report_s(system, by) for by in _REPORTS}
            yield {
                "system": name,
                "threads": threads,
                "users": users,
                "entries": size,
                "appends_per_s": round((size - held) / seconds),
                **reports,
                "bytes_per_entry": sum(path.stat().st_size for path in folder.iterdir()) // size,
                "n": size - held,
            }
            held = size
    finally:
        system.close()
        shutil.rmtree(folder)


def _together(system: System, shares: list[list[Entry]]) -> None:
    if len(shares) == 1:
        _append_all(system, shares[0])
        return
    threads = [threading.Thread(target=_append_all, args=(system, share)) for share in shares]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _append_all(system: System, made: list[Entry]) -> None:
    for entry in made:
        system.append(entry)


def _report_s(system: System, by: Sequence[str]) -> float:
    return round(_timed(lambda: system.report(by)), 6)


def _timed(action: Callable[[], object]) -> float:
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


def main() -> None:
    """Measure and publish."""
    arguments = parser(__doc__)
    arguments.add_argument("--entries", type=int, default=1_000_000, help="how far each system grows")
    options = arguments.parse_args()
    sizes = sorted({max(1, options.entries // 100), max(1, options.entries // 10), options.entries})
    ours = [name for name in SYSTEMS if name.startswith("ours")]
    rows = [row for name in SYSTEMS for row in grow(name, sizes if name in ours else sizes[:2])]
    rows += [row for name in ours for row in grow(name, sizes[-1:], users=_MANY_USERS)]
    rows += [row for name in SYSTEMS for row in grow(name, sizes[1:2], threads=8)]
    publish("ledger", rows, options.json)


if __name__ == "__main__":
    main()
