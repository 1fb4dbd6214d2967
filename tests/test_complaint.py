"""How a fault is told of."""

from __future__ import annotations

import logging

import pytest

from langchain_agentcost.complaint import Complaint
from langchain_agentcost.context.audit import Audit
from langchain_agentcost.context.projecting_state import Stored
from langchain_agentcost.errors import ContextError, ContextWarning


def test_the_first_fault_warns_and_the_others_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    """Neither quotes the error, which may hold a part of a prompt."""
    complaint = Complaint("It failed", ContextWarning)
    with pytest.warns(ContextWarning, match="It failed: ValueError$"):
        complaint.about(ValueError("my card is 4111"))
    with caplog.at_level(logging.DEBUG, logger="langchain_agentcost.complaint"):
        complaint.about(KeyError("my card is 4111"))
    assert "It failed: KeyError" in caplog.text
    assert "4111" not in caplog.text


def test_what_the_package_says_itself_is_told() -> None:
    """But not where it wraps an error of somebody else."""
    with pytest.warns(ContextWarning, match="give a price"):
        Complaint("It failed", ContextWarning).about(ContextError("Please give a price."))
    wrapped = ContextError("my card is 4111")
    wrapped.__cause__ = ValueError()
    with pytest.warns(ContextWarning, match="It failed: ContextError$"):
        Complaint("It failed", ContextWarning).about(wrapped)


@pytest.mark.parametrize("read", [Stored.from_dict, Audit.from_dict])
def test_a_damaged_state_is_not_quoted(read: object) -> None:
    """Whatever it holds."""
    assert callable(read)
    with pytest.raises(ContextError) as raised:
        read({"records": "4111", "plan": None, "step": "4111 x", "last_call_at": None, "lengths": None, "audit": None})
    assert "4111" not in str(raised.value)
