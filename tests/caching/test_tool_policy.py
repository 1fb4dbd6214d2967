from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from langchain_core.tools import StructuredTool, tool

from langchain_agentcost.caching.tool_cache import ToolCache
from langchain_agentcost.caching.tools import ToolCachePolicy
from langchain_agentcost.errors import CacheError
from tests.caching.tool_shop import PURE, WRITE


def _find(item: str, most: int = 3) -> str:
    """Find an item."""
    return item[:most]


find = tool("find")(_find)


@pytest.mark.parametrize(
    ("metadata", "effect"),
    [
        (None, "write"),
        ({}, "write"),
        ({"readOnlyHint": True}, "read"),
        ({"annotations": {"readOnlyHint": True}}, "read"),
        ({"readOnlyHint": True, "idempotentHint": True}, "read"),
        ({"readOnlyHint": True, "destructiveHint": True}, "write"),
        ({"readOnlyHint": "yes"}, "write"),
        ({"readOnlyHint": None}, "write"),
        ({"idempotentHint": True}, "write"),
        ({"idempotentHint": True, "destructiveHint": False}, "write"),
    ],
)
def test_hints_of_mcp_servers_are_taken_at_their_word_only_where_that_is_safe(metadata: Any, effect: str) -> None:
    """Only a tool that says it reads is a read: an idempotent one may write."""
    hinted = StructuredTool.from_function(_find, name="find", metadata=metadata)
    assert ToolCachePolicy.of(hinted).effect == effect
    assert ToolCache().policy_of("find", hinted).effect == effect


def test_a_policy_of_ones_own_comes_before_hints() -> None:
    """Named ones first, then the default, then the tool's hints."""
    hinted = StructuredTool.from_function(_find, name="find", metadata={"readOnlyHint": True})
    assert ToolCache({"find": WRITE}).policy_of("find", hinted) is WRITE
    assert ToolCache(default=PURE).policy_of("find", hinted) is PURE


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"effect": "idempotent"}, "effect is pure, read or write"),
        ({"effect": "write", "ttl_s": 5}, 'say effect="read" or "pure"'),
        ({"effect": "write", "price": Decimal(1)}, "never cached"),
        ({"effect": "pure", "tags": ("a",)}, "never ends"),
        ({"effect": "read", "ttl_s": 0}, "above 0"),
        ({"effect": "read", "ttl_s": 1, "soft_ttl_s": 2}, "must be below"),
        ({"effect": "read", "negative_ttl_s": -1}, "above 0"),
        ({"effect": "read", "scope": "planet"}, "scope is one of"),
        ({"effect": "read", "price": 0.01}, "a Decimal of USD"),
        ({"effect": "read", "price": Decimal("NaN")}, "a Decimal of USD"),
        ({"effect": "read", "tags": "orders"}, "write ('orders',)"),
        ({"effect": "read", "tags": ("orders:{order.id}",)}, "arguments by name"),
        ({"effect": "read", "tags": ("orders:{}",)}, "arguments by name"),
        ({"effect": "read", "tags": ("orders:{",)}, "a brace too many"),
        ({"effect": "read", "vary_on": ("customer",)}, "such as state.name"),
        ({"effect": "read", "vary_on": ("state",)}, "such as state.name"),
        ({"effect": "read", "vary_on": "state.x"}, "write ('state.x',)"),
    ],
)
def test_policies_that_make_no_sense_are_refused(fields: dict[str, Any], says: str) -> None:
    """The message says what to change."""
    with pytest.raises(CacheError) as refused:
        ToolCachePolicy(**fields)
    assert says in str(refused.value)
