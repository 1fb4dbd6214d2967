"""What a spared call would have been billed as now."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_agentcost.caching.billed_now import billed_now
from langchain_agentcost.saving import SparedCall
from langchain_agentcost.usage import Usage

MODELS = [
    ("claude-opus-4-6", "anthropic"), ("claude-sonnet-4-5", "anthropic"), ("claude-2.1", "anthropic"),
    ("gpt-4.1", "openai"), ("gpt-3.5-turbo", "openai"), ("deepseek-chat", "deepseek"), ("gemini-2.5-pro", "google"),
    ("mistral-large", "mistral"), ("grok-4", "x-ai"), ("unknown", "unknown"), ("unknown", None), (None, None),
]  # fmt: skip


def call(model: str | None, provider: str | None, **counts: int) -> SparedCall:
    """Give a call that consumed this."""
    told: Any = {"input_tokens": 10_000, "output_tokens": 9, **counts}
    return SparedCall(model=model, provider=provider, usage=Usage(**told))


def parts(spared: SparedCall) -> tuple[int, int, int]:
    """Give what was read, written and written for an hour."""
    assert spared.usage is not None
    usage = spared.usage
    return usage.cache_read_tokens, usage.cache_write_tokens, usage.cache_write_1h_tokens


@given(
    st.sampled_from(MODELS),
    st.integers(0, 200_000),
    st.tuples(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1)),
    st.floats(0, 1),
    st.floats(0, 1e6),
)
def test_the_parts_are_never_more_than_the_prompt(
    who: tuple[str | None, str | None],
    tokens: int,
    shares: tuple[float, float, float],
    shared_share: float,
    idle_s: float,
) -> None:
    """Whatever was cached and however warm it is, read and written parts fit into the input, and the rest stays."""
    total = max(1.0, sum(shares))
    read, written, hour = (int(tokens * share / total) for share in shares)
    before = call(
        *who, input_tokens=tokens, cache_read_tokens=read, cache_write_tokens=written, cache_write_1h_tokens=hour
    )
    after = billed_now(before, shared_share=shared_share, idle_s=idle_s)
    assert before.usage is not None
    assert after.usage is not None
    assert sum(parts(after)) <= tokens
    kept = replace(after.usage, cache_read_tokens=read, cache_write_tokens=written, cache_write_1h_tokens=hour)
    assert kept == before.usage


@pytest.mark.parametrize("shared_share", [1.0000001, 2, 1e9])
def test_a_share_above_one_is_all_of_it(shared_share: float) -> None:
    """A share that rounding made too large reads no more than there is."""
    read, *_ = parts(billed_now(call("gpt-4.1", "openai"), shared_share=shared_share, idle_s=0))
    assert read == 9_984


@pytest.mark.parametrize(("shared_share", "idle_s"), [(math.nan, 0), (-1, 0), (1, math.nan)])
def test_a_share_or_time_that_is_none_reads_nothing(shared_share: float, idle_s: float) -> None:
    """What cannot be known is not taken for warm."""
    assert parts(billed_now(call("gpt-4.1", "openai"), shared_share=shared_share, idle_s=idle_s)) == (0, 0, 0)


@pytest.mark.parametrize(
    ("share", "idle_s", "read"),
    [(1, 10, 9_984), (0.5, 10, 4_992), (0.1, 10, 0), (1, 299, 9_984), (1, 301, 0), (0, 10, 0)],
)
def test_openai_reads_whole_steps_of_what_is_warm(share: float, idle_s: float, read: int) -> None:
    """Steps of 128 from 1,024 tokens on, for five minutes, unasked."""
    assert parts(billed_now(call("gpt-4.1", "openai"), shared_share=share, idle_s=idle_s)) == (read, 0, 0)


def test_a_short_prompt_is_not_cached() -> None:
    """Below the minimum nothing is read."""
    assert parts(billed_now(call("gpt-4.1", "openai", input_tokens=1_023), shared_share=1, idle_s=0)) == (0, 0, 0)


@pytest.mark.parametrize(
    ("idle_s", "expected"), [(10, (8_000, 0, 0)), (299, (8_000, 0, 0)), (301, (0, 8_000, 0)), (4_000, (0, 8_000, 0))]
)
def test_anthropic_keeps_what_was_written_for_five_minutes(idle_s: float, expected: tuple[int, int, int]) -> None:
    """Within them the marked part of an equal prompt is read, and later it is written again."""
    assert (
        parts(billed_now(call("claude-opus-4-6", "anthropic", cache_write_tokens=8_000), shared_share=1, idle_s=idle_s))
        == expected
    )


@pytest.mark.parametrize(("idle_s", "expected"), [(301, (8_000, 0, 0)), (3_601, (0, 0, 8_000))])
def test_anthropic_keeps_what_was_written_for_an_hour(idle_s: float, expected: tuple[int, int, int]) -> None:
    """What was asked to be kept longer is."""
    spared = call("claude-opus-4-6", "anthropic", cache_write_1h_tokens=8_000)
    assert parts(billed_now(spared, shared_share=1, idle_s=idle_s)) == expected


def test_anthropic_reads_what_is_shared_of_the_marked_part_and_writes_the_rest_of_it() -> None:
    """A prompt that shares its first half only is read so far, and written from there to the mark."""
    spared = call("claude-opus-4-6", "anthropic", cache_read_tokens=3_000, cache_write_tokens=5_000)
    assert parts(billed_now(spared, shared_share=0.6, idle_s=10)) == (6_000, 2_000, 0)


def test_anthropic_reads_nothing_that_was_not_asked_for() -> None:
    """Without a breakpoint there is no cache, however warm the prompt is."""
    assert parts(billed_now(call("claude-opus-4-6", "anthropic"), shared_share=1, idle_s=0)) == (0, 0, 0)


def test_deepseek_keeps_for_hours_in_steps_of_64() -> None:
    """Its cache is on disk."""
    assert parts(billed_now(call("deepseek-chat", "deepseek"), shared_share=1, idle_s=3_600)) == (9_984, 0, 0)


@pytest.mark.parametrize(
    "spared", [call("unknown", "unknown"), call(None, None), SparedCall(tool="x"), SparedCall(model="gpt-4.1")]
)
def test_what_is_not_known_is_left_as_it_was(spared: SparedCall) -> None:
    """Without terms, model or usage there is nothing to reckon with."""
    assert billed_now(spared, shared_share=1, idle_s=0) is spared
