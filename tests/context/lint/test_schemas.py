"""Lean and stable schemas."""

from __future__ import annotations

import json
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]  # it has no stubs
from langchain_core.tools import tool
from langchain_core.utils.function_calling import convert_to_openai_tool
from langchain_google_genai._function_utils import convert_to_genai_function_declarations
from pydantic import BaseModel, Field

from langchain_agentcost.context.lint.schemas import lean_schema, lean_tools
from langchain_agentcost.context.lint.stable import stable_schema, stable_tools
from langchain_agentcost.context.lint.tool_parts import name_of, parameters_of

NAMES = st.sampled_from(["id", "order_id", "note", "title", "default", "items", "größe"])
TITLES = st.sampled_from(["Id", "Order Id", "Note", "Title", "A heading", "Parcel"])
TEXTS = st.sampled_from(["", "The order id.", "id", "The number on the label.", "One\n\n\n\n   two  "])
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 3)
    | st.sampled_from([2**60, -(2**60)])
    | st.sampled_from(["", "a", "red"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=6,
)


def noted(schema: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    """A schema with notes that a generator may write."""
    notes = st.fixed_dictionaries({}, optional={"title": TITLES, "description": TEXTS, "default": st.none()})
    return st.tuples(notes, schema).map(lambda pair: {**pair[0], **pair[1]})


LEAVES = noted(
    st.one_of(
        st.sampled_from(["string", "integer", "null", "boolean"]).map(lambda kind: {"type": kind}),
        st.just({"enum": ["a"], "const": "a"}),
        st.just({"enum": ["red", "a", None]}),
        st.sampled_from([{"type": "string", "enum": ["a", "red"]}, {"type": "integer", "const": 2}]),
        st.just({"type": "integer", "minimum": -(2**53) + 1, "maximum": 2}),
        st.just({"type": "integer", "minimum": -2, "maximum": 2**53 - 1}),
        st.sampled_from(["#/$defs/Parcel", "#/$defs/Note", "#/$defs/Loop"]).map(lambda ref: {"$ref": ref}),
        st.just({}),
    )
)


def compound(inner: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    """Schemas that hold others."""
    objects = st.fixed_dictionaries(
        {"type": st.just("object"), "properties": st.dictionaries(NAMES, inner, max_size=3)},
        optional={
            "required": st.lists(NAMES, unique=True, max_size=2),
            "additionalProperties": st.sampled_from([True, False, {}]),
        },
    )
    closing = st.fixed_dictionaries(
        {},
        optional={
            "additionalProperties": st.just(value=False) | inner,
            "unevaluatedProperties": st.just(value=False) | inner,
            "patternProperties": st.builds(lambda one: {"^n": one}, inner),
            "properties": st.dictionaries(NAMES, inner, max_size=2),
            "required": st.lists(NAMES, unique=True, max_size=1),
            "if": inner,
            "then": inner,
            "else": inner,
            "not": inner,
            "dependentSchemas": st.builds(lambda one: {"id": one}, inner),
        },
    )
    rows = st.fixed_dictionaries(
        {},
        optional={
            "prefixItems": st.lists(inner, min_size=1, max_size=2),
            "items": st.just(value=False) | inner,
            "contains": inner,
            "minContains": st.integers(0, 2),
            "unevaluatedItems": st.just(value=False) | inner,
        },
    )
    beside = st.one_of(
        st.builds(lambda one: {"allOf": [one]}, inner),
        st.sampled_from(["Parcel", "Note", "Loop"]).map(lambda name: {"$ref": f"#/$defs/{name}"}),
    )
    return noted(
        objects
        | closing
        | rows
        | st.builds(lambda one, other: {**one, **other}, closing | rows, beside)
        | st.builds(lambda one: {"type": "array", "items": one}, inner)
        | st.builds(lambda one: {"anyOf": [one, {"type": "null"}]}, inner)
        | st.builds(lambda one: {"allOf": [one]}, inner)
    )


SCHEMAS = st.recursive(LEAVES, compound, max_leaves=8)


@st.composite
def tools(draw: st.DrawFn) -> dict[str, Any]:
    """A tool as a generator describes it, with definitions that are used once, often or by themselves."""
    defs = {
        "Parcel": draw(SCHEMAS.filter(lambda one: "Loop" not in json.dumps(one) and "Parcel" not in json.dumps(one))),
        "Note": draw(LEAVES.filter(lambda one: "$ref" not in one)),
        "Loop": {"type": "object", "properties": {"note": {"$ref": "#/$defs/Loop"}, "id": {"type": "string"}}},
    }
    properties = draw(st.dictionaries(NAMES, SCHEMAS, max_size=4))
    required = draw(st.lists(NAMES, unique=True, max_size=2))
    schema = {
        "type": "object",
        "properties": properties,
        "required": required,
        "$defs": defs,
        "title": "trackArguments",
    }
    return {"name": "track", "description": draw(TEXTS), "input_schema": schema}


@given(tools(), st.lists(st.dictionaries(NAMES, VALUES, max_size=4), min_size=1, max_size=8), st.booleans())
def test_the_same_arguments_are_valid(described: dict[str, Any], given_: list[Any], portable: bool) -> None:
    """What is valid before is valid after, and what is not, is not."""
    before = Draft202012Validator(described["input_schema"])
    made = lean_schema(described, portable=portable)
    Draft202012Validator.check_schema(made["input_schema"])
    after = Draft202012Validator(made["input_schema"])
    for arguments in given_:
        assert before.is_valid(arguments) == after.is_valid(arguments), arguments


FEW = st.sampled_from(["id", "note"])
SMALL = st.sampled_from([{"type": "string"}, {"type": "integer"}, {"const": "a"}, {"required": ["id"]}])
FEW_VALUES = st.recursive(
    st.sampled_from([1, "a", 2**60]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(FEW, inner, max_size=2),
    max_leaves=4,
)


def keywords(names: st.SearchStrategy[str]) -> st.SearchStrategy[dict[str, Any]]:
    """One to three keywords that look at one another."""
    objects = st.dictionaries(names, SMALL, min_size=1, max_size=2)
    values = {
        **dict.fromkeys(("properties", "patternProperties", "dependentSchemas"), objects),
        **dict.fromkeys(("additionalProperties", "unevaluatedProperties"), st.just(value=False) | SMALL),
        **dict.fromkeys(("items", "unevaluatedItems"), st.just(value=False) | SMALL),
        **dict.fromkeys(("if", "then", "else", "contains"), SMALL),
        "prefixItems": st.lists(SMALL, min_size=1, max_size=2),
        "minContains": st.integers(0, 2),
        "maximum": st.just(2**53 - 1),
        "title": TITLES,
    }
    chosen = st.lists(st.sampled_from(sorted(values)), unique=True, min_size=1, max_size=3)
    return chosen.flatmap(lambda keys: st.fixed_dictionaries({key: values[key] for key in keys}))


@given(keywords(FEW), keywords(FEW), st.booleans(), st.booleans(), st.lists(FEW_VALUES, min_size=4, max_size=12))
def test_keywords_that_look_at_one_another_allow_the_same(
    outer: dict[str, Any], held: dict[str, Any], by_reference: bool, portable: bool, values: list[Any]
) -> None:
    """Beside a schema that is referred to, or in `allOf`, each keyword means what it meant."""
    one = {**outer, "$ref": "#/$defs/P"} if by_reference else {**outer, "allOf": [held]}
    schema = {"type": "object", "properties": {"id": one}, "$defs": {"P": held}}
    made = parameters_of(lean_schema({"name": "ship", "parameters": schema}, portable=portable))
    before, after = Draft202012Validator(schema), Draft202012Validator(made)
    for value in values:
        assert before.is_valid({"id": value}) == after.is_valid({"id": value}), value


@given(tools(), st.booleans())
def test_it_is_never_longer_changes_nothing_given_and_is_done_at_once(
    described: dict[str, Any], portable: bool
) -> None:
    """The description is as long or shorter, the given one stays as it was."""
    copy = deepcopy(described)
    made = lean_schema(described, portable=portable)
    assert described == copy
    assert len(json.dumps(made)) <= len(json.dumps(described))


@given(tools())
def test_every_word_that_says_something_stays(described: dict[str, Any]) -> None:
    """Titles and descriptions that say more than a name are in the lean description too."""
    after = json.dumps(lean_schema(described))
    said = json.dumps(described["input_schema"]["properties"])
    for word in ("A heading", "The number on the label.", "#/$defs/Loop"):
        assert word not in said or word in after


def test_pydantic_noise_goes_and_information_stays() -> None:
    """A schema as Pydantic writes it loses titles and null defaults, and keeps what they stand beside."""

    class Parcel(BaseModel):
        """A parcel of goods."""

        weight_g: int | None = Field(None, description="In grams.", examples=[250])
        label: str = Field("plain", title="Printed label")

    class Ship(BaseModel):
        """Ship it."""

        parcel: Parcel
        note: str | None = None

    described = {"type": "function", "function": {"name": "ship", "parameters": Ship.model_json_schema()}}
    text = json.dumps(lean_schema(described, portable=False))
    for kept in ("In grams.", "250", "Printed label", '"plain"', "A parcel of goods.", '["string", "null"]'):
        assert kept in text
    for gone in ("$defs", "$ref", "anyOf", "Weight G", '"Note"', '"default": null'):
        assert gone not in text
    nullable = lean_schema(described)["function"]["parameters"]["properties"]["note"]
    assert nullable == {"anyOf": [{"type": "string"}, {"type": "null"}]}


def test_a_name_that_only_a_definition_says_is_kept() -> None:
    """Where a definition is written in place, its name stays, unless the property says it."""
    address = {"type": "object", "properties": {"zip": {"type": "string"}}}
    schema = {
        "type": "object",
        "properties": {
            "destination": {"$ref": "#/$defs/PostalAddress"},
            "parcels": {"items": {"$ref": "#/$defs/Parcel"}},
        },
        "$defs": {"PostalAddress": address, "Parcel": {"type": "object", "title": "Parcel"}},
    }
    made = parameters_of(lean_schema({"name": "ship", "parameters": schema}))
    assert made["properties"]["destination"]["title"] == "PostalAddress"
    assert made["properties"]["parcels"]["items"] == {"type": "object"}
    assert "$defs" not in made


def test_a_null_default_of_what_must_be_there_stays() -> None:
    """Where a name is required, its default says something: what it is where nobody knows better."""
    schema = {"type": "object", "properties": {"note": {"default": None}}, "required": ["note"]}
    assert parameters_of(lean_schema({"name": "ship", "parameters": schema})) == schema


def test_a_definition_that_is_used_twice_stays_one() -> None:
    """What two places refer to is written once."""
    both = {name: {"$ref": "#/$defs/Address"} for name in ("from", "to")}
    schema = {"type": "object", "properties": both, "$defs": {"Address": {"type": "object", "title": "Address"}}}
    made = parameters_of(lean_schema({"name": "ship", "parameters": schema}))
    assert made == {"type": "object", "properties": both, "$defs": {"Address": {"type": "object"}}}


PARCEL = {"type": "object", "properties": {"x": {"type": "integer"}}, "required": ["x"]}
ONCE = {"$ref": "#/$defs/P"}


@pytest.mark.parametrize(
    "other",
    [
        {"type": "array", "items": [ONCE, {"type": "string"}]},
        {"type": "array", "additionalItems": ONCE},
        {"type": "array", "unevaluatedItems": ONCE},
        {"type": "object", "unevaluatedProperties": ONCE},
        {"$ref": "#/$defs/P/properties/x"},
        {"$ref": "#/%24defs/P/properties/x"},
        {"oneOf": [{"type": "object"}], "discriminator": {"propertyName": "kind", "mapping": {"p": "#/$defs/P"}}},
        {"x-of": ["#/$defs/P"]},
    ],
)
@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("portable", [True, False])
def test_no_reference_leads_nowhere(other: dict[str, Any], first: bool, portable: bool) -> None:
    """A definition stays while anything points to it or into it, by whatever keyword."""
    parts = {"a": ONCE, "b": other} if first else {"b": other, "a": ONCE}
    schema = {"type": "object", "title": "Ship", "properties": parts, "$defs": {"P": PARCEL}}
    made = parameters_of(lean_schema({"name": "ship", "parameters": schema}, portable=portable))
    assert made == {"type": "object", "properties": parts, "$defs": {"P": PARCEL}}


def test_a_path_into_a_schema_leads_there_still() -> None:
    """What another place points to by its path is not written in another way."""
    either = {"anyOf": [{"type": "string"}, {"type": "null"}]}
    parts = {"a": either, "b": {"$ref": "#/properties/a/anyOf/0"}}
    described = {"name": "ship", "parameters": {"type": "object", "properties": parts}}
    assert lean_schema(described, portable=False) == described


@pytest.mark.parametrize(
    ("outer", "arguments"),
    [
        ({"additionalProperties": False, "allOf": [PARCEL]}, {"x": 1}),
        ({"additionalProperties": False, **ONCE}, {"x": 1}),
        ({"type": "object", "properties": {"y": {}}, "allOf": [{"additionalProperties": False}]}, {"y": 1}),
        ({"prefixItems": [{}], "allOf": [{"items": {"type": "string"}}]}, [1, "a"]),
        ({"then": False, "allOf": [{"if": {"required": ["x"]}}]}, {"x": 1}),
        ({"minContains": 2, "allOf": [{"contains": {"type": "integer"}}]}, [1]),
        ({"patternProperties": {"^x": {}}, "allOf": [{"additionalProperties": False}]}, {"x": 1}),
        ({"type": "integer", "maximum": 2**53 - 1}, 2**60),
        ({"type": "number", "minimum": -(2**53) + 1}, -1e30),
    ],
)
def test_what_looks_at_its_neighbours_gets_no_others(outer: dict[str, Any], arguments: Any) -> None:
    """Two schemas become one only where that allows the same, and no bound is taken away."""
    schema = {"type": "object", "properties": {"a": outer}, "$defs": {"P": PARCEL}}
    made = parameters_of(lean_schema({"name": "ship", "parameters": schema}))
    value = {"a": arguments}
    assert Draft202012Validator(made).is_valid(value) == Draft202012Validator(schema).is_valid(value)


class Address(BaseModel):
    """Where it goes, or comes from."""

    street: str
    floor: int | None = None


class Order(BaseModel):
    """An order with all that Gemini's converter treats in its own way."""

    to: Address
    back_to: Address | None = None
    notes: list[str] | None = Field(None, description="What the driver reads.")
    kind: str = "plain"
    options: dict[str, str] = Field(default_factory=dict)


def test_gemini_is_told_the_same() -> None:
    """langchain-google-genai makes of a portable lean description what it makes of the whole one, but for titles."""
    described = {"name": "ship", "description": "Ship it.", "parameters": Order.model_json_schema()}

    def told(tool_: dict[str, Any]) -> Any:
        [made] = convert_to_genai_function_declarations([tool_])
        return without_titles(made.model_dump(exclude_none=True, mode="json"))

    def without_titles(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: without_titles(one) for key, one in value.items() if key not in ("title", "description")}
        return value

    lean = lean_schema(described)
    assert len(json.dumps(lean)) < len(json.dumps(described))
    assert told(lean) == told(described)


def test_a_closed_object_stays_closed() -> None:
    """What strict tools need stays: `additionalProperties: false`, all required names."""
    schema = {
        "type": "object",
        "title": "look",
        "properties": {"id": {"type": "string", "title": "Id"}},
        "required": ["id"],
        "additionalProperties": False,
    }
    made = lean_schema({"type": "function", "function": {"name": "look", "strict": True, "parameters": schema}})
    assert made["function"]["strict"] is True
    assert made["function"]["parameters"] == {
        "type": "object",
        "properties": {"id": {"type": "string"}},
        "required": ["id"],
        "additionalProperties": False,
    }


def test_a_property_named_like_a_keyword_is_a_property() -> None:
    """Properties called title, default or required are not keywords."""
    properties = {"title": {"type": "string"}, "default": {"type": "null"}, "required": {"type": "boolean"}}
    described = {"name": "look", "parameters": {"type": "object", "properties": properties, "required": ["title"]}}
    assert lean_schema(described) == described


@pytest.mark.parametrize(
    "described",
    [
        {"type": "web_search_20250305", "name": "web_search", "max_uses": 3},
        {"type": "function", "function": {"name": "look"}},
        {"type": "function", "function": "look"},
        {"name": "look", "parameters": {"properties": "none", "required": 7, "anyOf": {}, "items": [1], "$ref": 3}},
        {"name": "look", "parameters": {"$ref": "#/$defs/A", "$defs": {"A": {"$ref": "#/$defs/A"}}}},
        {"name": "look", "parameters": {"type": "object", "$defs": {"A": {"$ref": "#/$defs/A"}}}},
        {"name": "look", "parameters": {"type": {1, 2}}},
        {},
    ],
)
def test_what_is_no_schema_is_left_alone(described: dict[str, Any]) -> None:
    """Tools of the provider, and descriptions with faults, come back as they are."""
    assert lean_schema(described) == described
    assert stable_schema(described) == described
    assert lean_tools([described]) == (described,)


def test_a_schema_without_end_is_left_alone() -> None:
    """A schema that contains itself does not end in an error."""
    endless: dict[str, Any] = {"type": "object", "properties": {}}
    endless["properties"]["again"] = endless
    assert lean_schema({"name": "look", "parameters": endless})["parameters"] is endless


@given(tools(), st.randoms(use_true_random=False))
def test_key_order_does_not_show(described: dict[str, Any], chance: Any) -> None:
    """The same description in another order of keywords is the same bytes, and the order of properties stays."""

    def shuffled(value: Any, *, keep: bool = False) -> Any:
        if isinstance(value, dict):
            keys = list(value)
            if not keep:
                chance.shuffle(keys)
            return {key: shuffled(value[key], keep=key == "properties" and not keep) for key in keys}
        return value

    one, other = stable_schema(described), stable_schema(shuffled(described))
    assert json.dumps(one) == json.dumps(other)
    assert list(one["input_schema"]["properties"]) == list(described["input_schema"]["properties"])


def test_required_names_come_in_the_order_of_the_properties() -> None:
    """Required names are a set: their order does not show, and the one that people read is taken."""
    properties: dict[str, Any] = {"reason": {}, "answer": {}}
    for required in (["answer", "reason", "gone"], ["gone", "reason", "answer"]):
        made = stable_schema({"name": "say", "parameters": {"properties": properties, "required": required}})
        assert made["parameters"]["required"] == ["reason", "answer", "gone"]


@given(st.permutations(["b", "a", "c"]))
def test_tool_order_does_not_show(names: list[str]) -> None:
    """Tools come sorted by name, whoever lists them."""
    assert list(map(name_of, stable_tools([{"name": name} for name in names]))) == ["a", "b", "c"]


def test_it_takes_what_langchain_makes_of_a_function() -> None:
    """A LangChain tool's own description gets no longer, and its arguments stay valid."""

    @tool
    def ship(order_id: str, weight_g: int | None = None, labels: list[str] | None = None) -> str:
        """Ship an order."""
        return ""

    described = convert_to_openai_tool(ship)
    made = lean_schema(described, portable=False)
    assert len(json.dumps(made)) < len(json.dumps(described))
    valid = Draft202012Validator(parameters_of(made))
    for arguments in ({"order_id": "A"}, {"order_id": "A", "weight_g": None}, {"order_id": "A", "labels": ["x"]}):
        assert valid.is_valid(arguments)
    assert not valid.is_valid({"weight_g": 1})
