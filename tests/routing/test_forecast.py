from hypothesis import given
from hypothesis import strategies as st
from langchain.agents import create_agent
from langchain_core.messages import HumanMessage

from langchain_agentcost.routing.forecast import UNKNOWN_OUTPUT_TOKENS, OutputForecast
from langchain_agentcost.routing.middleware import RouterMiddleware
from langchain_agentcost.routing.policies.fixed import FixedPolicy
from langchain_agentcost.routing.runnable import RouterRunnable
from langchain_agentcost.routing.shadow import Shadow
from langchain_agentcost.routing.signature import Signature
from langchain_agentcost.testing import FakeCounts, FakeMeteredChatModel

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


def test_a_tier_that_was_never_asked_answers_as_the_others_do() -> None:
    """What one tier alone answered says how long the other would, whatever that one does elsewhere."""
    forecast = OutputForecast()
    for _ in range(500):
        forecast.learn(STEP, "small", 8)
        forecast.learn(Signature("plan", "user", "", None, "<1k"), "frontier", 900)
    assert forecast.tokens(STEP, "frontier") == forecast.tokens(STEP, "small") == 8
    assert forecast.tokens(Signature("plan", "user", "", None, "<1k"), "small") == 900


def test_how_much_longer_a_tier_answers_is_learnt_from_shared_steps() -> None:
    """A tier that writes three times as much where both answer does so where it was never asked."""
    forecast, alone = OutputForecast(), STEP._replace(node="alone")
    for number in range(300):
        forecast.learn(STEP._replace(node=f"n{number % 7}"), "small", 100 * (1 + number % 7))
        forecast.learn(STEP._replace(node=f"n{number % 7}"), "frontier", 300 * (1 + number % 7))
    for _ in range(200):
        forecast.learn(alone, "small", 20)
    assert 2.8 < forecast.ratio("frontier", "small") < 3.2
    assert abs(forecast.ratio("frontier", "small") * forecast.ratio("small", "frontier") - 1) < 1e-9
    assert 55 <= forecast.tokens(alone, "frontier") <= 65


def test_one_answer_does_not_bend_a_ratio() -> None:
    """A single freak counts little, and its own answers tell more of a tier than any ratio."""
    forecast = OutputForecast()
    forecast.learn(STEP, "small", 10)
    forecast.learn(STEP, "frontier", 100_000)
    assert forecast.ratio("frontier", "small") < 2
    for _ in range(200):
        forecast.learn(STEP, "small", 10)
    for _ in range(200):
        forecast.learn(STEP, "mid", 50)
    assert 45 <= forecast.tokens(STEP, "mid") <= 55


@given(st.lists(st.tuples(st.sampled_from(["small", "mid", "frontier"]), st.integers(0, 5_000)), max_size=40))
def test_no_forecast_is_without_bounds(answers: list[tuple[str, int]]) -> None:
    """Whatever came, a forecast is a length, and ratios of a pair are each other's inverse."""
    forecast = OutputForecast()
    for tier, tokens in answers:
        forecast.learn(STEP, tier, tokens)
    for tier in ("small", "mid", "frontier"):
        assert 0 <= forecast.tokens(STEP, tier) <= 20 * 5_000
        assert abs(forecast.ratio(tier, "mid") * forecast.ratio("mid", tier) - 1) < 1e-9


def test_shadow_answers_tell_their_tier() -> None:
    """What the strong tier says aside is a length of its own, through the runnable and in an agent."""
    tiers = [FakeMeteredChatModel(counts=FakeCounts(10, length)) for length in (20, 400)]
    for through in (RouterRunnable, RouterMiddleware):
        with Shadow(share=1.0, seed=1) as shadow:
            router = through(tiers, policy=FixedPolicy("small"), shadow=shadow)
            for _ in range(30):
                if isinstance(router, RouterRunnable):
                    router.invoke("Hello")
                else:
                    create_agent(tiers[1], middleware=[router]).invoke({"messages": [HumanMessage("Hello")]})
        forecast = router.router.economics.forecast
        assert forecast.ratio("frontier", "small") > 5
