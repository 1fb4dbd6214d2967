import json

from hypothesis import given
from hypothesis import strategies as st

from langchain_agentcost.context.literals import literals
from langchain_agentcost.context.references.stub import stub
from langchain_agentcost.tokens import count_text

LOG = "\n".join(
    f"2024-05-01 10:{n:02} worker {n} took job_{n:03}, and it went well as far as anybody knows" for n in range(99)
)


def test_a_stub_has_the_head_the_count_the_literals_the_end_and_the_note() -> None:
    """Each has its line."""
    made = stub(LOG, note="[the rest: ref]", head_chars=100, literal_chars=60, tail_chars=20, tokens=2_500)
    assert made.splitlines() == [
        "2024-05-01 10:00 worker 0 took job_000, and it went well as far as anybody knows",
        "[… cut: 99 lines, 2,500 tokens in all]",
        "Also in it: 10:01, job_001, 10:02, job_002, 10:03, job_003, 10:04 and 189 more names and numbers",
        "It ends: …far as anybody knows",
        "[the rest: ref]",
    ]


def test_literals_that_fit_all_stay() -> None:
    """An id in the middle of prose can be copied from the stub."""
    text = "Nothing happened on that day. " * 200 + "Then order W2378156 came. " + "It rained a little. " * 200
    assert "W2378156" in stub(text)
    assert "W2378156" not in stub(text, literal_chars=0)


def test_a_short_text_stays() -> None:
    """Where a stub would not be shorter there is none, by characters or by tokens."""
    assert stub("Order 7 is on its way.") == "Order 7 is on its way."
    assert stub("x" * 1000, note="n" * 900) == "x" * 1000
    assert stub(" " * 5_000, head_chars=5, literal_chars=0, tail_chars=0, note="see ref", tokens=3) == " " * 5_000


def test_json_is_outlined() -> None:
    """Keys and lengths stand where the text is cut, and its head has no blanks that say nothing."""
    rows = json.dumps([{"id": n, "title": f"the item with number {n}"} for n in range(400)], indent=4)
    made = stub(rows, note="x")
    assert made.startswith('[{"id":0,"title":"the item with number 0"},')
    assert "[… cut: JSON [400 of {id, title}]," in made


@given(st.text(), st.integers(1, 60), st.integers(0, 300), st.integers(0, 300), st.integers(0, 100))
def test_a_stub_is_deterministic_and_never_longer(text: str, times: int, head: int, also: int, tail: int) -> None:
    """For any text and any lengths: shorter or the text itself, twice the same, and all literals there or counted."""
    text *= times
    made = stub(text, note="note", head_chars=head, literal_chars=also, tail_chars=tail)
    assert made == stub(text, note="note", head_chars=head, literal_chars=also, tail_chars=tail)
    if made == text:
        return
    assert len(made) < len(text)
    assert count_text(made) < count_text(text)
    if also and "more names and numbers" not in made:
        assert all(word in made for word in literals(text, 10_000) if len(word) < also - 2)
