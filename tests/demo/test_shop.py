from pathlib import Path

import pytest
from langchain_core.runnables import RunnableConfig

from langchain_agentcost.demo.shop import ShopTools, create_shop, refunded_orders
from langchain_agentcost.demo.tickets import TICKETS

FERN: RunnableConfig = {"configurable": {"tenant": "fernshop"}}
BOLT: RunnableConfig = {"configurable": {"tenant": "boltwerk"}}


def test_a_tool_sees_only_its_own_shop(tools: ShopTools) -> None:
    """An order of one shop does not exist for the other, whichever tool asks."""
    assert "watering can" in tools.look_up_order.invoke({"number": 1001}, FERN)
    assert tools.look_up_order.invoke({"number": 1001}, BOLT) == ""
    assert tools.track_parcel.invoke({"number": 1001}, BOLT) == ""
    assert tools.search_products.invoke({"words": "garden hose"}, BOLT) == ""


def test_a_foreign_order_is_never_refunded(tools: ShopTools, database: Path) -> None:
    """A refund from the wrong shop says nothing and changes nothing."""
    assert tools.refund_order.invoke({"number": 1002}, BOLT) == ""
    assert refunded_orders(database) == frozenset()


@pytest.mark.parametrize(
    ("tenant", "number", "said", "refunded"),
    [
        (FERN, 1002, "refunded 24.50 dollars", {1002}),
        (FERN, 1001, "still on its way", set()),
        (BOLT, 2002, "more than 30 days ago", set()),
        (FERN, 9999, "", set()),
    ],
)
def test_refunds_follow_the_rules(
    tools: ShopTools, database: Path, tenant: RunnableConfig, number: int, said: str, refunded: set[int]
) -> None:
    """Only an order that came at most 30 days ago is refunded, and the answer says why."""
    assert said in tools.refund_order.invoke({"number": number}, tenant)
    assert refunded_orders(database) == refunded


def test_a_second_refund_changes_nothing(tools: ShopTools, database: Path) -> None:
    """An order is refunded once, however often it is asked for."""
    for _ in range(2):
        tools.refund_order.invoke({"number": 1002}, FERN)
    assert refunded_orders(database) == {1002}


def test_words_with_sql_in_them_are_only_words(tools: ShopTools) -> None:
    """A search for SQL finds nothing and breaks nothing."""
    assert tools.search_products.invoke({"words": "'; DROP TABLE products; --"}, FERN) == ""
    assert "32.00 dollars" in tools.search_products.invoke({"words": "a watering can"}, FERN)


def test_the_shop_starts_afresh(tools: ShopTools, database: Path) -> None:
    """Creating the database again forgets the refunds of an earlier demo."""
    tools.refund_order.invoke({"number": 1002}, FERN)
    create_shop(database)
    assert refunded_orders(database) == frozenset()


def test_a_success_is_what_the_rules_say_and_nothing_else() -> None:
    """The right words without the refund, the refund without the words, and no reply at all are failures."""
    ticket = TICKETS[1]
    reply = "We have refunded 24.50 dollars for order 1002."
    assert ticket.is_resolved_by(reply, refunded={1002})
    assert not ticket.is_resolved_by(reply, refunded=())
    assert not ticket.is_resolved_by(reply, refunded={1002, 1004})
    assert not ticket.is_resolved_by("Sorry!", refunded={1002})
    assert not ticket.is_resolved_by("", refunded={1002})
