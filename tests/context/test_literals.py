import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_agentcost.context.literals import MAX_LITERAL_CHARS, is_literal, literals

LITERAL = (
    "https://example.org/a?b=c&d=1",
    "mia@example.org",
    "/usr/lib/x",
    "~/notes.md",
    "./a/b.c",
    "src/refunds",
    "C:\\Users\\mia",
    "2024",
    "12.50",
    "1,234.56",
    "$3,000",
    "192.168.0.1",
    "2024-05-01",
    "10:30",
    "B7",
    "#W237",
    "ab12cd34",
    "0xff3a",
    "8f14e45f-ceea-467f-a8c6-1d8a0e5b1f1a",
    "order_id",
    "_private",
    "getUser",
    "HashMap",
    "os.path.join",
    "refunds.py",
    ".gitignore",
    "refunds.py:120",
    "größe_x",
    "--dry-run",
    "-v",
    "@mia",
    "JFK",
)
PLAIN = ("Order", "order", "a", "15", "7", "e.g.", "---", "->", "100%", "well-known", "Größe", "3rd", "", "§", "注文")


@pytest.mark.parametrize("word", LITERAL)
def test_what_must_be_copied_to_the_letter_is_a_literal(word: str) -> None:
    """Each form of a name, number or address is one, also in brackets and with a full stop."""
    assert is_literal(word)
    assert literals(f"See ({word}). Then stop.") == (word,)


@pytest.mark.parametrize("word", PLAIN)
def test_a_plain_word_is_no_literal(word: str) -> None:
    """Words of a sentence, short numbers and rules are none."""
    assert not is_literal(word)
    assert literals(f"See {word} now.") == ()


def test_literals_come_once_and_in_the_order_of_the_text() -> None:
    """The first place of each counts."""
    assert literals("B7 then A7, then B7 and C7") == ("B7", "A7", "C7")
    assert literals("B7 then A7, then B7 and C7", 2) == ("B7", "A7")
    assert literals("B7", 0) == ()


def test_an_escape_of_json_parts_words_and_a_backslash_elsewhere_does_not() -> None:
    """A line break in a string of JSON is not part of the name behind it."""
    assert literals('{"text": "done\\nsee bay_4\\tB7"}') == ("bay_4", "B7")
    assert literals("in logs\\new.txt it says") == ("logs\\new.txt",)


def test_a_script_without_blanks_parts_words() -> None:
    """An id between characters of Japanese is found alone."""
    assert literals("注文W12345は発送済み、カードJFKも。") == ("W12345", "JFK")


def test_data_is_no_literal() -> None:
    """A word that is longer than any that a model copies is left out."""
    assert literals("a1" * MAX_LITERAL_CHARS) == ()


def test_two_words_are_no_literal() -> None:
    """The question is about one word."""
    assert not is_literal("B7 A7")


@given(st.text())
def test_a_literal_stands_in_its_text_and_is_a_literal_alone(text: str) -> None:
    """Whatever the text: each stands there to the letter, once, has no blank in it, and nothing is raised."""
    found = literals(text)
    assert len(set(found)) == len(found)
    assert all(word in text and not re.search(r"\s", word) for word in found)


@given(st.text(alphabet='ab1_./:-\\{["@ ,', max_size=80))
def test_odd_words_raise_nothing(text: str) -> None:
    """The same for texts of the characters that the rule looks at."""
    assert all(word in text for word in literals(text))
