import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_agentcost.context.references.jsonpath import find

SHOP: dict[str, Any] = {
    "orders": [{"id": 1, "items": ["tea", "rice"]}, {"id": 2, "items": []}, {"id": 3}],
    "total": 3,
    "odd name": {"it's": True},
    "nothing": None,
}


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("$.total", [3]),
        ("total", [3]),
        ("$", [SHOP]),
        ("$.nothing", [None]),
        ("$.orders[0].id", [1]),
        ("$.orders[-1].id", [3]),
        ("$.orders[9]", []),
        ("$.orders[*].id", [1, 2, 3]),
        ("$.orders.*.id", [1, 2, 3]),
        ("$.orders[1:].id", [2, 3]),
        ("$.orders[:-1].id", [1, 2]),
        ("$.orders[0].items[*]", ["tea", "rice"]),
        ("$..id", [1, 2, 3]),
        ("$..items[0]", ["tea"]),
        ("$['odd name']['it\\'s']", [True]),
        ('$["total"]', [3]),
        ("$.total.more", []),
        ("$.missing", []),
        ("$.orders.id", []),
        ("$.total[0]", []),
        ("[*]", list(SHOP.values())),
    ],
)
def test_a_path_leads_to_what_is_there(path: str, found: list[Any]) -> None:
    """Names, places from both ends, slices, all, and at any depth."""
    assert find(SHOP, path) == found


@pytest.mark.parametrize(
    "path", ["$.orders[?(@.id>1)]", "$.", "$.a b", "$[", "$.a[1,2]", "$.a[__import__('os')]", "$$$ "]
)
def test_what_is_no_path_is_refused_in_words(path: str) -> None:
    """The message shows how paths are written."""
    with pytest.raises(ValueError, match=r"use \.name"):
        find(SHOP, path)


@given(st.text(alphabet="$.[]*'\"ab01:-", max_size=20))
def test_any_path_gives_a_list_or_a_reason(path: str) -> None:
    """Nothing else is raised."""
    try:
        found = len(find(SHOP, path))
    except ValueError as error:
        found = int("use .name" in str(error)) - 1
    assert found >= 0


def test_depth_and_size_do_no_harm() -> None:
    """A value of any depth is searched, and no more than a fixed number of items is given."""
    deep: Any = {"id": 0}
    for _ in range(5_000):
        deep = {"in": deep}
    assert find(deep, "$..id") == [0]
    assert len(find(json.loads(json.dumps([1] * 20_000)), "$[*]")) == 10_000
