from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from langchain_agentcost.limits.holds import BudgetStore
from tests.limits.stores import STORES, Clock, Opens


@pytest.fixture(params=list(STORES))
def opens(request: pytest.FixtureRequest) -> Opens:
    """How to open each kind of store."""
    return STORES[request.param]


@pytest.fixture
def store(opens: Opens, tmp_path: Path) -> Iterator[BudgetStore]:
    """A new store of each kind."""
    opened = opens(tmp_path, Clock())
    yield opened
    opened.close()
