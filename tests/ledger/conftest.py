from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from langchain_agentcost.ledger import Ledger, open_ledger


@pytest.fixture(params=["memory", "sqlite"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a new ledger of each kind."""
    return "memory://" if request.param == "memory" else f"sqlite:///{tmp_path / 'ledger.db'}"


@pytest.fixture
def ledger(url: str) -> Iterator[Ledger]:
    """A new ledger of each kind."""
    with open_ledger(url) as opened:
        yield opened


@pytest.fixture
def bytes_under() -> Callable[[Path], bytes]:
    """Reads everything that a folder's files hold."""
    return lambda folder: b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())
