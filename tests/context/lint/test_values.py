"""Values that change, and names in their place."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_agentcost.context.lint.values import templated

_ID = "550e8400-e29b-41d4-a716-446655440000"
_DATES = ["2026-11-30", "2026-11-30T10:15:00Z", "10:15 am", "1764500000", _ID, "ab-12"]
_WORDS = ["Today is ", " at ", ". ", "\n", "Session ID: ", "such as ", "jetzt ", "今日は", "Be kind."]
_MARKS = ["{current_date}", "`", "```", "{", "}"]
PIECES = st.sampled_from(_DATES + _WORDS + _MARKS)


@given(st.lists(PIECES, max_size=25).map("".join))
def test_filled_in_it_is_the_text_again(text: str) -> None:
    """Nothing is lost or changed, whatever stands where."""
    made = templated(text)
    assert made.filled == text
    assert all(f"{{{value.name}}} = {value.text}" in made.note for value in made.values)


@given(st.text(max_size=300), st.lists(st.text(max_size=5), max_size=3))
def test_any_text_can_be_read(text: str, varying: list[str]) -> None:
    """No text makes it fail, also where any piece is said to vary."""
    assert templated(text, varying=varying).filled == text


@pytest.mark.parametrize(
    ("text", "template"),
    [
        ("Today is Monday, November 30, 2026 at 10:15 am.", "Today is {current_date}."),
        ("The current time is 2026-11-30 10:15:00 EST.", "The current time is {current_time} EST."),
        ("Session ID: ab-12\nBe kind.", "Session ID: {session_id}\nBe kind."),
        ("**Request ID** is `r_77`.", "**Request ID** is `r_77`."),
        ("Heute ist der 30.11.2026.", "Heute ist der {current_date}."),
        ("今日は2026-11-30です。", "今日は{current_date}です。"),
        ("The current timestamp is 1764500000.", "The current timestamp is {current_time}."),
        ("**Current date (UTC):** 2026-11-30", "**Current date (UTC):** {current_date}"),
        (f"Session ID: 12345678-{_ID[9:]}.", "Session ID: {session_id}."),
    ],
)
def test_what_is_of_the_moment_is_moved(text: str, template: str) -> None:
    """A value is moved where the text says that it is of the moment, in several languages, but not out of code."""
    assert templated(text).text == template


@pytest.mark.parametrize(
    "text",
    [
        "Orders before 2024-05-01 are final.",
        "Write dates like 2024-05-01.",
        "Say the current time, such as 10:15, when asked.",
        "Answer in 3 sentences, for order 1234567.",
        "The key `2026-11-30` is used now.",
        "Pass session_id: required with every tool call. As of 2024-05-01, refunds take 14 days.",
        "Session ID: the value that track() returned",
        "Session ID: track2(x)",
        "The request id is mandatory",
        "The request id is 12 characters long.",
        "The request id is 10-digit.",
        "This policy was last updated on 2024-01-15 and binds you.",
        "Orders placed before 2024-05-01 are now final",
        "the current price list took effect on 2024-01-01",
        "The store opens at 09:00 now",
        "The session lasts until 2025-03-01 10:00 at most.",
        "The check-in time is now 15:00.",
        "If today is 2026-12-25, wish a merry day.",
        'Answer "today is 2026-12-25" to nobody.',
    ],
)
def test_what_belongs_to_a_rule_stays(text: str) -> None:
    """Constants, dates of a rule, examples and code stay where they are, and nothing is said of them at the end."""
    made = templated(text)
    assert (made.text, made.note) == (text, "")


def test_a_constant_is_never_called_the_current_date() -> None:
    """What only has a label, or is known to vary, is named for nothing that it may not be."""
    made = templated("Date: 2024-05-01\nOffer 2024-06-01 to Ana.", varying=["2024-06-01", "Ana"])
    assert made.text == "Date: {value_1}\nOffer {value_2} to {value_3}."
    assert made.note.splitlines()[0] == "Values in the instructions above:"


def test_what_may_be_a_constant_is_told() -> None:
    """An id of which nothing says whether it changes stays, and is told with its line."""
    made = templated("Be kind.\nThe shop is 550e8400-e29b-41d4-a716-446655440000.")
    assert not made.values
    [left] = made.left
    assert (left.kind, left.line, left.why) == ("UUID", 2, "nothing says whether it changes from call to call")


def test_what_is_known_to_vary_is_moved() -> None:
    """A value that recorded prompts differ by needs no word beside it."""
    assert templated("You help Ana.", varying=["Ana"]).text == "You help {value_1}."


def test_a_name_in_use_is_not_taken() -> None:
    """A text that has the name already gets another one; the same value has one name."""
    made = templated("Put {current_date} here. Today is 2026-11-30. It is now 2026-11-30. Current date: 2026-12-01.")
    assert [value.name for value in made.values] == ["current_date_2", "current_date_3"]
    assert made.text.count("{current_date_2}") == 2
