import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_agentcost.context.references.outline import outline, parsed


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ({"a": 1, "b": {"c": [1, 2]}}, "JSON {a, b: {c: [2 of number]}}"),
        ([{"id": 1}] * 1200, "JSON [1,200 of {id}]"),
        ([], "JSON []"),
        ([None, None], "JSON [2 of null]"),
        ([True], "JSON [1 of yes or no]"),
        ({f"k{n}": {"v": n} for n in range(7)}, "JSON {7 keys such as k0: {v}}"),
        ({f"k{n}": [n] if n else n for n in range(25)}, None),
        ({"a": {"b": {"c": {"d": {"e": 1}}}}}, "JSON {a: {b: {c: {d: {1 keys}}}}}"),
    ],
)
def test_json_is_outlined_by_its_keys_and_lengths(value: object, told: str | None) -> None:
    """Lists by their length and fullest item, mappings by their keys, alike ones by one of them."""
    said = outline(json.dumps(value))
    assert said == told if told else said.endswith("5 more}")


def test_an_outline_that_is_too_long_goes_less_deep() -> None:
    """Where all keys do not fit, the inner ones are counted."""
    deep = {f"first_{a}": {f"second_{b}": [b] for b in range(3)} for a in range(5)}
    assert len(outline(json.dumps(deep), chars=120)) <= 120
    assert outline(json.dumps(deep), chars=10) == "JSON"


def test_text_is_outlined_by_lines_and_headings() -> None:
    """Headings of Markdown, definitions of code and files of a diff are what tells where something is."""
    assert (
        outline("def load(path):\n    return 1\n\nclass Store:\n    pass") == "5 lines; def load(path):; class Store:"
    )
    assert outline("# A\n" * 99, chars=20) == "99 lines; # A; # A"
    assert outline("one") == "1 line"


@pytest.mark.parametrize("text", ["", "   ", "[", "{'a': 1}", "[" * 100_000, "42", '"text"', "null"])
def test_what_is_no_json_with_an_inside_is_text(text: str) -> None:
    """Broken, too deep or plain values are outlined as lines."""
    assert parsed(text) is None
    assert "line" in outline(text)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    ),
    st.integers(0, 500),
)
def test_any_json_has_an_outline_that_fits(value: object, chars: int) -> None:
    """Nothing is raised, and the limit holds where there is JSON with an inside."""
    text = json.dumps(value)
    said = outline(text, chars=chars)
    assert said
    if isinstance(value, dict | list):
        assert len(said) <= max(chars, len("JSON"))
