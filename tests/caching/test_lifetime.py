"""When an entry ends."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_agentcost.caching.lifetime import Lifetime, Terms
from langchain_agentcost.errors import CacheError

seconds = st.floats(1e-3, 1e9)


def test_without_times_an_entry_lives_for_ever() -> None:
    """Nothing ends unless it is said."""
    assert Lifetime().terms(1000) == Terms(None, None)


@given(seconds, st.floats(0.01, 0.99), st.floats(0, 0.99), st.floats(0, 2e9))
def test_jitter_stays_within_its_share_and_the_soft_end_comes_first(
    ttl_s: float, share: float, jitter: float, now_s: float
) -> None:
    """Both ends vary together by at most the share, so an entry is renewed before it is gone."""
    terms = Lifetime(ttl_s=ttl_s, soft_ttl_s=ttl_s * share, jitter=jitter).terms(now_s)
    assert terms.stale_s is not None
    assert terms.expires_s is not None
    assert now_s <= terms.stale_s <= terms.expires_s
    slack = 1e-6 + ttl_s * 1e-9 + now_s * 1e-9
    assert ttl_s * (1 - jitter) - slack <= terms.expires_s - now_s <= ttl_s * (1 + jitter) + slack


def test_entries_that_were_put_together_do_not_end_together() -> None:
    """With jitter, a hundred entries have many ends; without, one."""
    assert len({Lifetime(ttl_s=60).terms(0).expires_s for _ in range(100)}) > 50
    assert {Lifetime(ttl_s=60, jitter=0).terms(0).expires_s for _ in range(100)} == {60}


def test_a_soft_end_needs_no_hard_one() -> None:
    """An entry may be renewed and never end."""
    assert Lifetime(soft_ttl_s=30, jitter=0).terms(1000) == Terms(1030, None)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"ttl_s": 0}, "ttl_s is a number"),
        ({"ttl_s": -1}, "ttl_s is a number"),
        ({"ttl_s": math.nan}, "ttl_s is a number"),
        ({"soft_ttl_s": 0}, "soft_ttl_s is a number"),
        ({"soft_ttl_s": math.nan, "ttl_s": 1}, "soft_ttl_s is a number"),
        ({"ttl_s": 60, "soft_ttl_s": 60}, "must be below"),
        ({"ttl_s": 60, "soft_ttl_s": 61}, "must be below"),
        ({"jitter": 1}, "jitter is a share"),
        ({"jitter": -0.1}, "jitter is a share"),
        ({"jitter": math.nan}, "jitter is a share"),
    ],
)
def test_times_that_make_no_sense_are_refused(wrong: dict[str, Any], message: str) -> None:
    """The message names the argument and what it may be."""
    with pytest.raises(CacheError, match=message):
        Lifetime(**wrong)
