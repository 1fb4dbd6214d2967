"""What a projector does where something fails: the history goes out, and a warning says so."""

from __future__ import annotations

from typing import Any

import pytest

from langchain_agentcost.context.decision import Decision, Situation
from langchain_agentcost.context.projector import ContextProjector
from langchain_agentcost.errors import ContextWarning
from tests.context.test_projector import history, projector


class Broken:
    """A decider that fails."""

    def decide(self, situation: Situation) -> Decision:
        """Fail."""
        raise ValueError("no idea")


async def test_a_fault_inside_is_a_warning() -> None:
    """The history goes out as it is, sync and async, by the plan that was stored; an error's text is not told."""
    stored = projector().project(history(20)).stored
    before = projector().view(history(21), stored)
    own = projector(decider=Broken())
    with pytest.warns(ContextWarning, match="ValueError") as given:
        made = own.project(history(20))
    assert "no idea" not in str(given[0].message)
    assert (made.messages, made.decision) == (history(20), None)
    assert (await own.aproject(history(21), stored)).messages == before
    assert len(str(before)) < len(str(history(21)))


@pytest.mark.parametrize("data", [{"plan": 7}, {"step": "x"}, {"plan": None, "step": 1}, [1], "text"])
def test_a_damaged_state_starts_anew(data: Any) -> None:
    """It is told of once, and replaced."""
    own = projector()
    with pytest.warns(ContextWarning, match="could not be cut"):
        made = own.project(history(2), data)
    assert made.stored["step"] == 3
    assert own.view(history(2), data) == history(2)


def test_a_model_without_a_price_is_told_of() -> None:
    """Nothing is cut, and the warning says what to give."""
    with pytest.warns(ContextWarning, match="No price of nobody-knows-it"):
        assert ContextProjector("nobody-knows-it").project(history(20)).messages == history(20)
