"""Whom the runs in LangSmith are booked to, and how a user stays unknown."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, cast

import pytest
from langchain_core.runnables import RunnableConfig

from langchain_agentcost.attribution import AttributionMap
from langchain_agentcost.exporters.langsmith import LangSmithCostTracer, pseudonym
from langchain_agentcost.testing.collector import LangSmithCollector
from tests.exporters.langsmith_world import QUESTION, Canned, Traced, desk, metadata

STATED = {"tenant": "acme", "user_id": "ada@example.org", "deployment": "blue", "variant": "b"}


@pytest.fixture
def collector() -> Iterator[LangSmithCollector]:
    """A collector."""
    with LangSmithCollector() as running:
        yield running


def _labels(run: Any) -> dict[str, Any]:
    return {
        key.removeprefix("agentcost_"): value for key, value in metadata(run).items() if key.startswith("agentcost")
    }


def test_root_and_model_runs_say_whom_they_are_booked_to(collector: LangSmithCollector) -> None:
    """Every dimension is on both, so that runs and traces can be filtered by it."""
    traced = Traced(collector)
    desk(Canned()).invoke(QUESTION, {"callbacks": traced.callbacks, "metadata": STATED})
    shared = {"workflow": "desk", "tenant": "acme", "user": "ada@example.org", "deployment": "blue", "variant": "b"}
    for run in (traced.root(), *traced.runs("llm")):
        assert shared.items() <= _labels(run).items()


def test_model_runs_say_where_they_ran(collector: LangSmithCollector) -> None:
    """Node path, agent and step come from LangGraph's namespace; steps go on across subgraphs."""
    traced = Traced(collector)
    desk(Canned()).invoke(QUESTION, {"callbacks": traced.callbacks})
    first, second = (_labels(run) for run in traced.runs("llm"))
    assert (first["node"], first["agent"], first["step"]) == ("research/worker", "research", 1)
    assert (second["node"], second["agent"], second["step"]) == ("draft", "desk", 2)


def test_other_runs_are_left_as_they_are(collector: LangSmithCollector) -> None:
    """Chains in between and tools get no labels: what is not filtered by is noise."""
    traced = Traced(collector)
    desk(Canned()).invoke(QUESTION, {"callbacks": traced.callbacks, "metadata": STATED})
    root = traced.root()
    assert all(not _labels(run) for run in traced.runs() if run["run_type"] != "llm" and run["id"] != root["id"])


def test_configurable_counts_where_metadata_does_not_say(collector: LangSmithCollector) -> None:
    """LangGraph hands `configurable` to the tracer alone."""
    traced = Traced(collector)
    config: Any = {"callbacks": traced.callbacks, "configurable": {"user_id": "ada", "tenant": "acme"}}
    desk(Canned()).invoke(QUESTION, config)
    for run in (traced.root(), *traced.runs("llm")):
        assert (_labels(run)["user"], _labels(run)["tenant"]) == ("ada", "acme")


@pytest.mark.parametrize("where", ["metadata", "configurable"])
def test_a_constant_gives_way_to_what_the_run_states(collector: LangSmithCollector, where: str) -> None:
    """A default for the whole process must not hide whom a run is for, on the root or below it."""
    traced = Traced(collector, attribution=AttributionMap(constants={"tenant": "nobody", "deployment": "blue"}))
    config: Any = {"callbacks": traced.callbacks, where: {"tenant": "acme"}}
    desk(Canned()).invoke(QUESTION, config)
    labels = [_labels(run) for run in (traced.root(), *traced.runs("llm"))]
    assert [(found["tenant"], found["deployment"]) for found in labels] == [("acme", "blue")] * 3


def test_a_label_that_the_user_sets_himself_wins(collector: LangSmithCollector) -> None:
    """Other features and users write `agentcost_*` metadata too."""
    traced = Traced(collector)
    Canned().invoke("Hi", {"callbacks": traced.callbacks, "metadata": {"agentcost_agent": "mine", "agent": "x"}})
    assert _labels(traced.root())["agent"] == "mine"


def test_the_users_own_table_is_used(collector: LangSmithCollector) -> None:
    """Dimensions and tags come from the keys that the user names."""
    traced = Traced(collector, attribution=AttributionMap({"tenant": "customer"}, tags=("ticket",)))
    Canned().invoke("Hi", {"callbacks": traced.callbacks, "metadata": {"customer": "acme", "ticket": 7}})
    assert {"tenant": "acme", "tag_ticket": "7"}.items() <= _labels(traced.root()).items()


@pytest.mark.parametrize("where", ["metadata", "configurable", "constants", "tracer"])
def test_a_pseudonymised_user_appears_nowhere(collector: LangSmithCollector, where: str) -> None:
    """With a secret, no run carries the user's name, wherever it was stated; the pseudonym can be computed."""
    user = "zebra-4711"
    options: dict[str, Any] = {"pseudonymise": "s3cret"}
    config: dict[str, Any] = {}
    if where == "constants":
        options["attribution"] = AttributionMap(constants={"user": user})
    elif where == "tracer":
        options["metadata"] = {"user_id": user}
    else:
        config[where] = {"user_id": user}
    traced = Traced(collector, **options)
    config["callbacks"] = traced.callbacks
    desk(Canned()).invoke(QUESTION, cast("RunnableConfig", config))
    expected = pseudonym(user, key="s3cret")
    assert user not in json.dumps(traced.runs())
    for run in (traced.root(), *traced.runs("llm")):
        assert _labels(run)["user"] == expected


def test_a_pseudonym_needs_its_key() -> None:
    """Another key gives another name, and the name itself is not in it."""
    assert pseudonym("ada", key="a") != pseudonym("ada", key="b")
    assert pseudonym("ada", key="a") == pseudonym("ada", key=b"a")
    assert "ada" not in pseudonym("ada", key="a")


def test_an_empty_secret_is_refused(collector: LangSmithCollector) -> None:
    """An unset variable must not look like protection."""
    with pytest.raises(ValueError, match="empty"):
        LangSmithCostTracer(client=collector.client(), pseudonymise="")
