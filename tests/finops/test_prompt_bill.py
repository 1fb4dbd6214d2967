from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_agentcost.finops.prompt_bill import Segment, divide, share_out
from langchain_agentcost.ledger.entry import InputSplit
from langchain_agentcost.pricing.cost import Cost
from langchain_agentcost.usage import Usage
from tests.finops.booked import cost, costs, splits, usages


@given(st.data(), usages().filter(lambda usage: usage.input_tokens > 0), costs())
def test_the_parts_sum_to_what_the_input_cost(data: st.DataObject, usage: Usage, bill: Cost) -> None:
    """No nano-USD and no token is lost or made, in any of the three input amounts."""
    split = data.draw(splits(usage.input_tokens))
    parts = divide(bill, usage, split)
    assert [part.tokens for part in parts] == [
        split.tool_schema_tokens,
        split.resent_tokens,
        split.new_tokens,
        split.tool_result_tokens,
    ]
    assert sum(part.cache_read_tokens for part in parts) == usage.cache_read_tokens
    assert tuple(sum(lane) for lane in zip(*(part[2:] for part in parts), strict=True)) == (
        bill.cache_read_nano,
        bill.cache_write_nano,
        bill.input_nano,
    )
    assert all(part.nano == 0 for part in parts if not part.tokens)


@given(st.integers(-(10**12), 10**12), st.lists(st.integers(0, 10**6), min_size=1, max_size=6).filter(any))
def test_an_amount_is_shared_out_exactly(amount: int, weights: list[int]) -> None:
    """Shares sum to the amount, are within one of the exact proportion, and a weight of 0 gets none."""
    shares = share_out(amount, weights)
    assert sum(shares) == amount
    assert all(
        abs(share * sum(weights) - amount * weight) < sum(weights)
        for share, weight in zip(shares, weights, strict=True)
    )
    assert all(share == 0 for share, weight in zip(shares, weights, strict=True) if not weight)


def test_the_prompt_cache_serves_the_front_of_the_prompt() -> None:
    """Cache reads go to the tool schemas first, then to what is re-sent, and last to what is new."""
    parts = divide(
        cost(cache_read=60, input=400),
        Usage(input_tokens=100, cache_read_tokens=60),
        InputSplit(tool_schema_tokens=50, resent_tokens=20, new_tokens=30),
    )
    assert parts.tool_schemas == Segment(50, 50, cache_read_nano=50)
    assert parts.resent == Segment(20, 10, cache_read_nano=10, input_nano=100)
    assert parts.new == Segment(30, 0, input_nano=300)


def test_cache_writes_follow_the_reads() -> None:
    """What is written to the cache stands between what was read and what stays uncached; both lifetimes count."""
    parts = divide(
        cost(cache_read=10, cache_write=60, input=20),
        Usage(input_tokens=50, cache_read_tokens=10, cache_write_tokens=10, cache_write_1h_tokens=20),
        InputSplit(tool_schema_tokens=10, resent_tokens=30, new_tokens=10),
    )
    assert [part[2:] for part in parts[:3]] == [(10, 0, 0), (0, 60, 0), (0, 0, 20)]


def test_new_context_and_tool_results_share_the_end_evenly() -> None:
    """Where each stands in the end of the prompt is not known, so a partly cached end is shared by tokens."""
    parts = divide(
        cost(cache_read=20, input=200),
        Usage(input_tokens=40, cache_read_tokens=20),
        InputSplit(new_tokens=10, tool_result_tokens=30),
    )
    assert parts.new == Segment(10, 5, cache_read_nano=5, input_nano=50)
    assert parts.tool_results == Segment(30, 15, cache_read_nano=15, input_nano=150)


def test_an_amount_without_tokens_of_its_own_is_shared_over_the_prompt() -> None:
    """A provider can bill a cache write that it did not count; its money still belongs to the prompt."""
    parts = divide(cost(cache_write=10), Usage(input_tokens=10), InputSplit(tool_schema_tokens=5, new_tokens=5))
    assert [part.cache_write_nano for part in parts] == [5, 0, 5, 0]


@pytest.mark.parametrize("read", [30, 10**6])
def test_more_cached_than_there_was_input_stays_within_the_prompt(read: int) -> None:
    """A wrong report of the provider cannot make a part larger than it is."""
    parts = divide(
        cost(cache_read=7, input=3), Usage(input_tokens=10, cache_read_tokens=read), InputSplit(new_tokens=10)
    )
    assert parts.new == Segment(10, 10, cache_read_nano=7, input_nano=3)
