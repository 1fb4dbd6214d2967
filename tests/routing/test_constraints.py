from typing import Any

import pytest
from langchain_core.messages import HumanMessage

from langchain_agentcost.errors import RoutingError
from langchain_agentcost.routing.constraints import beyond_budget, refusal, too_dear, unfit
from langchain_agentcost.routing.policy import Offer
from langchain_agentcost.routing.request import RouteRequest
from langchain_agentcost.routing.tier import Tier
from langchain_agentcost.testing import FakeMeteredChatModel

MODEL = FakeMeteredChatModel()
SMALL = Tier("small", MODEL, max_input_tokens=1_000, abilities=frozenset())
STRONG = Tier("frontier", MODEL, max_input_tokens=100_000, abilities=frozenset({"tools", "images"}))
TIERS = (SMALL, STRONG)


def asked(**facts: Any) -> RouteRequest:
    """A call."""
    return RouteRequest.of("…", **facts)


@pytest.mark.parametrize(
    ("request_", "why"),
    [
        (asked(prompt_tokens=1_001), "1,001 tokens"),
        (asked(tools=("search",)), "call tools"),
        (asked(schema="Invoice"), "structured output"),
        (asked(images=True), "see images"),
        (asked(configurable={"router_tier": "frontier"}), "frontier is pinned"),
    ],
)
def test_what_a_tier_cannot_do_drops_it(request_: RouteRequest, why: str) -> None:
    """Each hard constraint names its reason, and the other tier stays."""
    dropped = unfit(request_, TIERS)
    assert list(dropped) == ["small"]
    assert why in dropped["small"]


def test_a_prompt_of_just_the_window_fits() -> None:
    """The longest prompt that a tier takes is no longer than it takes."""
    assert unfit(asked(prompt_tokens=1_000), TIERS) == {}


def test_a_tier_that_is_not_there_cannot_be_pinned() -> None:
    """A misspelt pin is an error that names the tiers, never another tier."""
    with pytest.raises(RoutingError, match="'big', and the tiers are small, frontier"):
        unfit(asked(configurable={"router_tier": "big"}), TIERS)


def offers(small: int | None, strong: int | None) -> list[Offer]:
    """Both tiers at these prices."""
    return [Offer(tier=SMALL, expected_nano=small), Offer(tier=STRONG, expected_nano=strong)]


def test_a_call_may_cost_no_more_than_it_is_said() -> None:
    """`router_max_cost` drops what is expected to cost more, and what has no price."""
    most = {"router_max_cost": "0.001"}
    assert list(too_dear(asked(configurable=most), offers(1_000_000, 1_000_001))) == ["frontier"]
    assert "price is not known" in too_dear(asked(configurable=most), offers(None, 1))["small"]
    assert too_dear(asked(), offers(1, 10**12)) == {}


@pytest.mark.parametrize("amount", ["much", "-1", "nan", "inf", [1]])
def test_an_amount_that_is_none_is_refused(amount: object) -> None:
    """What is no amount of USD is an error that says what one is."""
    with pytest.raises(RoutingError, match="amount of USD"):
        too_dear(asked(configurable={"router_max_cost": amount}), offers(1, 2))


def test_what_a_budget_has_no_room_for_is_dropped() -> None:
    """A dear tier falls out while a cheap one still fits."""
    assert list(beyond_budget(asked(left_nano=500), offers(100, 501))) == ["frontier"]


def test_where_nothing_fits_the_budget_decides() -> None:
    """The meter's own action stops the call: a router that raised would come before it."""
    assert beyond_budget(asked(left_nano=50), offers(100, 501)) == {}


def test_a_refusal_says_why_each_tier_fell_out() -> None:
    """An empty set of tiers is an error with every reason."""
    said = str(refusal(unfit(asked(prompt_tokens=200_000, images=True), TIERS)))
    assert "small: the prompt has about 200,000 tokens" in said
    assert "frontier: the prompt has about 200,000 tokens" in said


class _Careful:
    def dropped(self, request: RouteRequest, tier: str, strongest: str) -> str | None:
        return "it is too weak to cancel" if tier != strongest and request.forced_tool == "cancel" else None


def test_a_gate_drops_weak_tiers() -> None:
    """A tool that can do harm and has to be called is for the strongest tier."""
    strong_tools = Tier("small", MODEL), Tier("frontier", MODEL)
    assert unfit(asked(tools=("cancel",), forced_tool="cancel"), strong_tools, _Careful()) == {
        "small": "it is too weak to cancel"
    }


def test_images_are_seen_in_messages() -> None:
    """A profile that says no to images keeps a tier out of calls with one."""
    picture = HumanMessage([{"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}}])
    assert unfit(RouteRequest.of([picture], images=True), TIERS)
