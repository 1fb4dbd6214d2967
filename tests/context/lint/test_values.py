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
        ("Generated at 1764500000.", "Generated at {current_time}."),
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
    ],
)
def test_what_belongs_to_a_rule_stays(text: str) -> None:
    """Dates of a rule, examples and code stay where they are."""
    assert templated(text).text == text


def test_what_may_be_a_constant_is_told() -> None:
    """An id of which nothing says whether it changes stays, and is told with its line."""
    made = templated("Be kind.\nThe shop is 550e8400-e29b-41d4-a716-446655440000.")
    assert not made.values
    [left] = made.left
    assert (left.kind, left.line, left.why) == ("UUID", 2, "nothing says whether it changes from call to call")


def test_what_is_known_to_vary_is_moved() -> None:
    """A value that recorded prompts differ by needs no word beside it."""
    assert templated("You help Ana.", varying=["Ana"]).text == "You help {current_value}."


def test_a_name_in_use_is_not_taken() -> None:
    """A text that has the name already gets another one; the same value has one name."""
    made = templated("Put {current_date} here. Today is 2026-11-30, now is 2026-11-30, tomorrow is not now 2026-12-01.")
    assert [value.name for value in made.values] == ["current_date_2", "current_date_3"]
    assert made.text.count("{current_date_2}") == 2
