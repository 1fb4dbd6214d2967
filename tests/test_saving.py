"""A hit survives being sent as plain data."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_agentcost.errors import InvalidUsage
from langchain_agentcost.saving import CacheHit, SparedCall
from langchain_agentcost.usage import Usage

counts = st.integers(0, 10**12)
words = st.text(max_size=5)
usages = st.builds(
    Usage,
    input_tokens=counts,
    output_tokens=counts,
    cache_read_tokens=counts,
    cache_write_tokens=counts,
    cache_write_1h_tokens=counts,
    input_audio_tokens=counts,
    reasoning_tokens=counts,
    output_audio_tokens=counts,
    service_tier=st.none() | st.sampled_from(["batch", "flex"]),
    server_tools=st.dictionaries(words, counts, max_size=2).map(lambda found: tuple(sorted(found.items()))),
    estimated=st.booleans(),
    anomalies=st.lists(words, max_size=2).map(tuple),
)
calls = st.builds(
    SparedCall,
    model=st.none() | words,
    provider=st.none() | words,
    usage=st.none() | st.just(Usage()) | usages,
    tool=st.none() | words,
)
hits = st.builds(
    CacheHit,
    id=words,
    cache=words,
    spared=st.lists(calls, max_size=3).map(tuple),
    saved_nano=st.none() | st.integers(-(10**15), 10**15),
    similarity=st.none() | st.floats(-1, 1),
    age_s=st.none() | st.floats(0, 1e9),
)


@given(hits)
def test_a_hit_comes_back_whole_from_json(hit: CacheHit) -> None:
    """Unknown stays unknown, 0 stays 0, and tuples are tuples again."""
    assert CacheHit.from_event(json.loads(json.dumps(hit.as_event()))) == hit
    assert CacheHit.from_event(hit.as_event()) == hit


def test_usage_of_nothing_is_not_unknown_usage() -> None:
    """A call that consumed 0 tokens is told from one of which nothing is known."""
    assert SparedCall.from_dict(SparedCall(model="m", usage=Usage()).as_dict()).usage == Usage()
    assert SparedCall.from_dict(SparedCall(model="m").as_dict()).usage is None


@pytest.mark.parametrize(
    ("event", "error"),
    [
        ({}, KeyError),
        ({"id": "1"}, KeyError),
        ({"id": "1", "cache": "x", "colour": "red"}, TypeError),
        ({"id": "1", "cache": "x", "spared": [{"colour": "red"}]}, TypeError),
        ({"id": "1", "cache": "x", "spared": [{"usage": {"colour": 1}}]}, TypeError),
        ({"id": "1", "cache": "x", "spared": [{"usage": {"input_tokens": -1}}]}, InvalidUsage),
        ({"id": "1", "cache": "x", "spared": [{"usage": {"input_tokens": True}}]}, InvalidUsage),
        ({"id": "1", "cache": "x", "spared": [{"usage": {"input_tokens": 1.5}}]}, InvalidUsage),
    ],
)
def test_what_is_no_hit_is_refused(event: dict[str, Any], error: type[Exception]) -> None:
    """Whoever sends such an event gets an error, and no made-up saving."""
    with pytest.raises(error):
        CacheHit.from_event(event)
