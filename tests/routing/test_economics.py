from langchain_core.messages import AIMessage, HumanMessage, SystemMessage

from langchain_agentcost.pricing import PriceBook
from langchain_agentcost.routing.economics import Economics, marked
from langchain_agentcost.routing.policy import Offer
from langchain_agentcost.routing.request import RouteRequest
from langchain_agentcost.routing.tier import Tier
from langchain_agentcost.testing import FakeMeteredChatModel
from langchain_agentcost.usage import Usage

LONG = SystemMessage("You are a clerk of a shop that sells lamps, and you are patient. " * 400)
"""More than any prompt cache asks for."""


def tier(name: str, model: str) -> Tier:
    """A tier of a fake model that is priced as a real one."""
    card = PriceBook().card(model)
    assert card is not None
    return Tier(name, FakeMeteredChatModel(model=model), price=card)


def asked(*turns: str, thread: str = "t") -> RouteRequest:
    """A call after these turns, a person first."""
    said = [HumanMessage(text) if number % 2 == 0 else AIMessage(text) for number, text in enumerate(turns)]
    return RouteRequest.of([LONG, *said], thread=thread, max_output_tokens=100)


def offered(economics: Economics, request: RouteRequest, tiers: tuple[Tier, ...]) -> dict[str, Offer]:
    """What each tier would cost."""
    return {offer.name: offer for offer in economics.offers(request, economics.prompt(request), tiers)}


TIERS = (tier("small", "gpt-4.1-mini"), tier("frontier", "gpt-4.1"))


def test_a_cold_call_costs_its_plain_price() -> None:
    """Nothing was sent before: every token of the prompt is paid in full."""
    economics, request = Economics(TIERS, PriceBook()), asked("Where is my lamp?")
    tokens = economics.prompt(request).total_tokens
    card = PriceBook().card("gpt-4.1")
    assert card is not None
    priced = card.cost(Usage(tokens, 100))
    assert priced is not None
    offer = offered(economics, request, TIERS)["frontier"]
    assert offer.expected_nano == offer.warm_nano == priced.total_nano


def test_who_is_warm_is_cheaper_than_who_is_not() -> None:
    """After one call to the strong tier its cached prompt is read at a quarter of the price."""
    economics, first = Economics(TIERS, PriceBook()), asked("Where is my lamp?")
    cold = offered(economics, first, TIERS)["frontier"].expected_nano
    economics.answered(first, economics.prompt(first), "frontier", None)
    then = offered(economics, asked("Where is my lamp?", "On its way.", "When?"), TIERS)
    assert cold is not None
    assert then["frontier"].expected_nano is not None
    assert then["frontier"].expected_nano < cold / 2
    assert then["frontier"].last
    assert not then["small"].last


def test_the_baseline_is_warm_where_any_tier_was_asked() -> None:
    """Had all calls gone to the strong tier, it would be warm now, and that is what it is compared with."""
    economics, first = Economics(TIERS, PriceBook()), asked("Where is my lamp?")
    economics.answered(first, economics.prompt(first), "small", None)
    strong = offered(economics, asked("Where is my lamp?", "On its way.", "When?"), TIERS)["frontier"]
    assert strong.expected_nano is not None
    assert strong.warm_nano is not None
    assert strong.warm_nano < strong.expected_nano / 2


def test_a_tier_that_writes_more_costs_more() -> None:
    """The forecast is of the tier's own answers, reasoning included."""
    economics, request = Economics(TIERS, PriceBook()), RouteRequest.of("Plan it.", node="plan")
    before = offered(economics, request, TIERS)["small"].expected_nano
    for number in range(30):
        other = RouteRequest.of(f"Plan {number}.", node="plan")
        economics.answered(other, economics.prompt(other), "small", Usage(10, 5_000, reasoning_tokens=4_900))
    after = offered(economics, request, TIERS)["small"].expected_nano
    assert before is not None
    assert after is not None
    assert after > 5 * before


def test_a_model_without_a_price_has_no_cost() -> None:
    """What is not known is None, never 0."""
    unknown = (Tier("small", FakeMeteredChatModel(model="nobody-knows-1")), TIERS[1])
    offer = offered(Economics(unknown, PriceBook()), asked("Hi"), unknown)["small"]
    assert offer.expected_nano is None
    assert offer.warm_nano is None


def test_what_nobody_marked_is_not_cached() -> None:
    """Claude's cache holds what a request marks: without a mark a warm thread pays in full."""
    tiers = (tier("small", "claude-haiku-4-5"), tier("frontier", "claude-sonnet-4-5"))
    economics, first = Economics(tiers, PriceBook()), asked("Where is my lamp?")
    economics.answered(first, economics.prompt(first), "frontier", None)
    then = asked("Where is my lamp?", "On its way.", "When?")
    plain = offered(economics, then, tiers)["frontier"].expected_nano
    block = {"type": "text", "text": "When?", "cache_control": {"type": "ephemeral"}}
    wanted = RouteRequest.of([*then.messages[:-1], HumanMessage([block])], thread="t", max_output_tokens=100)
    assert marked(wanted)
    assert not marked(then)
    cached = offered(economics, wanted, tiers)["frontier"].expected_nano
    assert plain is not None
    assert cached is not None
    assert cached < plain / 2


def test_counts_are_corrected_by_what_providers_count() -> None:
    """A provider that counts twice as many tokens is twice as dear: learnt from its answers."""
    economics, request = Economics(TIERS, PriceBook()), RouteRequest.of("Where is it? " * 500, max_output_tokens=1)
    before = offered(economics, request, TIERS)["small"].expected_nano
    for number in range(5):
        other = asked(f"Hi {number}", thread=f"t{number}")
        seen = economics.prompt(other)
        economics.answered(other, seen, "small", Usage(2 * seen.total_tokens, 1))
    after = offered(economics, request, TIERS)["small"].expected_nano
    assert before is not None
    assert after is not None
    assert 1.9 < after / before < 2.1


def test_what_another_tier_says_aside_is_a_length_and_no_warmth() -> None:
    """A shadow's answer tells how long its tier answers; the thread does not go on there."""
    economics, request = Economics(TIERS, PriceBook()), RouteRequest.of("Plan it.", node="plan", thread="t")
    seen = economics.prompt(request)
    for _ in range(30):
        economics.answered(request, seen, "small", Usage(10, 20))
        economics.answered(request, seen, "frontier", Usage(10, 2_000), aside=True)
    assert economics.forecast.tokens(request.signature, "frontier") > 1_500
    assert economics.warmth.last(seen) == "small"
    assert economics.warmth.held_tokens(seen, "frontier", ttl_s=300) == 0


def test_a_new_thread_finds_the_system_prompt_warm_in_the_baseline_too() -> None:
    """Had all calls gone to the strong tier, it would hold what all threads begin with."""
    economics, first = Economics(TIERS, PriceBook()), asked("Where is my lamp?", thread="a")
    economics.answered(first, economics.prompt(first), "small", None)
    strong = offered(economics, asked("Cancel my order.", thread="b"), TIERS)["frontier"]
    assert strong.expected_nano is not None
    assert strong.warm_nano is not None
    assert strong.warm_nano < strong.expected_nano / 2


def test_a_models_own_cap_bounds_its_answers() -> None:
    """A model that asks for 64 tokens at most gives no 300."""
    capped = Tier("small", FakeMeteredChatModel(model="gpt-4.1-mini").bind(max_tokens=64))
    free = Tier("small", FakeMeteredChatModel(model="gpt-4.1-mini"))
    costs = [
        offered(Economics((one, TIERS[1]), PriceBook()), RouteRequest.of("Hi"), (one, TIERS[1]))["small"].expected_nano
        for one in (capped, free)
    ]
    assert costs[0] is not None
    assert costs[1] is not None
    assert costs[0] < costs[1] / 3
