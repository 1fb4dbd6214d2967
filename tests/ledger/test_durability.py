"""What a SQLite ledger survives: kill -9, many processes, forks. Each test runs the real thing in processes."""

from __future__ import annotations

import multiprocessing
import os
import signal
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import replace
from pathlib import Path

import pytest

from langchain_agentcost.errors import InvalidEntry
from langchain_agentcost.ledger import SQLiteLedger
from tests.ledger.made import call

HERE = Path(__file__).parent


def run(script: str, *arguments: object) -> subprocess.Popen[str]:
    """Start a Python process that has `made` at hand."""
    head = "import os, sys, threading\nfrom made import call\nfrom langchain_agentcost.ledger import SQLiteLedger\n"
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", head + script, *map(str, arguments)],
        env=os.environ | {"PYTHONPATH": str(HERE)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen[str]) -> None:
    """Wait for a process and show what it said where it failed."""
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, out + err


def ids(path: Path) -> set[str]:
    """The ids that a ledger holds."""
    with SQLiteLedger(path, create=False) as ledger:
        found = [entry.id for entry in ledger.entries()]
        assert len(found) == len(set(found)) == sum(total.calls for total in ledger.totals())
        return set(found)


def test_kill_9_loses_no_acknowledged_entry(tmp_path: Path) -> None:
    """Every id that was printed after its append is there after SIGKILL, and the file is sound."""
    path, acknowledged = tmp_path / "ledger.db", set[str]()
    script = "with SQLiteLedger(sys.argv[1]) as ledger:\n for n in range(int(sys.argv[2]), 10**9):\n"
    script += "  ledger.append(call(n, user=f'u{n % 7}'))\n  os.write(1, (call(n).id + chr(10)).encode())"
    for start in (0, 10**6):
        process = run(script, path, start)
        assert process.stdout is not None
        acknowledged |= {process.stdout.readline().strip() for _ in range(1500)}
        process.send_signal(signal.SIGKILL)
        acknowledged |= {line.strip() for line in process.communicate()[0].splitlines() if len(line.strip()) == 36}
    assert acknowledged <= ids(path)


def test_eight_processes_share_a_file(tmp_path: Path) -> None:
    """Eight processes that make, open and fill one file lose nothing and are never told that it is locked."""
    path = tmp_path / "ledger.db"
    script = """
for worker in range(8):
    if os.fork() == 0:
        with SQLiteLedger(sys.argv[1]) as ledger:
            for n in range(300):
                ledger.append(call(worker * 1000 + n, user=f"u{worker}", node=f"n{n % 3}"))
        os._exit(0)
assert [os.wait()[1] for _ in range(8)] == [0] * 8
"""
    finish(run(script, path))
    assert ids(path) == {call(worker * 1000 + n).id for worker in range(8) for n in range(300)}


def test_an_open_ledger_survives_a_fork(tmp_path: Path) -> None:
    """Children go on with the ledger that they inherit, while a thread of the parent writes and the parent closes."""
    path = tmp_path / "ledger.db"
    script = """
ledger = SQLiteLedger(sys.argv[1])
ledger.append(call(0))
reading = ledger.entries()
next(reading)
stop = threading.Event()
def write():
    n = 10**6
    while not stop.is_set() or n < 10**6 + 50:
        ledger.append(call(n)); n += 1
    print(n)
thread = threading.Thread(target=write); thread.start()
gate = os.pipe()
import warnings; warnings.simplefilter("ignore", DeprecationWarning)
for child in range(1, 5):
    if os.fork() == 0:
        for n in range(100):
            ledger.append(call(child * 1000 + n))
        os.close(gate[1]); os.read(gate[0], 1)
        for n in range(100, 200):
            ledger.append(call(child * 1000 + n))
        ledger.totals(("user",))
        os._exit(0)
stop.set(); thread.join()
ledger.close()
os.close(gate[1])
assert [os.wait()[1] for _ in range(4)] == [0] * 4
"""
    process = run(script, path)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    children = {call(child * 1000 + n).id for child in range(1, 5) for n in range(200)}
    assert ids(path) == {call(0).id} | children | {call(n).id for n in range(10**6, int(out))}


def test_a_spawned_process_opens_the_same_file(tmp_path: Path) -> None:
    """A ledger can be handed to a spawned process."""
    with SQLiteLedger(tmp_path / "ledger.db") as ledger:
        process = multiprocessing.get_context("spawn").Process(target=ledger.append, args=(call(1),))
        process.start()
        process.join()
        assert process.exitcode == 0
        assert [entry.id for entry in ledger.entries()] == [call(1).id]


def test_only_the_owner_can_read_the_files(tmp_path: Path) -> None:
    """The database, its log and its lock have mode 0600 whatever the umask."""
    before = os.umask(0)
    try:
        with SQLiteLedger(tmp_path / "ledger.db") as ledger:
            ledger.append(call(1))
            modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    finally:
        os.umask(before)
    assert modes == dict.fromkeys(["ledger.db", "ledger.db-wal", "ledger.db-shm", "ledger.db.lock"], 0o600)


def test_a_slow_reader_does_not_hold_writers_up(tmp_path: Path) -> None:
    """An iteration that was begun and never finished leaves nothing locked, not even for forgetting."""
    with SQLiteLedger(tmp_path / "ledger.db") as ledger:
        ledger.append(call(1, user="ann"))
        reading = ledger.entries()
        next(reading)
        ledger.append(call(2, user="ann"))
        assert ledger.forget("ann") == 2


def test_labels_in_other_processes_outlive_forgetting(tmp_path: Path) -> None:
    """After one process forgets and prunes, another's next entries still have the right labels."""
    with SQLiteLedger(tmp_path / "ledger.db") as ours, SQLiteLedger(tmp_path / "ledger.db") as theirs:
        ours.append(call(1, user="ann", node="a"))
        theirs.append(call(2, user="ann", node="a"))
        theirs.forget("ann")
        theirs.prune(call(1, minutes=1).at)
        theirs.append(call(3, user="bob", node="b"))
        ours.append(call(4, user="ann", node="a"))
        assert {total.key for total in ours.totals(("user", "node"))} == {("bob", "b"), ("ann", "a")}


def test_opening_a_file_twice_keeps_its_locks(tmp_path: Path) -> None:
    """A second ledger on the same file in one process does not let another process delete the first one's log."""
    path = tmp_path / "ledger.db"
    with SQLiteLedger(path) as first:
        first.append(call(1))
        SQLiteLedger(path).close()
        finish(run("SQLiteLedger(sys.argv[1]).close()", path))
        first.append(call(2))
        finish(run("with SQLiteLedger(sys.argv[1]) as ledger: assert ledger.totals()[0].calls == 2", path))


def test_labels_of_a_failed_append_are_written_again(tmp_path: Path) -> None:
    """Labels that were rolled back with an entry are not taken for written: the next entry has its own."""
    with SQLiteLedger(tmp_path / "ledger.db") as ledger:
        ledger.append(call(1, user="ann"))
        with pytest.raises(InvalidEntry):
            ledger.append(replace(call(2, user="bob", node="b"), parent_id="\ud800"))
        ledger.append(call(3, user="cem", node="c"))
        ledger.append(call(4, user="bob", node="b"))
        seen = [(e.attribution.user, e.attribution.node) for e in ledger.entries()]
    assert seen == [("ann", None), ("cem", "c"), ("bob", "b")]


def test_an_append_outwaits_a_long_turn_of_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While another rewrites the file, for longer than SQLite waits, an append waits for its turn and is kept."""
    monkeypatch.setattr("langchain_agentcost.ledger.access.BUSY_TIMEOUT_S", 0.02)
    with SQLiteLedger(tmp_path / "ledger.db") as ours, SQLiteLedger(tmp_path / "ledger.db") as theirs:
        with ThreadPoolExecutor(1) as threads, theirs._writer as connection:
            connection.execute("BEGIN EXCLUSIVE")
            appended = threads.submit(ours.append, call(1))
            wait([appended], timeout=0.4)
            connection.execute("COMMIT")
        appended.result()
        assert ours.totals()[0].calls == 1
