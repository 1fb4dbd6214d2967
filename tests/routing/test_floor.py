"""A quality floor from end to end: shadow, calibration, proof, drift."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Any

import pytest
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.config import merge_configs

from langchain_agentcost.errors import RoutingError, RoutingWarning
from langchain_agentcost.meter import CostMeter
from langchain_agentcost.routing.calibration import Calibration
from langchain_agentcost.routing.example import Example
from langchain_agentcost.routing.policies.bandit import Bandit
from langchain_agentcost.routing.policies.budget_aware import BudgetAware
from langchain_agentcost.routing.policies.cascade import Acceptance, CascadePolicy
from langchain_agentcost.routing.policies.random import RandomPolicy
from langchain_agentcost.routing.policies.step import StepPolicy
from langchain_agentcost.routing.policies.sticky import Sticky
from langchain_agentcost.routing.request import RouteRequest
from langchain_agentcost.routing.runnable import RouterRunnable
from langchain_agentcost.routing.shadow import Shadow
from langchain_agentcost.routing.tier import Tier
from langchain_agentcost.routing.verifiers.user_test import UserTest
from langchain_agentcost.testing import FakeMeteredChatModel
from tests.routing.desk import SMALL, STRONG, Heard


def right(messages: list[BaseMessage]) -> str:
    """The strong tier is always right."""
    return f"the answer to {messages[-1].text}"


def often_right(messages: list[BaseMessage]) -> str:
    """The small tier is right but where something is hard."""
    return "no idea" if "hard" in messages[-1].text else right(messages)


def tiers() -> list[Tier]:
    """Both."""
    return [
        Tier("small", FakeMeteredChatModel(model=SMALL, answers=often_right)),
        Tier("frontier", FakeMeteredChatModel(model=STRONG, answers=right)),
    ]


def step(name: str, **more: Any) -> RunnableConfig:
    """The config of a step."""
    return merge_configs({"metadata": {"router_step": name}}, more)  # type: ignore[arg-type]  # a test's keywords


def learnt(calls: int = 400) -> list[Example]:
    """What shadow mode learns of that many calls to two kinds of step, of which one is hard for the small tier."""
    with Shadow(share=1.0, seed=1) as shadow:
        router = RouterRunnable(tiers(), shadow=shadow)
        for number in range(calls):
            kind = ("read_form", "decide")[number % 2]
            hard = "hard " if kind == "decide" and number % 4 == 1 else ""
            router.invoke(f"{hard}question {number}", step(kind))
            shadow.flush()
    return list(shadow.examples)


@pytest.fixture(scope="module")
def examples() -> list[Example]:
    """Learnt once."""
    return learnt()


@pytest.fixture(scope="module")
def calibration(examples: list[Example]) -> Calibration:
    """What they prove."""
    return RouterRunnable(tiers()).calibrate(examples, floor=0.95, confidence=0.95)


def test_shadows_teach_how_good_tiers_are(examples: list[Example]) -> None:
    """Each call has an example with both tiers' quality, of the traffic as it is."""
    assert len(examples) > 390
    assert {tuple(sorted(example.quality)) for example in examples} == {("frontier", "small")}
    mean = sum(example.quality["small"] for example in examples) / len(examples)
    assert 0.7 < mean < 0.8


def test_what_is_proven_is_used(calibration: Calibration) -> None:
    """With the calibration the kind of step that the small tier can goes there, and the other one does not."""
    router = RouterRunnable(tiers(), floor=0.95, calibration=calibration)
    assert calibration.proven
    assert router.explain("question 1", step("read_form")).tier == "small"
    assert router.explain("question 2", step("decide")).tier == "frontier"
    said = router.invoke("question 1", step("read_form")).response_metadata["router"]
    assert said["calibration"] == calibration.id
    assert "95% of frontier is proven" in said["floor"]


def test_without_proof_the_strongest_tier_is_asked(examples: list[Example]) -> None:
    """Ten examples prove nothing: the calibration says how many are missing, and all calls stay strong."""
    few = RouterRunnable(tiers()).calibrate(examples[:10])
    assert not few.proven
    assert few.missing
    router = RouterRunnable(tiers(), floor=0.95, calibration=few)
    with pytest.warns(RoutingWarning, match="more examples are needed"):
        assert router.explain("question 1", step("read_form")).tier == "frontier"
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # once is enough
        assert "more examples are needed" in router.explain("question 1", step("read_form")).floor


def test_no_calibration_is_no_proof() -> None:
    """A floor without a calibration is held by asking the strongest tier."""
    router = RouterRunnable(tiers(), floor=0.95)
    with pytest.warns(RoutingWarning, match="there is no calibration"):
        assert router.explain("question 1", step("read_form")).tier == "frontier"


def test_a_higher_floor_than_was_proven(calibration: Calibration) -> None:
    """A call that asks for more than is proven goes to the strongest tier."""
    router = RouterRunnable(tiers(), calibration=calibration)
    config = step("read_form", configurable={"router_quality_floor": 0.99})
    with pytest.warns(RoutingWarning, match="does not prove 99%"):
        assert router.explain("question 1", config).tier == "frontier"
    lower = step("read_form", configurable={"router_quality_floor": 0.9})
    assert router.explain("question 1", lower).tier == "small"


def test_another_policy_has_no_proof(calibration: Calibration) -> None:
    """A policy that a call names is not the one that was calibrated."""
    router = RouterRunnable(tiers(), floor=0.95, calibration=calibration)
    config = step("read_form", configurable={"router_policy": "small"})
    with pytest.warns(RoutingWarning, match="not of the policy"):
        assert router.explain("question 1", config).tier == "frontier"


def test_thrift_and_cascades_do_not_go_below_a_floor(calibration: Calibration) -> None:
    """Where a floor is asked for, what goes below the proven threshold by design has no say; without one it has."""
    within = StepPolicy()
    for around in (
        CascadePolicy(verifier=UserTest(lambda request, answer: True), inner=within),
        BudgetAware(inner=within),
    ):
        router = RouterRunnable(tiers(), policy=around, calibration=calibration)
        floored = step("decide", configurable={"router_quality_floor": 0.95})
        assert router.explain("question", floored).policy == "step"
        assert router.explain("question", step("decide")).policy != "step"


def test_a_budget_that_wants_to_be_cheap_does_not_lower_a_floor(calibration: Calibration) -> None:
    """Where a budget asks for a cheaper model, what is proven still holds; without a floor the cheap tier is taken."""

    class Wanting(CostMeter):
        def should_downgrade(self) -> bool:
            return True

    meter = Wanting()
    held = RouterRunnable(tiers(), floor=0.95, calibration=calibration, meter=meter)
    assert held.explain("question", step("decide")).tier == "frontier"
    assert RouterRunnable(tiers(), meter=meter).explain("question", step("plan")).tier == "small"


def test_a_floor_that_cannot_be_held_is_an_error(calibration: Calibration) -> None:
    """Where the tier that all is compared with cannot take a call, a weaker one does not answer in its place."""
    small, strong = tiers()
    router = RouterRunnable([small, replace(strong, max_input_tokens=20)], floor=0.95, calibration=calibration)
    with pytest.raises(RoutingError, match="frontier cannot take this call"):
        router.explain("word " * 50, step("read_form"))


def test_a_policy_without_a_threshold_cannot_be_proven(calibration: Calibration) -> None:
    """A coin has nothing to calibrate: with a floor all calls go strong."""
    router = RouterRunnable(tiers(), policy=RandomPolicy(strong=0.5), floor=0.95)
    with pytest.warns(RoutingWarning, match="no threshold that could be proven"):
        assert router.explain("question 1", step("read_form")).tier == "frontier"


def test_a_named_policy_is_the_routers_own() -> None:
    """A call that names the policy that the router has gets it with what it was given."""
    router = RouterRunnable(tiers(), policy=Sticky(inner=StepPolicy(steps={"decide": "small"})))
    assert router.explain("question", step("decide", configurable={"router_policy": "step"})).tier == "small"


def test_a_reward_goes_to_who_answered() -> None:
    """After an escalation the strong tier's answer is what is rewarded, and the bandit learns of that tier."""
    inner = StepPolicy(steps={"read_form": "frontier"})
    check = UserTest(lambda request, answer: False)
    bandit = Bandit(inner=CascadePolicy(verifier=check, inner=inner, acceptance=Acceptance(prior=0.99)))
    router = RouterRunnable(tiers(), policy=bandit)
    answer = router.invoke("question", step("read_form"))
    said = answer.response_metadata["router"]
    router.reward(said["id"], 1.0)
    assert said["answered_by"] == "frontier"
    assert "frontier" in str(bandit.state.as_dict())


def test_traffic_that_drifts_goes_to_the_strongest_tier(calibration: Calibration) -> None:
    """When the traffic is no longer what was calibrated, the proof is void: a warning, and all calls go strong."""
    router = RouterRunnable(tiers(), floor=0.95, calibration=calibration)
    for number in range(300):
        router.invoke(f"question {number}", step("decide"))
    with pytest.warns(RoutingWarning, match="the traffic is not what was calibrated"):
        assert "last 300 calls" in router.explain("x", step("read_form")).floor
    assert router.explain("question", step("read_form")).tier == "frontier"


def test_a_calibration_survives_a_file(calibration: Calibration, tmp_path: Any) -> None:
    """What was reviewed is what is used."""
    calibration.save(tmp_path / "router.json")
    router = RouterRunnable(tiers(), floor=0.95, calibration=Calibration.load(tmp_path / "router.json"))
    assert router.explain("question 1", step("read_form")).tier == "small"
    assert router.with_calibration(None).router.calibration is None


def test_shadow_calls_are_seen_as_such() -> None:
    """They have a role and a purpose of their own, are not streamed, and are nobody's answer."""
    heard = Heard()
    with Shadow(share=1.0) as shadow:
        router = RouterRunnable(tiers(), shadow=shadow)
        answer = router.invoke("question", step("read_form", callbacks=[heard]))
    assert isinstance(answer, AIMessage)
    assert heard.roles == ["answer", "shadow"]
    assert heard.starts[1]["agentcost_purpose"] == "evaluation"
    assert "nostream" in heard.tags[1]
    assert len(shadow.examples) == 1
    assert isinstance(shadow.examples[0].request, RouteRequest)


def test_examples_have_the_routers_prices() -> None:
    """What each tier's answer cost stands beside how good it was, so that a calibration can say what is saved."""
    with Shadow(share=1.0) as shadow:
        RouterRunnable(tiers(), shadow=shadow).invoke("question", step("read_form"))
    [example] = shadow.examples
    assert 0 < example.nano["small"] < example.nano["frontier"]


async def test_shadows_in_async_code() -> None:
    """The same in async code, without waiting for them."""
    shadow = Shadow(share=1.0)
    router = RouterRunnable(tiers(), shadow=shadow)
    await router.ainvoke("question", step("read_form"))
    chunks = [chunk async for chunk in router.astream("question", step("read_form"))]
    await shadow.aflush()
    assert chunks
    assert len(shadow.examples) == 2
    shadow.close()
