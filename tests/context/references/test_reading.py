import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_agentcost.context.references.reading import LINE_CHARS, Reader, numbered
from langchain_agentcost.tokens import estimate_text

BOOK = "\n".join(
    f"Page {n} says that room {n} is {'blue' if n % 50 else 'painted with marigolds'}." for n in range(1, 201)
)
ORDERS = json.dumps({"orders": [{"id": n, "note": f"order {n}"} for n in range(300)]})


def reader(most: int = 100) -> Reader:
    """A reader of so many words."""
    return Reader(count=lambda text: len(text.split()), most_tokens=most)


def test_a_text_that_fits_is_given_whole() -> None:
    """Without a note."""
    assert reader().read("one\ntwo") == "one\ntwo"
    assert reader().read("") == ""


def test_a_long_text_is_given_from_its_start_and_says_how_to_read_on() -> None:
    """The next call is spelled out, and it begins where this one ends."""
    said = reader().read(BOOK)
    assert said.startswith("Page 1 says")
    end = said.splitlines()[-1]
    assert end == '[lines 1-11 of 200; the next are lines="12-200"]'
    assert reader().read(BOOK, lines="12-200").startswith("Page 12 says")


@pytest.mark.parametrize("lines", ["3-4", " 3-4 ", "3:4", "L3-L4", "3..4", "3 to 4"])
def test_lines_are_taken_as_models_write_them(lines: str) -> None:
    """The first line is 1, both ends are in it."""
    assert reader().read("a\nb\nc\nd\ne", lines=lines) == "c\nd\n[lines 3-4 of 5]"


def test_one_line_the_last_lines_and_the_first_ones() -> None:
    """An open range ends with the text."""
    assert reader().read("a\nb\nc", lines="2").startswith("b\n[lines 2-2")
    assert reader().read("a\nb\nc", lines="2-").startswith("b\nc\n")
    assert reader().read("a\nb\nc", lines="-2").startswith("a\nb\n[")
    assert reader().read("a\nb\nc", lines="2-99").startswith("b\nc\n")
    assert reader().read("a\nb\nc", lines="0-9") == "a\nb\nc"


@pytest.mark.parametrize("lines", ["ten", "5-3", "900", "-", "1-2-3", "9" * 5000])
def test_lines_that_are_not_there_are_told_in_words(lines: str) -> None:
    """Nothing is raised, whatever the model asks for."""
    said = reader().read(BOOK, lines=lines)
    assert "lines is a range" in said or "There are no lines" in said


def test_a_query_gives_the_passages_about_it_with_their_lines() -> None:
    """They stand in the order of the text, and how much there is follows."""
    said = reader(500).read(BOOK, query="Where are marigolds?")
    assert "room 50 is painted" in said
    assert said.startswith("[lines ")
    assert said.endswith("[of 200 lines]")
    assert len(said.split()) <= 500


def test_a_query_that_finds_nothing_says_so() -> None:
    """So that the agent reads by lines."""
    assert "Nothing in its 200 lines" in reader().read(BOOK, query="zebra")


def test_a_path_gives_its_part_of_the_json() -> None:
    """Texts as they are, other values as JSON, one a line; lines and queries are about that part."""
    assert reader().read(ORDERS, jsonpath="$.orders[7]") == '{"id":7,"note":"order 7"}'
    assert reader().read(ORDERS, jsonpath="$.orders[7].note") == "order 7"
    assert reader().read(ORDERS, jsonpath="$.orders[*].id", lines="3") == "2\n[lines 3-3 of 300]"
    assert "order 250" in reader().read(ORDERS, jsonpath="$.orders[*].note", query="250")


def test_a_path_that_leads_nowhere_says_so() -> None:
    """Also where the text is no JSON or the path no path."""
    assert reader().read(ORDERS, jsonpath="$.customers") == "There is nothing at $.customers."
    assert "It is no JSON" in reader().read(BOOK, jsonpath="$.customers")
    assert "use .name" in reader().read(ORDERS, jsonpath="$[?(@.id)]")
    assert reader(10**6).read(ORDERS, jsonpath="$") == reader(10**6).read(ORDERS)


def test_a_line_without_end_is_read_in_pieces() -> None:
    """JSON on one line can be read on, too."""
    line = "x" * (LINE_CHARS * 3 + 1)
    assert len(numbered(line)) == 4
    assert Reader(count=len, most_tokens=LINE_CHARS).read(line).endswith('[lines 1-1 of 4; the next are lines="2-4"]')


@given(st.text(), st.integers(1, 50), st.integers(1, 300))
def test_reading_on_gives_every_line_once(text: str, times: int, most: int) -> None:
    """Whatever the text and the limit: calls that follow the notes see it all, each within the limit or of one line."""
    text *= times
    pieces, seen, at = numbered(text), [], 1
    using = Reader(count=estimate_text, most_tokens=most)
    while at <= len(pieces):
        said = using.read(text, lines=f"{at}-")
        note = f"\n[lines {at}-"
        body, found, rest = said.rpartition(note)
        if not found:
            seen.append(said)
            break
        end = int(rest.split(" ")[0])
        assert end >= at
        seen.append(body)
        assert end == at or estimate_text(body) <= most * 1.3 + 8
        at = end + 1
    assert "\n".join(seen) == "\n".join(pieces)
