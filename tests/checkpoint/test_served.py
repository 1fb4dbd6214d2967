from __future__ import annotations

import importlib.util
import json
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from langgraph.checkpoint.base import BaseCheckpointSaver

from langchain_agentcost.checkpoint import CostCheckpointer
from tests.checkpoint.cents import ASK, acalling, cent_model, cents, chain, on

MODULE = """
from contextlib import asynccontextmanager
from pathlib import Path

from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

from langchain_agentcost import CostMeter
from langchain_agentcost.checkpoint import CostCheckpointer

meter = CostMeter()
in_memory = CostCheckpointer(InMemorySaver(), meter=meter)


@asynccontextmanager
async def in_a_file():
    async with AsyncSqliteSaver.from_conn_string(str(Path(__file__).with_name("threads.db"))) as saver:
        yield CostCheckpointer(saver, meter=meter)
"""


def load(path: str, folder: Path) -> Any:
    """Load a `checkpointer.path` of langgraph.json as the LangGraph server does (langgraph-api 0.16, `_adapter`)."""
    file, name = path.rsplit(":", 1)
    spec = importlib.util.spec_from_file_location("served_checkpointer", folder / file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.__dict__[name]


@asynccontextmanager
async def entered(value: Any) -> AsyncIterator[BaseCheckpointSaver[Any]]:
    """Make a checkpointer of what was loaded, in the server's order: a saver, a context manager, a function."""
    if isinstance(value, BaseCheckpointSaver):
        yield value
    elif isinstance(value, AbstractAsyncContextManager):
        async with value as saver:
            yield saver
    else:
        async with entered(value()) as saver:
            yield saver


@pytest.mark.parametrize("name", ["in_memory", "in_a_file"])
async def test_a_server_loads_it_by_its_path(name: str, tmp_path: Path) -> None:
    """A saver in a module, and a function that opens one, are both what `checkpointer.path` may name."""
    (tmp_path / "costs.py").write_text(MODULE)
    (tmp_path / "langgraph.json").write_text(json.dumps({"checkpointer": {"path": f"./costs.py:{name}"}}))
    path = json.loads((tmp_path / "langgraph.json").read_text())["checkpointer"]["path"]
    async with entered(load(path, tmp_path)) as saver:
        assert isinstance(saver, CostCheckpointer)
        graph = chain(acalling(cent_model())).compile(checkpointer=saver)
        await graph.ainvoke(ASK, on(saver))
        history = await saver.acost_history(on(saver))
        assert [step.total_usd for step in reversed(history)] == cents(0, 0, 1)


async def test_what_a_server_cannot_do_is_seen_on_the_class(tmp_path: Path) -> None:
    """The server asks the class what it can do: methods that the inner saver lacks are the interface's own there."""
    (tmp_path / "costs.py").write_text(MODULE)
    for name in ("in_memory", "in_a_file"):
        async with entered(load(f"costs.py:{name}", tmp_path)) as saver:
            base = BaseCheckpointSaver
            assert type(saver).aprune is base.aprune
            assert type(saver).adelete_thread is not base.adelete_thread
            required = ("aput", "aput_writes", "aget_tuple", "aget", "alist")
            assert all(getattr(type(saver), method) is not getattr(base, method) for method in required)
