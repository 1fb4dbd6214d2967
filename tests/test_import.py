"""Importing the package is cheap, quiet, and gives exactly its public names."""

from __future__ import annotations

import json
import pkgutil
import subprocess
import sys

import pytest

import langchain_agentcost
from langchain_agentcost import caching, context, routing

PROBE = """
import json, sys
import langchain_core.callbacks, langchain_core.tracers.langchain, langgraph.graph, langgraph.callbacks, langsmith
before = set(sys.modules)
touched = []
def watch(event, args):
    if event in ("socket.connect", "socket.getaddrinfo", "subprocess.Popen"):
        touched.append(event)
    if event == "open" and isinstance(args[0], str) and not args[0].endswith((".py", ".pyc", ".so")):
        touched.append(args[0])
sys.addaudithook(watch)
from langchain_agentcost import CostMeter
print(json.dumps({"new": sorted(set(sys.modules) - before), "touched": touched}))
"""

HEAVY = (
    "genai_prices", "tiktoken", "typer", "rich", "pyarrow", "numpy", "langchain", "langchain_openai",
    "matplotlib", "xllamacpp",
)  # fmt: skip


def probe() -> dict[str, list[str]]:
    """What importing the package loads and opens, beyond what LangChain and LangGraph do."""
    done = subprocess.run([sys.executable, "-c", PROBE], capture_output=True, text=True, check=True)
    found: dict[str, list[str]] = json.loads(done.stdout)
    return found


def test_the_import_loads_nothing_heavy() -> None:
    """Price data, tokenizers and everything optional are loaded when they are first needed."""
    loaded = {name.partition(".")[0] for name in probe()["new"]}
    assert set() == loaded & set(HEAVY)


def test_the_import_touches_no_file_and_no_network() -> None:
    """Nothing but Python modules is opened."""
    assert probe()["touched"] == []


def test_a_process_that_only_meters_loads_no_reports() -> None:
    """Rooms are imported when they are first used."""
    loaded = probe()["new"]
    assert "langchain_agentcost.meter" in loaded
    assert [name for name in loaded if name.startswith(("langchain_agentcost.finops", "langchain_agentcost.cli"))] == []


def test_all_is_exactly_the_public_names() -> None:
    """Every public name can be had, is listed once, in order, and a name that is not there says so."""
    assert sorted(set(langchain_agentcost.__all__)) == langchain_agentcost.__all__ == dir(langchain_agentcost)
    assert all(getattr(langchain_agentcost, name) is not None for name in langchain_agentcost.__all__)
    with pytest.raises(AttributeError, match="no attribute 'CostMetre'"):
        langchain_agentcost.CostMetre  # noqa: B018  # the access is the test


def test_no_public_name_is_hidden_by_a_module() -> None:
    """A name that a package imports lazily is not that of a module in it: importing the module would take its place."""
    for package in (langchain_agentcost, routing, context, caching):
        modules = {found.name for found in pkgutil.iter_modules(package.__path__)}
        assert modules & set(package.__all__) == set()
