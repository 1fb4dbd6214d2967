"""Entries made up for the ledger's tests."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import get_args
from uuid import UUID

from hypothesis import strategies as st

from langchain_agentcost.attribution import DIMENSIONS, Attribution
from langchain_agentcost.ledger import Entry, InputSplit
from langchain_agentcost.ledger.entry import Kind, Status
from langchain_agentcost.ledger.fold import TOKENS
from langchain_agentcost.ledger.query import NUMBERS
from langchain_agentcost.pricing.cost import PARTS, Cost, PriceSource
from langchain_agentcost.routed import Routed
from langchain_agentcost.usage import Usage

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


def call(number: int, *, minutes: float = 0, **labels: object) -> Entry:
    """A priced model call of 3,000 nano-USD."""
    return Entry(
        id=str(UUID(int=number)),
        kind="llm",
        at=NOON + timedelta(minutes=minutes),
        attribution=Attribution(**labels),  # type: ignore[arg-type]
        duration_s=1.5,
        usage=Usage(input_tokens=100, output_tokens=20),
        cost=Cost(3000, input_nano=1000, output_nano=2000),
    )


ROUTED = Routed(
    id="d1",
    tier="small",
    policy="step>sticky",
    role="draft",
    reasons=("ünï\x00", "=1+1"),
    expected_nano={"small": 1_200, "mid": None, "frontier": 20_000},
    baseline="frontier",
    baseline_nano=19_000,
    score=0.125,
    propensity=0.5,
    calibration="2026-11-23/1",
)

few = st.sampled_from
_label = st.none() | few(["a", "b/c", "'; DROP TABLE entry; --", "=1+1", "ünï\n\x00", ""])
_id = few([str(UUID(int=n)) for n in range(30)] + [f"plain-{n}" for n in range(10)] + ["A" * 36, "x" * 36])
_amount = st.integers(0, 10**12)
_seconds = st.none() | st.floats(0, 1000, allow_nan=False)

attributions = st.builds(
    Attribution,
    **dict.fromkeys([name for name in DIMENSIONS if name not in NUMBERS], _label),
    step=st.none() | st.integers(1, 3),
    attempt=st.integers(1, 2),
    tags=st.dictionaries(few(["team", "x'y", "$.a"]), few(["1", "é\x00\n", ""]), max_size=2).map(
        lambda d: tuple(sorted(d.items()))
    ),
)

usages = st.builds(
    Usage,
    **dict.fromkeys(TOKENS, st.integers(0, 10**6)),
    service_tier=few([None, "flex"]),
    server_tools=few([(), (("web_search", 2),)]),
    estimated=st.booleans(),
    anomalies=few([(), ("total_tokens was 3",)]),
)

costs = st.builds(
    Cost,
    **dict.fromkeys(PARTS, st.integers(-(10**9), 10**12)),
    price=few([None, PriceSource("genai-prices", "1"), PriceSource("override", "f00", "2026-11-01")]),
    service_tier=few([None, "batch"]),
    flags=few([(), ("no batch price",)]),
)

entries = st.builds(
    Entry,
    id=_id,
    kind=few(get_args(Kind)),
    at=few([NOON + timedelta(hours=h, microseconds=u) for h in (-50, -12, 0, 12, 36) for u in (-1, 0, 0, 1)]),
    attribution=attributions,
    duration_s=_seconds,
    first_token_s=_seconds,
    usage=st.none() | usages,
    cost=st.none() | costs,
    saved=st.none() | costs,
    status=few(get_args(Status)),
    error_type=few([None, "RateLimitError"]),
    parent_id=st.none() | _id,
    name=few([None, "priced", "repriced", "resolved"]),
    value=few([None, Decimal("1.10"), Decimal("-3")]),
    success=few([None, True, False]),
    split=st.none() | st.builds(InputSplit, _amount, _amount, _amount, _amount),
    fingerprints=few([None, (), (("ab12", 7), ("cd34", 9))]),
    decision=few([None, None, str(UUID(int=5)), "of our own"]),
    routed=few([None, None, ROUTED]),
)
