from collections.abc import Iterator
from pathlib import Path

import pytest
from langchain_openai import ChatOpenAI

from langchain_agentcost.demo.local_model import LocalModel
from langchain_agentcost.demo.models import local_model
from langchain_agentcost.demo.shop import ShopTools, create_shop


@pytest.fixture(scope="session")
def served() -> Iterator[LocalModel]:
    """The real local model, started once. Where it is not installed the tests fail: it must not go unnoticed."""
    with LocalModel(slots=3) as running:
        yield running


@pytest.fixture(scope="session")
def chat(served: LocalModel) -> ChatOpenAI:
    """The demo's chat model on the local server."""
    model = local_model(served).chat
    assert isinstance(model, ChatOpenAI)
    return model


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """An order database as the demo starts with it."""
    path = tmp_path / "shop.db"
    create_shop(path)
    return path


@pytest.fixture
def tools(database: Path) -> ShopTools:
    """The desk's tools over that database."""
    return ShopTools.over(database)
