from pathlib import Path
from typing import Any

import pytest
from langchain_core.callbacks import UsageMetadataCallbackHandler
from langchain_openai import ChatOpenAI

from langchain_agentcost.demo.desk import figures, held_to_words, support_desk
from langchain_agentcost.demo.shop import ShopTools, refunded_orders
from langchain_agentcost.demo.tickets import TICKETS


def answer(chat: ChatOpenAI, tools: ShopTools, text: str, tenant: str = "fernshop") -> tuple[dict[str, Any], int]:
    """Send a message through the desk; give its last state and the tokens it took."""
    counter = UsageMetadataCallbackHandler()
    state: dict[str, Any] = support_desk(chat, tools).invoke(
        {"text": text}, {"configurable": {"tenant": tenant}, "callbacks": [counter]}
    )
    return state, sum(usage["total_tokens"] for usage in counter.usage_metadata.values())


def test_a_ticket_goes_to_every_worker_it_concerns(chat: ChatOpenAI, tools: ShopTools, database: Path) -> None:
    """A refund and a question about a product are worked on by two subgraphs, whose tools act on the database."""
    ticket = TICKETS[6]
    state, tokens = answer(chat, tools, ticket.text)
    assert state["topics"] == ["refunds", "products"]
    assert {finding["topic"] for finding in state["findings"]} == {"refunds", "products"}
    assert refunded_orders(database) == {1004}
    assert tokens > 500


def test_a_ticket_about_nothing_known_ends_with_a_person(chat: ChatOpenAI, tools: ShopTools) -> None:
    """An order of the other shop is not found: there is no draft, and no reply is made up."""
    state, _ = answer(chat, tools, "Where is my parcel 1001?", tenant="boltwerk")
    assert state["reply"] == ""
    assert not state.get("findings")


def test_useless_answers_never_break_a_run(chat: ChatOpenAI, tools: ShopTools) -> None:
    """Answers cut after three tokens are no JSON at all: rules take over, and a person gets the ticket."""
    cut = chat.model_copy(update={"max_tokens": 3})
    state, _ = answer(cut, tools, "Do you sell a watering can?")
    assert state["topics"] == ["products"]
    assert "32.00 dollars" in state["findings"][0]["facts"]
    assert state["reply"] == ""


@pytest.mark.parametrize("text", ["", "'; DROP TABLE orders; -- Hello?"])
def test_odd_messages_end_in_a_state(chat: ChatOpenAI, tools: ShopTools, text: str) -> None:
    """Whatever a customer writes, the run ends with a reply or with a person."""
    state, _ = answer(chat, tools, text)
    assert isinstance(state["reply"], str)


def test_the_model_chooses_where_the_words_leave_it_open() -> None:
    """The rule overrules a topic that has no word in the message, and stays out of what it cannot tell."""
    assert held_to_words("products", "I want my money back") == ["refunds"]
    assert held_to_words("orders", "Please help me") == ["orders"]
    assert held_to_words(None, "Please help me") == []


def test_figures_tell_invented_numbers() -> None:
    """Order numbers and amounts are found whole, at the end of a sentence too."""
    assert figures("Order 1001 costs 24.50, not 25.") == {"1001", "24.50", "25"}
