"""Files that a SQLite ledger cannot use: each is refused with what to do, and left as it was."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from langchain_agentcost.errors import StoreUnavailable
from langchain_agentcost.ledger import SQLiteLedger, open_ledger
from langchain_agentcost.ledger.schema import VERSION
from tests.ledger.made import call

HERE = Path(__file__).parent


def refuses(path: Path, message: str) -> None:
    """Opening the path fails with the message, and the folder is as it was."""
    before = {p: p.read_bytes() for p in path.parent.rglob("*") if p.is_file()} if path.parent.exists() else {}
    with pytest.raises(StoreUnavailable, match=message):
        SQLiteLedger(path)
    after = {p: p.read_bytes() for p in path.parent.rglob("*") if p.is_file()} if path.parent.exists() else {}
    assert after == before


def test_a_directory(tmp_path: Path) -> None:
    """A directory is no ledger."""
    (tmp_path / "costs").mkdir()
    refuses(tmp_path / "costs", "is a directory; name a file in it")


def test_a_missing_parent(tmp_path: Path) -> None:
    """Folders are not made in passing: a typo must not grow a tree."""
    refuses(tmp_path / "no" / "such" / "ledger.db", "create it, or choose another path")
    assert not (tmp_path / "no").exists()


def test_a_parent_that_is_a_file(tmp_path: Path) -> None:
    """A file cannot have files in it."""
    (tmp_path / "file").write_text("x")
    refuses(tmp_path / "file" / "ledger.db", "is not a directory")


def test_a_device(tmp_path: Path) -> None:
    """A pipe or device would swallow the ledger."""
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(StoreUnavailable, match="not a regular file"):
        SQLiteLedger(tmp_path / "pipe")


def test_something_that_is_not_sqlite(tmp_path: Path) -> None:
    """A text file is not overwritten."""
    (tmp_path / "ledger.db").write_text("Dear diary, " * 1000)
    refuses(tmp_path / "ledger.db", "not a SQLite file")


@pytest.mark.parametrize("mode", ["delete", "wal"])
def test_another_programs_database(tmp_path: Path, mode: str) -> None:
    """Another program's SQLite file is recognised without being opened, and not a byte of it changes."""
    path = tmp_path / "theirs.db"
    connection = sqlite3.connect(path)
    connection.execute(f"PRAGMA journal_mode = {mode}")
    connection.execute("CREATE TABLE entry (id)")
    connection.commit()
    connection.close()
    refuses(path, "of another program. It was not changed")


def test_a_newer_schema(tmp_path: Path) -> None:
    """A file of a newer version is not touched by an older package."""
    path = tmp_path / "ledger.db"
    SQLiteLedger(path).close()
    connection = sqlite3.connect(path)
    connection.execute(f"PRAGMA user_version = {VERSION + 1}")
    connection.close()
    refuses(path, f"schema version {VERSION + 1}.*Upgrade langchain-agentcost")


def test_an_empty_file_is_a_new_ledger(tmp_path: Path) -> None:
    """A file that was made by `tempfile` or `touch` is fine."""
    (tmp_path / "ledger.db").touch()
    with SQLiteLedger(tmp_path / "ledger.db") as ledger:
        ledger.append(call(1))
        assert ledger.totals()[0].calls == 1


@pytest.mark.parametrize("start", [200, 3000])
def test_a_damaged_file(tmp_path: Path, start: int) -> None:
    """Damage in the schema or in the rows is said to be damage, with the way to rescue the rest."""
    path = tmp_path / "ledger.db"
    with SQLiteLedger(path) as ledger:
        for number in range(200):
            ledger.append(call(number))
    with path.open("r+b") as file:
        file.seek(start)
        file.write(b"\xa5" * (path.stat().st_size - start))
    with pytest.raises(StoreUnavailable, match=r"is damaged\. Restore a backup"), SQLiteLedger(path) as ledger:
        list(ledger.entries())


def test_a_ledger_that_should_be_there(tmp_path: Path) -> None:
    """A command that only reads does not make an empty ledger out of a typo."""
    with pytest.raises(StoreUnavailable, match="There is no ledger at"):
        open_ledger(tmp_path / "tpyo.db", create=False)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("url", ["mysql://x", "sqlite://x", "sqlite:///", "memory://x", "http://x/y.db"])
def test_an_unknown_url(url: str) -> None:
    """A URL that names no ledger is answered with those that do."""
    with pytest.raises(StoreUnavailable, match=r"use memory:// or sqlite:///path"):
        open_ledger(url)


FILL = """
import sys, warnings
from tests.ledger.made import call
from langchain_agentcost.errors import StoreUnavailable
from langchain_agentcost.ledger import SQLiteLedger
path, room = sys.argv[1], sys.argv[2]
if room == "limit":
    import resource
    resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, resource.RLIM_INFINITY))
ledger, kept = SQLiteLedger(path), []
try:
    for n in range(100_000):
        ledger.append(call(n, user=f"user {n}"))
        kept.append(call(n).id)
    sys.exit("the disk never filled")
except StoreUnavailable as error:
    assert "full" in str(error), error
if room == "limit":
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
else:
    import os; os.unlink(path + ".ballast")
ledger.append(call(10**6))
assert {e.id for e in ledger.entries()} == {*kept, call(10**6).id}
assert sum(t.calls for t in ledger.totals(("user",))) == len(kept) + 1
"""


def python(script: str, *arguments: object) -> list[str]:
    """The command that runs a script."""
    return [sys.executable, "-c", script, *map(str, arguments)]


def in_a_mount(folder: Path, options: str, *commands: list[str]) -> subprocess.CompletedProcess[str]:
    """Run commands with a small file system of their own in a folder, which nobody else sees."""
    unshare = shutil.which("unshare")
    if unshare is None or os.geteuid() != 0:
        pytest.skip("needs unshare and root")
    steps = " && ".join(['mount -t tmpfs -o "$1" tmpfs "$0"'] + [" ".join(map(_quoted, c)) for c in commands])
    done = subprocess.run(
        [unshare, "-m", "sh", "-c", steps, str(folder), options],
        env=os.environ | {"PYTHONPATH": str(HERE)},
        capture_output=True,
        text=True,
        check=False,
    )
    if "mount:" in done.stderr or "unshare:" in done.stderr:
        pytest.skip("mounting is not allowed here")
    return done


def _quoted(word: str) -> str:
    return "'" + word.replace("'", "'\\''") + "'"


def test_a_file_that_may_not_grow(tmp_path: Path) -> None:
    """At the limit an append fails clearly; all before it are safe, and it goes on when there is room again."""
    done = subprocess.run(
        python(FILL, tmp_path / "ledger.db", "limit"),
        env=os.environ | {"PYTHONPATH": str(HERE)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_a_full_disk(tmp_path: Path) -> None:
    """The same on a file system that is really full."""
    ballast = ["dd", "if=/dev/zero", f"of={tmp_path}/ledger.db.ballast", "bs=1k", "count=500", "status=none"]
    done = in_a_mount(tmp_path, "size=1m", ballast, python(FILL, tmp_path / "ledger.db", "disk"))
    assert done.returncode == 0, done.stderr


def test_a_disk_too_full_for_a_new_ledger(tmp_path: Path) -> None:
    """Where a ledger cannot be made whole, nothing of it is left behind."""
    script = """
import os, sys
from langchain_agentcost.errors import StoreUnavailable
from langchain_agentcost.ledger import SQLiteLedger
try:
    SQLiteLedger(sys.argv[1] + "/ledger.db")
except StoreUnavailable as error:
    assert "full" in str(error), error
else:
    sys.exit("made a ledger out of nothing")
assert os.listdir(sys.argv[1]) == [], os.listdir(sys.argv[1])
"""
    done = in_a_mount(tmp_path, "size=8k", python(script, tmp_path))
    assert done.returncode == 0, done.stderr


def test_a_read_only_disk(tmp_path: Path) -> None:
    """A ledger on a read-only disk is refused with the remedy."""
    script = """
import sys
from langchain_agentcost.errors import StoreUnavailable
from langchain_agentcost.ledger import SQLiteLedger
for name in ("/ledger.db", "/new.db"):
    try:
        SQLiteLedger(sys.argv[1] + name)
    except StoreUnavailable as error:
        assert "read-only" in str(error).lower() and "owner and mode" in str(error), error
    else:
        sys.exit("wrote to a read-only disk")
"""
    make = "import sys; from langchain_agentcost.ledger import SQLiteLedger; SQLiteLedger(sys.argv[1]).close()"
    remount = ["mount", "-o", "remount,ro", str(tmp_path)]
    done = in_a_mount(tmp_path, "size=2m", python(make, tmp_path / "ledger.db"), remount, python(script, tmp_path))
    assert done.returncode == 0, done.stderr
