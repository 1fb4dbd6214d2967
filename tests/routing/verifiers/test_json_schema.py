"""What is faulted does not fit: a library that looks at every keyword agrees."""

from __future__ import annotations

from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_agentcost.routing.verifiers.json_schema import fault

SEAT = {
    "type": "object",
    "properties": {
        "row": {"type": "integer", "minimum": 1, "maximum": 30},
        "side": {"enum": ["left", "right", None]},
        "guests": {"type": "array", "items": {"$ref": "#/$defs/guest"}, "maxItems": 2},
    },
    "required": ["row"],
    "additionalProperties": False,
    "$defs": {"guest": {"anyOf": [{"type": "string", "minLength": 1}, {"type": "object", "required": ["name"]}]}},
}


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ({"row": 9, "side": None, "guests": ["Ann", {"name": "Bo"}]}, None),
        ({"row": 9.0}, None),
        ({}, "row is missing"),
        ({"row": True}, "row is not of type integer"),
        ({"row": 9.5}, "row is not of type integer"),
        ({"row": 0}, "row is below 1"),
        ({"row": 31}, "row is above 30"),
        ({"row": 9, "side": "up"}, "side is none of the values allowed"),
        ({"row": 9, "guests": [""]}, "guests.[] fits none of the forms allowed"),
        ({"row": 9, "guests": ["a", "b", "c"]}, "guests has more items than 2"),
        ({"row": 9, "secret": 1}, "it has a property that is not allowed"),
        ([], "it is not of type object"),
    ],
)
def test_the_first_fault_is_told_in_words_of_the_schema(value: Any, why: str | None) -> None:
    """A fault names where it is by the schema's own names, and nothing that the value holds."""
    assert fault(value, SEAT) == why


@pytest.mark.parametrize(
    ("schema", "fits", "fails"),
    [
        ({"const": 1}, 1.0, True),
        ({"exclusiveMinimum": 1}, 2, 1),
        ({"exclusiveMaximum": 1}, 0, 1),
        ({"maxLength": 2}, "ab", "abc"),
        ({"minItems": 1}, [0], []),
        ({"minProperties": 1, "maxProperties": 1}, {"a": 1}, {}),
        ({"maxProperties": 1}, {"a": 1}, {"a": 1, "b": 2}),
        ({"type": ["string", "null"]}, None, 1),
        ({"allOf": [{"type": "integer"}, {"minimum": 2}]}, 2, 1),
        ({"oneOf": [{"type": "integer"}, {"type": "string"}]}, "a", None),
        ({"additionalProperties": {"type": "integer"}}, {"a": 1}, {"a": "b"}),
        ({"properties": {"a": False}}, {"b": 1}, {"a": 1}),
        ({"$ref": "#/$defs/a~1b", "$defs": {"a/b": {"type": "null"}}}, None, 0),
    ],
)
def test_each_keyword_is_looked_at(schema: dict[str, Any], fits: Any, fails: Any) -> None:
    """One value fits and one does not, here and by the library."""
    assert fault(fits, schema) is None
    assert fault(fails, schema) is not None
    assert jsonschema.Draft202012Validator(schema).is_valid(fits)
    assert not jsonschema.Draft202012Validator(schema).is_valid(fails)


@pytest.mark.parametrize(
    ("value", "schema"),
    [
        ("b", {"pattern": "^a"}),
        ([1, 1], {"uniqueItems": True}),
        ({"b": 1}, {"patternProperties": {"a": {}}, "additionalProperties": False}),
        ([1, "a"], {"prefixItems": [{}], "items": {"type": "integer"}}),
        (1, {"$ref": "https://elsewhere/schema"}),
        (1, {"type": "a type of its own"}),
        (1, {"oneOf": [{"type": "integer"}, {"minimum": 0}]}),
        (1, True),
    ],
)
def test_what_is_not_looked_at_is_not_faulted(value: Any, schema: Any) -> None:
    """A keyword that is not understood holds nothing back."""
    assert fault(value, schema) is None


def test_a_schema_that_points_to_itself_ends() -> None:
    """Schemas of trees, and those that go round in circles, are looked at as deep as sense goes."""
    tree = {"properties": {"next": {"$ref": "#"}, "n": {"type": "integer"}}}
    assert fault({"next": {"next": {"n": "a"}}}, tree) == "next.next.n is not of type integer"
    assert fault(1, {"$ref": "#"}) is None


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.floats(-3, 3) | st.text("ab", max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("ab"), inner, max_size=2),
    max_leaves=8,
)
LEAVES = st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from(["integer", "number", "string", "boolean", "null", "array", "object"]),
        "minimum": st.integers(-2, 2),
        "exclusiveMaximum": st.integers(-2, 2),
        "maxLength": st.integers(0, 2),
        "minItems": st.integers(0, 2),
        "required": st.lists(st.sampled_from("ab"), unique=True, max_size=2),
        "enum": st.lists(st.none() | st.booleans() | st.integers(0, 1), min_size=1, max_size=3),
        "pattern": st.just("a"),
        "multipleOf": st.just(2),
    },
)
SCHEMAS: st.SearchStrategy[Any] = st.recursive(
    LEAVES,
    lambda inner: st.fixed_dictionaries(
        {},
        optional={
            "properties": st.dictionaries(st.sampled_from("ab"), inner, max_size=2),
            "additionalProperties": st.booleans() | inner,
            "items": inner,
            "anyOf": st.lists(inner, min_size=1, max_size=2),
            "oneOf": st.lists(inner, min_size=1, max_size=2),
            "allOf": st.lists(inner, min_size=1, max_size=2),
        },
    ),
    max_leaves=6,
)


@given(VALUES, SCHEMAS)
def test_what_is_faulted_does_not_fit(value: Any, schema: Any) -> None:
    """No answer is rejected that fits, whatever the schema."""
    if fault(value, schema) is not None:
        assert not jsonschema.Draft202012Validator(schema).is_valid(value)
