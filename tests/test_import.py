"""Importing the package is cheap, quiet, and gives exactly its public names."""

from __future__ import annotations

import json
import subprocess
import sys

import langchain_agentcost

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
import langchain_agentcost
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


def test_all_is_exactly_the_public_names() -> None:
    """A name is public because `__all__` says so, and not because an import left it there."""
    modules = {"attribution", "cli", "demo", "errors", "exporters", "finops", "ledger", "meter", "money", "pricing",
               "reported", "server_tools", "testing", "tokens", "usage", "annotations"}  # fmt: skip
    public = {name for name in vars(langchain_agentcost) if not name.startswith("_")} - modules
    assert public | {"__version__"} == set(langchain_agentcost.__all__)
    assert sorted(langchain_agentcost.__all__) == langchain_agentcost.__all__
