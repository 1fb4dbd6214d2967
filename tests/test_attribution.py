"""Metadata becomes dimensions by one table, which users extend."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_agentcost import Attribution, AttributionMap
from langchain_agentcost.attribution import DIMENSIONS, MAX_VALUE_CHARS, label, node_path


def test_the_usual_keys_are_read_without_configuration() -> None:
    """What LangGraph users already put into metadata and configurable is found."""
    found = AttributionMap().read({"tenant_id": "acme", "lc_agent_name": "triage"}, {"thread_id": "t1", "user_id": 7})
    assert found == {"tenant": "acme", "agent": "triage", "session": "t1", "user": "7"}


def test_metadata_wins_over_configurable() -> None:
    """What stands closer to the call counts."""
    assert AttributionMap().read({"user": "inner"}, {"user_id": "outer"}) == {"user": "inner"}


def test_own_keys_come_before_the_defaults() -> None:
    """A user's table is asked first, and the defaults still fill in."""
    table = AttributionMap({"tenant": ["cost_center"], "user": "who"})
    assert table.read({"cost_center": "cc-1", "tenant": "acme", "who": "ann"}) == {"tenant": "cc-1", "user": "ann"}
    assert table.read({"tenant": "acme"}) == {"tenant": "acme"}


def test_constants_and_tags() -> None:
    """A deployment can be stated once, and any key can become a tag."""
    table = AttributionMap(tags=["ticket"], constants={"deployment": "eu-1"})
    assert table.read({"ticket": 17}) == {"deployment": "eu-1", "tags": (("ticket", "17"),)}


def test_an_empty_value_is_not_a_value() -> None:
    """None in metadata does not hide what another key says."""
    assert AttributionMap().read({"tenant": None, "tenant_id": "acme"}) == {"tenant": "acme"}


def test_a_dimension_that_cannot_be_read_is_refused() -> None:
    """The message lists what can be."""
    with pytest.raises(ValueError, match=r"'model' cannot be read from metadata; choose from tenant, user"):
        AttributionMap({"model": ["m"]})


def test_a_node_is_its_full_path() -> None:
    """The names come from the checkpoint namespace, without LangGraph's task ids."""
    assert node_path("desk:1f1e|refund:2b|draft:3c") == ("desk", "refund", "draft")
    assert node_path("") == ()


@given(st.text(max_size=400))
def test_a_label_is_short_and_printable(text: str) -> None:
    """Nothing that a report or a terminal would choke on gets into the ledger."""
    made = label(text)
    assert len(made) <= MAX_VALUE_CHARS
    assert made.isprintable()


def test_a_value_that_breaks_str_is_not_our_problem_alone() -> None:
    """Any object can be a label; a million characters are cut before they are looked at."""
    assert label(["a"]) == "['a']"
    assert len(label("x" * 1_000_000)) == MAX_VALUE_CHARS


def test_every_dimension_is_a_field() -> None:
    """Reports group by exactly what an attribution holds."""
    assert set(DIMENSIONS) | {"tags"} == set(Attribution.__dataclass_fields__)
