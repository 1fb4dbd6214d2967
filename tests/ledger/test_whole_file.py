"""What may be written over, what may not, and what is written to as it is."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from langchain_agentcost.errors import StoreUnavailable
from langchain_agentcost.ledger import MemoryLedger, SQLiteLedger
from langchain_agentcost.ledger.export import export
from langchain_agentcost.ledger.whole_file import whole_file
from tests.ledger.made import call


def write(path: Path, text: bytes = b"new") -> None:
    """Write a file whole."""
    with whole_file(path) as file:
        file.write(text)


@pytest.mark.parametrize("name", ["c.db", "c.db-wal", "c.db-shm", "c.db.lock", "link", "other.db", "./x/../c.db"])
def test_an_export_never_replaces_a_ledger(tmp_path: Path, name: str) -> None:
    """The ledger itself, its log, its lock, a link to it and another ledger are refused, and nothing is lost."""
    (tmp_path / "x").mkdir()
    (tmp_path / "link").symlink_to("c.db")
    with SQLiteLedger(tmp_path / "c.db") as ledger, SQLiteLedger(tmp_path / "other.db") as other:
        ledger.append(call(1))
        other.append(call(2))
        with pytest.raises(StoreUnavailable, match=r"would be lost\. It was not changed"):
            export(ledger, f"{tmp_path}/{name}")
        ledger.append(call(3))
    with SQLiteLedger(tmp_path / "c.db") as ledger, SQLiteLedger(tmp_path / "other.db") as other:
        assert [entry.id for entry in ledger.entries()] == [call(1).id, call(3).id]
        assert [entry.id for entry in other.entries()] == [call(2).id]


def test_a_name_that_only_looks_like_a_ledgers_is_written(tmp_path: Path) -> None:
    """Where no ledger lies beside it, a file may end in .lock, and a text file may be replaced."""
    (tmp_path / "notes.db").write_text("Dear diary")
    for name in ("notes.db", "notes.db.lock", "notes.db-wal"):
        write(tmp_path / name)
        assert (tmp_path / name).read_bytes() == b"new"


def test_a_pipe_is_written_to(tmp_path: Path) -> None:
    """A named pipe stays one, and who reads from it gets the export."""
    ledger, pipe = MemoryLedger(), tmp_path / "pipe"
    ledger.append(call(1))
    os.mkfifo(pipe)
    end = os.open(pipe, os.O_RDWR | os.O_NONBLOCK)
    try:
        export(ledger, pipe)
        assert stat.S_ISFIFO(pipe.stat().st_mode)
        assert os.read(end, 20).startswith(b'{"id":')
    finally:
        os.close(end)


def test_a_device_stays_a_device(tmp_path: Path) -> None:
    """What is written to a null device goes nowhere, and the device is there afterwards."""
    device = tmp_path / "null"
    try:
        os.mknod(device, 0o600 | stat.S_IFCHR, os.makedev(1, 3))
    except PermissionError:
        pytest.skip("making a device needs root")
    write(device)
    assert stat.S_ISCHR(device.stat().st_mode)


def test_a_link_is_followed(tmp_path: Path) -> None:
    """The file behind a link gets the new content, whole, and the link stays."""
    (tmp_path / "real").write_text("old")
    (tmp_path / "link").symlink_to("real")
    write(tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_bytes() == b"new"


def test_a_new_file_is_private_and_a_replaced_one_keeps_its_mode(tmp_path: Path) -> None:
    """A ledger's content is shown to nobody unless the owner had opened the file to them."""
    (tmp_path / "old").touch()
    (tmp_path / "old").chmod(0o644)
    write(tmp_path / "old")
    write(tmp_path / "new")
    assert [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("old", "new")] == [0o644, 0o600]


def test_a_block_that_fails_leaves_what_was_there(tmp_path: Path) -> None:
    """Nothing is written, and no half file stays behind."""
    (tmp_path / "out").write_text("old")

    def breaks() -> None:
        with whole_file(tmp_path / "out") as file:
            file.write(b"half")
            raise ValueError("half-way")

    with pytest.raises(ValueError, match="half-way"):
        breaks()
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("out", "old")]


@pytest.mark.parametrize("name", ["", "no/such/out", "file/out"])
def test_what_cannot_be_written_is_named(tmp_path: Path, name: str) -> None:
    """A directory, a missing folder and a file in a file are refused with the path."""
    (tmp_path / "file").touch()
    with pytest.raises(StoreUnavailable, match=r"cannot be written: (Is a|Not a|No such)"):
        write(tmp_path / name)
