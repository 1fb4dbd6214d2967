from hypothesis import given
from hypothesis import strategies as st

from langchain_agentcost.routing.forecast import UNKNOWN_OUTPUT_TOKENS, OutputForecast
from langchain_agentcost.routing.signature import Signature

STEP = Signature("extract", "user", "", "Invoice", "<1k")


def test_nothing_is_known_at_first() -> None:
    """A new router takes the usual length."""
    assert OutputForecast().tokens(STEP, "small") == UNKNOWN_OUTPUT_TOKENS


def test_a_cap_is_the_most() -> None:
    """No answer is longer than it may be."""
    assert OutputForecast().tokens(STEP, "small", at_most=50) == 50


def test_tiers_learn_apart() -> None:
    """A tier that reasons writes more for the same step."""
    forecast = OutputForecast()
    for _ in range(50):
        forecast.learn(STEP, "small", 20)
        forecast.learn(STEP, "frontier", 2_000)
    assert forecast.tokens(STEP, "small") < 60
    assert forecast.tokens(STEP, "frontier") > 1_500


def test_a_step_that_was_never_seen_learns_from_its_kind() -> None:
    """Another length of the same node is closer than nothing."""
    forecast = OutputForecast()
    for _ in range(50):
        forecast.learn(STEP, "small", 20)
    assert forecast.tokens(STEP._replace(length="<16k"), "small") < 60
    assert forecast.tokens(Signature("plan", "user", "", None, "<1k"), "small") < UNKNOWN_OUTPUT_TOKENS


@given(st.lists(st.integers(0, 5_000), max_size=30))
def test_a_forecast_lies_between_what_was_seen_and_the_prior(lengths: list[int]) -> None:
    """Shrinking never goes beyond what it shrinks."""
    forecast = OutputForecast()
    for tokens in lengths:
        forecast.learn(STEP, "small", tokens)
    every = [*lengths, UNKNOWN_OUTPUT_TOKENS]
    assert min(every) <= forecast.tokens(STEP, "small") <= max(every)
