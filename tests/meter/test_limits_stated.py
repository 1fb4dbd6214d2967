"""How limits are stated to a meter and asked about: what is misread is refused, and what is named is found."""

from __future__ import annotations

import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from threading import Thread
from typing import Any, cast

import pytest
from langchain_core.runnables import RunnableLambda

from langchain_agentcost import (
    AttributionMap,
    Budget,
    BudgetExceeded,
    CostMeter,
    UnenforcedBudgetWarning,
    budget,
    install_global,
    uninstall_global,
)
from langchain_agentcost.errors import BudgetError
from langchain_agentcost.meter.gate import fingerprint
from langchain_agentcost.meter.max_output import longest_answer
from langchain_agentcost.testing import FakeMeteredChatModel

MODEL = FakeMeteredChatModel()


@pytest.mark.parametrize(
    "given",
    [
        pytest.param([Budget.presets("typical"), Budget(steps=1)], id="a tuple within"),
        pytest.param({"usd": 5}, id="a mapping"),
        pytest.param(Budget(steps=1), id="one budget"),
        pytest.param(["usd=5"], id="text"),
    ],
)
@pytest.mark.parametrize("argument", ["budgets", "breakers"])
def test_what_is_no_limit_is_refused_and_the_way_to_write_it_is_said(argument: str, given: object) -> None:
    """A limit that is dropped in silence is worse than none."""
    with pytest.raises(BudgetError, match=r"budgets=\[\*Budget\.presets"):
        CostMeter(**{argument: cast("Any", given)})


@pytest.fixture
def installed() -> Iterator[CostMeter]:
    """A meter with a budget, for the whole process."""
    meter = CostMeter(budgets=[Budget(llm_calls=1, per="workflow", name="all")], attribution=AttributionMap())
    assert install_global(meter) is meter
    yield meter
    uninstall_global()


@pytest.mark.usefixtures("installed")
@pytest.mark.filterwarnings("ignore::langchain_agentcost.UnenforcedBudgetWarning")
def test_raw_threads_are_held_to_the_budgets_of_a_global_meter() -> None:
    """Nothing of the process gets past it."""
    stopped: list[BaseException] = []

    def work() -> None:
        try:
            MODEL.invoke("Hi")
        except BudgetExceeded as error:
            stopped.append(error)

    for _ in range(3):
        thread = Thread(target=work)
        thread.start()
        thread.join()
    assert len(stopped) == 2


class TestTags:
    """Tags that budgets name."""

    def test_are_read_from_metadata(self) -> None:
        """Nobody has to say twice which tag is meant."""
        meter = CostMeter(budgets=[Budget(llm_calls=1, per="tag:team")])
        MODEL.invoke("Hi", {"callbacks": meter.callbacks, "metadata": {"team": "red"}})
        MODEL.invoke("Hi", {"callbacks": meter.callbacks, "metadata": {"team": "blue"}})
        with pytest.raises(BudgetExceeded):
            MODEL.invoke("Hi", {"callbacks": meter.callbacks, "metadata": {"team": "red"}})
        assert [left.remaining for left in meter.remaining("tag:team=red")] == [0]
        assert [left.remaining for left in meter.remaining({"tag:team": "green"})] == [1]

    def test_are_read_beside_what_the_table_reads(self) -> None:
        """A budget takes nothing away from the table, though that was given as iterators."""
        table = AttributionMap({"tenant": iter(["team"])}, tags=iter(["ticket"]))
        meter = CostMeter(attribution=table, budgets=[Budget(llm_calls=1, where={"tag:team": "red"})])
        assert meter.attribution.read({"team": "red", "ticket": 7}) == {
            "tenant": "red",
            "tags": (("team", "red"), ("ticket", "7")),
        }

    def test_what_metadata_cannot_say_is_not_advised(self) -> None:
        """Nobody can pass a node."""
        meter = CostMeter(budgets=[Budget(llm_calls=9, per="node")])
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            MODEL.invoke("Hi", {"callbacks": meter.callbacks})
        [said] = [warning for warning in caught if warning.category is UnenforcedBudgetWarning]
        assert "metadata" not in str(said.message)


@pytest.mark.parametrize("scope", ["session", "sesion=a", "", {"team": "red"}])
def test_a_scope_that_means_nothing_is_refused(scope: Any) -> None:
    """No answer would be taken for no limits."""
    with pytest.raises(ValueError, match=r"A scope is written|No label is called"):
        CostMeter(budgets=[Budget(steps=1)]).remaining(scope)


def test_in_a_block_outside_a_run_the_block_is_meant() -> None:
    """The block is where this code is."""
    meter = CostMeter()
    with budget(llm_calls=2):
        MODEL.invoke("Hi", {"callbacks": meter.callbacks})
        assert [str(left) for left in meter.remaining()] == ["1 of 2 model calls left (block budget)"]


@pytest.mark.parametrize(
    ("sent", "answers"),
    [
        ({"n": 500}, 500),
        ({"n": "3"}, 3),
        ({"best_of": 2.5}, 3),
        ({"n": 2, "best_of": 4}, 4),
        ({"generation_config": {"candidate_count": 5}}, 5),
        ({"n": 10**400}, 1_000_000),
        ({"n": float("nan")}, 1),
        ({"n": "many"}, 1),
        ({"n": None}, 1),
        ({"n": 0}, 1),
    ],
)
def test_as_many_answers_are_reserved_for_as_are_asked_for(sent: dict[str, Any], answers: int) -> None:
    """However the request says it."""
    assert longest_answer("m", None, {"max_tokens": 10, **sent}, {}).tokens == 10 * answers


def test_fingerprints_cannot_be_guessed() -> None:
    """They are the same within a process only, so that trying values elsewhere tells nothing."""
    code = "from langchain_agentcost.meter.gate import fingerprint; print(fingerprint('yes'))"
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    assert fingerprint("yes") == fingerprint("yes") != other


@pytest.mark.parametrize("metadata", [{"session_id": "s1"}, {}])
def test_a_success_that_another_process_records_counts_for_the_session(tmp_path: Path, metadata: Any) -> None:
    """The run's session is in the ledger; a run without one is one of its own."""
    files: Any = {"ledger": f"sqlite:///{tmp_path / 'c.db'}", "budgets": [Budget(llm_calls=1, per="outcome")]}
    run = "0190d1f0-0000-7000-8000-000000000001"
    with CostMeter(**files) as meter:
        config: Any = {"callbacks": meter.callbacks, "run_id": run, "metadata": metadata}
        RunnableLambda(MODEL.invoke).invoke("Hi", config)
        of: Any = {"session": "s1"} if metadata else {"run": run}
        assert [left.remaining for left in meter.remaining(of)] == [0]
    with CostMeter(**files) as meter:
        meter.record_outcome("done", success=True, run=run)
        assert [left.remaining for left in meter.remaining(of)] == [1]
