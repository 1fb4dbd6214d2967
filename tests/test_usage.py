"""Usage: what is read from any provider's counts, and what becomes of counts that cannot be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, HumanMessage

from langchain_agentcost.errors import InvalidUsage
from langchain_agentcost.reported import MAX_REPORTED_TOKENS
from langchain_agentcost.usage import Usage


def reported(given: Any, made: Any, total: Any = None, /, **details: Any) -> dict[str, Any]:
    """Counts as a provider reports them; the total is their sum unless it is given."""
    if total is None:
        total = given + made
    return {"input_tokens": given, "output_tokens": made, "total_tokens": total, **details}


def answer(usage_metadata: Mapping[str, Any] | None, **response_metadata: Any) -> AIMessage:
    """An answer that carries counts that pydantic would not let through, as integrations do."""
    message = AIMessage("Hi", response_metadata=response_metadata)
    return message.model_copy(update={"usage_metadata": usage_metadata})


def test_plain_counts_are_read_as_they_are() -> None:
    """Input and output arrive unchanged, with nothing wrong and no tier."""
    usage = Usage.from_message(answer(reported(1000, 50)))
    assert usage == Usage(input_tokens=1000, output_tokens=50)


@pytest.mark.parametrize("tier", ["priority", "flex"])
def test_a_tier_prefix_tells_the_tier_and_its_rest_is_not_added(tier: str) -> None:
    """langchain-openai's prefixed keys fill the same fields, name the tier, and the bare key is not counted twice."""
    usage = Usage.from_usage_metadata(
        reported(
            10_000,
            500,
            input_token_details={f"{tier}_cache_read": 4096, f"{tier}_cache_creation": 100, tier: 5904, "audio": 7},
            output_token_details={f"{tier}_reasoning": 200, tier: 300},
        )
    )
    assert usage == Usage(
        10_000,
        500,
        cache_read_tokens=4096,
        cache_write_tokens=100,
        input_audio_tokens=7,
        reasoning_tokens=200,
        service_tier=tier,
    )


def test_details_of_two_tiers_in_one_answer_are_an_anomaly() -> None:
    """Counts of two tiers cannot be priced at one; the reader is told."""
    usage = Usage.from_usage_metadata(reported(9, 1, input_token_details={"priority": 5, "flex": 4}))
    assert usage.anomalies == ("details of two service tiers, priority and flex",)


def test_anthropics_split_by_lifetime_is_kept_apart() -> None:
    """5-minute and 1-hour writes cost differently and go to different fields; the emptied sum adds nothing."""
    details = {
        "cache_read": 0,
        "cache_creation": 0,
        "ephemeral_5m_input_tokens": 200,
        "ephemeral_1h_input_tokens": 18_000,
    }
    usage = Usage.from_usage_metadata(reported(20_000, 500, input_token_details=details))
    assert (usage.cache_write_tokens, usage.cache_write_1h_tokens, usage.uncached_tokens) == (200, 18_000, 1_800)
    assert usage.anomalies == ()


def test_a_split_beside_its_sum_is_counted_once() -> None:
    """Older versions of langchain-anthropic left the sum beside the split: the writes are still 500, not 1,000."""
    details = {"cache_creation": 500, "ephemeral_5m_input_tokens": 200, "ephemeral_1h_input_tokens": 300}
    usage = Usage.from_usage_metadata(reported(1000, 5, input_token_details=details))
    assert (usage.cache_write_tokens, usage.cache_write_1h_tokens) == (200, 300)


def test_reasoning_left_out_of_the_output_is_added_to_it_and_named() -> None:
    """Older Gemini classes report thoughts beside the output; the total proves it, and they are billed as output."""
    usage = Usage.from_usage_metadata(reported(1000, 50, 1075, output_token_details={"reasoning": 25}))
    assert (usage.output_tokens, usage.reasoning_tokens) == (75, 25)
    assert usage.anomalies == ("reasoning (25) was reported beside output_tokens; added to it",)


def test_cached_tokens_left_out_of_the_input_are_added_to_it_and_named() -> None:
    """An integration with Anthropic's exclusive input is put right where its total proves it."""
    usage = Usage.from_usage_metadata(reported(100, 5, 1105, input_token_details={"cache_read": 1000}))
    assert (usage.input_tokens, usage.uncached_tokens) == (1100, 100)
    assert usage.anomalies == ("cached tokens (1000) were reported beside input_tokens; added to it",)


def test_reasoning_and_cached_tokens_can_both_have_been_left_out() -> None:
    """Where only both together explain the total, both are added."""
    details = {"input_token_details": {"cache_read": 1000}, "output_token_details": {"reasoning": 30}}
    usage = Usage.from_usage_metadata(reported(100, 5, 1135, **details))
    assert (usage.input_tokens, usage.output_tokens, len(usage.anomalies)) == (1100, 35, 2)


def test_a_total_that_nothing_explains_is_flagged_and_changes_nothing() -> None:
    """A wrong total is named, and the counts stay as they were reported."""
    usage = Usage.from_usage_metadata(reported(100, 5, 999))
    assert (usage.input_tokens, usage.output_tokens) == (100, 5)
    assert usage.anomalies == ("total_tokens was 999, but input + output is 105",)


@pytest.mark.parametrize("total", [float("nan"), "105", True, [105]])
def test_a_total_that_is_no_number_is_flagged(total: Any) -> None:
    """A total of another type is an anomaly, never an exception."""
    usage = Usage.from_usage_metadata(reported(100, 5, total))
    assert usage.total_tokens == 105
    assert len(usage.anomalies) == 1


@pytest.mark.parametrize(
    ("details", "expected"),
    [
        ({"input_token_details": {"cache_read": 101}}, "cached tokens (101) exceed input_tokens (100)"),
        (
            {"input_token_details": {"cache_read": 60, "ephemeral_1h_input_tokens": 60}},
            "cached tokens (120) exceed input_tokens (100)",
        ),
        ({"input_token_details": {"audio": 200}}, "input_audio_tokens (200) exceed input_tokens (100)"),
        ({"output_token_details": {"reasoning": 6}}, "reasoning_tokens (6) exceed output_tokens (5)"),
        ({"output_token_details": {"audio": 9}}, "output_audio_tokens (9) exceed output_tokens (5)"),
    ],
)
def test_parts_larger_than_their_whole_are_flagged(details: dict[str, Any], expected: str) -> None:
    """A part that exceeds what contains it is named with both numbers."""
    assert Usage.from_usage_metadata(reported(100, 5, **details)).anomalies == (expected,)


BAD = [float("nan"), float("inf"), -1, True, "100", None, 1.5, 10**30, MAX_REPORTED_TOKENS + 1, [1], b"1"]


@pytest.mark.parametrize("bad", BAD, ids=repr)
@pytest.mark.parametrize("key", ["input_tokens", "output_tokens"])
def test_a_count_that_cannot_be_is_taken_from_the_total_and_named(key: str, bad: Any) -> None:
    """Input and output follow from each other and the total; what was wrong is said."""
    usage = Usage.from_message(answer({**reported(100, 5), key: bad}))
    assert usage is not None
    assert (usage.input_tokens, usage.output_tokens) == (100, 5)
    assert any(key in anomaly for anomaly in usage.anomalies)


@pytest.mark.parametrize("bad", BAD, ids=repr)
def test_a_count_that_cannot_be_known_leaves_the_usage_unknown(bad: Any) -> None:
    """Without a total to derive it from, an impossible count makes the usage None, never 0."""
    assert Usage.from_message(answer({"input_tokens": bad, "output_tokens": 5})) is None


@pytest.mark.parametrize("bad", [bad for bad in BAD if bad is not None], ids=repr)
def test_a_part_that_cannot_be_is_left_out_and_named(bad: Any) -> None:
    """An impossible detail counts as nothing and is an anomaly that names its key."""
    usage = Usage.from_usage_metadata(reported(100, 5, input_token_details={"cache_read": bad}))
    assert usage.cache_read_tokens == 0
    assert len(usage.anomalies) == 1
    assert "cache_read" in usage.anomalies[0]


def test_whole_floats_are_read_and_named() -> None:
    """12.0, which JSON and data frames make of 12, is 12 tokens."""
    usage = Usage.from_usage_metadata({"input_tokens": 12.0, "output_tokens": 1, "total_tokens": 13})
    assert usage.input_tokens == 12
    assert usage.anomalies == ("input_tokens was 12.0, read as a whole number",)


@pytest.mark.parametrize("details", [None, {}, {"cache_read": None}])
def test_details_that_are_not_there_are_no_anomaly(details: Any) -> None:
    """None and empty details are what many providers send."""
    usage = Usage.from_usage_metadata(reported(3, 1, input_token_details=details, output_token_details=details))
    assert usage == Usage(3, 1)


def test_details_that_are_no_mapping_are_flagged() -> None:
    """A list of details is named, not read."""
    assert "not a mapping" in Usage.from_usage_metadata(reported(3, 1, input_token_details=[1])).anomalies[0]


def test_costs_and_unknown_keys_are_ignored() -> None:
    """Neither a provider's cost keys nor details that we do not know change a count."""
    extra = {"total_cost": 1.5, "input_cost": 1, "input_token_details": {"image": 40, "over_200k": 7}}
    assert Usage.from_usage_metadata(reported(100, 5, **extra)) == Usage(100, 5)


def test_a_huge_bad_value_makes_a_short_anomaly() -> None:
    """A megabyte in place of a count does not reach the ledger."""
    usage = Usage.from_usage_metadata(reported(1, 1, 2, input_token_details={"cache_read": "9" * 1_000_000}))
    assert len(usage.anomalies[0]) < 200


@given(
    st.dictionaries(
        st.sampled_from(
            ["input_tokens", "output_tokens", "total_tokens", "input_token_details", "output_token_details"]
        ),
        st.one_of(
            st.integers(),
            st.floats(),
            st.text(),
            st.none(),
            st.booleans(),
            st.dictionaries(
                st.sampled_from(["cache_read", "priority_cache_read", "flex", "reasoning", "audio", "cache_creation"]),
                st.one_of(st.integers(), st.floats(), st.none(), st.text()),
            ),
        ),
    )
)
def test_no_report_raises_or_yields_impossible_counts(report: dict[str, Any]) -> None:
    """Whatever a provider says, the reader returns valid counts or None."""
    usage = Usage.from_usage_metadata(report)
    assert usage.total_tokens >= 0
    assert usage.uncached_tokens <= usage.input_tokens
    Usage.from_message(answer(report))


@given(
    given=st.integers(0, 10**9), made=st.integers(0, 10**9), read=st.integers(0, 10**9), thought=st.integers(0, 10**9)
)
def test_a_consistent_report_is_read_without_loss(given: int, made: int, read: int, thought: int) -> None:
    """Counts whose parts fit come out as they went in, with no anomaly."""
    read, thought = min(read, given), min(thought, made)
    usage = Usage.from_usage_metadata(
        reported(given, made, input_token_details={"cache_read": read}, output_token_details={"reasoning": thought})
    )
    assert usage == Usage(given, made, cache_read_tokens=read, reasoning_tokens=thought)


@pytest.mark.parametrize("bad", [-1, 1.0, True, "1", float("nan")])
def test_impossible_counts_cannot_be_constructed(bad: Any) -> None:
    """What we make ourselves must be right: the constructor names the field and the value."""
    with pytest.raises(InvalidUsage, match="cache_read_tokens must be a whole number"):
        Usage(5, 1, cache_read_tokens=bad)


def test_usage_sums_field_by_field() -> None:
    """Adding keeps counts, server tools, marks and the tier where both agree."""
    one = Usage(10, 5, 1, 2, 3, 4, 5, 1, "flex", (("web_search", 1),), estimated=True, anomalies=("a",))
    two = Usage(10, 5, 1, 2, 3, 4, 5, 1, "flex", (("file_search", 1), ("web_search", 2)), anomalies=("a", "b"))
    assert one + two == Usage(
        20, 10, 2, 4, 6, 8, 10, 2, "flex", (("file_search", 1), ("web_search", 3)), estimated=True, anomalies=("a", "b")
    )
    assert (one + Usage(1, 1)).service_tier is None


def test_usage_adds_to_nothing_else() -> None:
    """Adding a number is a TypeError, not a silent mistake."""
    with pytest.raises(TypeError):
        Usage(1, 1) + 5
    with pytest.raises(TypeError):
        5 + Usage(1, 1)


@pytest.mark.parametrize(
    ("metadata", "tier"),
    [
        ({"service_tier": "default"}, None),
        ({"service_tier": "Flex"}, "flex"),
        ({"service_tier": None}, None),
        ({"serviceTier": {"type": "priority"}}, "priority"),
        ({"usage": {"service_tier": "batch"}}, "batch"),
        ({"usage": {"service_tier": "standard"}}, None),
        ({"usage": {"service_tier": "standard", "speed": "fast"}}, "fast"),
        ({"usage": None}, None),
        ({"service_tier": 7}, None),
    ],
)
def test_the_tier_is_found_where_each_provider_puts_it(metadata: dict[str, Any], tier: str | None) -> None:
    """OpenAI, AWS and Anthropic state the tier in different places; the standard tier is None."""
    usage = Usage.from_message(answer(reported(3, 1), **metadata))
    assert usage is not None
    assert usage.service_tier == tier


@pytest.mark.parametrize("metadata", [None, {}, {"total_cost": 0}])
def test_no_usage_is_none(metadata: Any) -> None:
    """A message without counts has unknown usage."""
    assert Usage.from_message(answer(metadata)) is None


def test_a_human_message_has_no_usage() -> None:
    """Messages of other kinds do not break the reader."""
    assert Usage.from_message(HumanMessage("Hi")) is None


def test_counts_from_before_usage_metadata_are_read() -> None:
    """A chat model that only fills response_metadata["token_usage"] is metered too."""
    old = {"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11}
    assert Usage.from_message(answer(None, token_usage=old)) == Usage(9, 2)
