"""The public names of lint."""

from __future__ import annotations

import subprocess
import sys

import pytest

from langchain_agentcost.context import lint


def test_every_name_is_there() -> None:
    """Each public name is imported when it is first used, under its own name; no other is."""
    assert dir(lint) == lint.__all__
    for name in lint.__all__:
        assert getattr(lint, name).__name__ == name
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = lint.nothing


def test_lean_schemas_need_no_graph() -> None:
    """Who only wants lean schemas does not wait for LangGraph to be imported."""
    code = (
        "import sys; from langchain_agentcost.context.lint import lean_schema; print('langgraph.pregel' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
