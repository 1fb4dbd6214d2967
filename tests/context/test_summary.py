from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from langchain_agentcost.context.summary import MAX_NAME_CHARS, Artifact, Summary, parse
from langchain_agentcost.tokens import count_text, estimate_text

WORDS = st.sampled_from(
    [
        "ship",
        "A-17",
        "bay",
        "7",
        "größe",
        "荷物",
        "x:",
        "*",
        "-",
        "Intent",
        "</conversation_summary>",
        "…",
        "\n",
        "a: b",
    ]
)
TEXTS = st.lists(WORDS, max_size=9).map(" ".join) | st.text(max_size=40)
LISTS = st.lists(TEXTS, max_size=6).map(tuple)
ARTIFACTS = st.lists(st.builds(Artifact, TEXTS, TEXTS), max_size=6).map(tuple)
SUMMARIES = st.builds(
    Summary, intent=TEXTS, decisions=LISTS, artifacts=ARTIFACTS, next_steps=LISTS, literals=LISTS, closed=LISTS
)
CAPS = st.sampled_from([60, 80, 120, 250, 1_000])


def said(summary: Summary) -> set[str]:
    """All that a summary says, artifacts by name."""
    return {
        *summary.decisions,
        *summary.next_steps,
        *summary.literals,
        *(one.name for one in summary.artifacts),
    }


@settings(deadline=None)
@given(SUMMARIES, SUMMARIES, CAPS)
def test_merging_twice_is_merging_once(old: Summary, new: Summary, cap: int) -> None:
    """A second merge of the same, or of the result with itself, changes nothing."""
    noted = tuple(one for one in new.artifacts if one.note)  # a note that is taken over may be too long to keep
    new = replace(new, artifacts=noted)
    once = old.merge(new, max_tokens=cap)
    assert once.merge(new, max_tokens=cap) == once
    assert once.merge(once, max_tokens=cap) == once
    assert once.merge(Summary(), max_tokens=cap) == once


@settings(deadline=None)
@given(SUMMARIES, SUMMARIES, CAPS, st.sampled_from([count_text, estimate_text]))
def test_the_cap_holds(old: Summary, new: Summary, cap: int, count: Callable[[str], int]) -> None:
    """The rendered text of a merged summary has no more tokens than it may have, counted or estimated."""
    assert count(old.merge(new, max_tokens=cap, count=count).render()) <= cap


@pytest.mark.parametrize("count", [count_text, estimate_text])
def test_the_cap_holds_for_many_ids(count: Callable[[str], int]) -> None:
    """Hundreds of literals on one line have no more tokens than there is room for, and use most of it."""
    many = tuple(f"order-{number * 7919:x}/Bay{number}" for number in range(600))
    size = count(Summary(literals=many).capped(1_000, count=count).render())
    assert 900 < size <= 1_000


@settings(deadline=None)
@given(SUMMARIES, SUMMARIES)
def test_nothing_is_invented_and_nothing_lost(old: Summary, new: Summary) -> None:
    """A merge without a cap says what the two say, but for what is closed, and no more."""
    merged = old.merge(new, max_tokens=100_000)
    assert said(merged) <= said(old) | said(new)
    assert said(new) <= said(merged)
    assert {one.name for one in old.artifacts} | set(old.literals) <= said(merged)
    if not new.closed:
        lower = {one.casefold().rstrip(".!;,: ") for one in said(merged)}
        assert {one.casefold().rstrip(".!;,: ") for one in old.decisions} <= lower


@settings(deadline=None)
@given(SUMMARIES)
def test_it_is_read_back_as_it_was_written(summary: Summary) -> None:
    """Text and JSON hold all of a summary, whatever its entries look like."""
    plain = Summary(**{name: getattr(summary, name) for name in Summary.__slots__ if name != "closed"})
    assert Summary.from_dict(json.loads(json.dumps(plain.as_dict()))) == plain
    if plain:
        found = parse(f"Some words.\n\n{plain.render()}\n\nMore words.")
        assert found is not None
        assert found.render() == plain.render()
        assert set(found.literals) == set(plain.literals)
    else:
        assert plain.render() == ""


def test_what_is_superseded_goes_and_the_rest_stays() -> None:
    """A closed decision goes, whatever its case; the others stay before what is new."""
    old = Summary(intent="Return it.", decisions=("Ship by rail.", "Pay by card."), next_steps=("Call Ada",))
    new = Summary(decisions=("Ship by road.",), closed=("ship by rail", "Call Ada."))
    merged = old.merge(new)
    assert merged.decisions == ("Pay by card.", "Ship by road.")
    assert merged.next_steps == ()
    assert merged.intent == "Return it."


def test_an_artifact_is_one_by_its_name() -> None:
    """A new note takes the place of the old one, and no note leaves it."""
    old = Summary(artifacts=(Artifact("a.py", "read"), Artifact("b.py", "read")))
    merged = old.merge(Summary(artifacts=(Artifact("a.py", "fixed"), Artifact("b.py"))))
    assert merged.artifacts == (Artifact("a.py", "fixed"), Artifact("b.py", "read"))


def test_the_oldest_of_the_long_section_goes_first() -> None:
    """A section that is too long loses its oldest entries, and takes nothing from the others."""
    many = tuple(f"Decision number {number} was taken." for number in range(200))
    capped = Summary(intent="Count.", decisions=many, next_steps=("Stop.",)).capped(400)
    assert capped.decisions == many[-len(capped.decisions) :]
    assert 5 < len(capped.decisions) < 50
    assert (capped.intent, capped.next_steps) == ("Count.", ("Stop.",))


def test_no_name_is_cut() -> None:
    """A literal or a name that is too long is left out, as half of it would be another one."""
    long = "x" * (MAX_NAME_CHARS + 1)
    summary = Summary(literals=(long, "A-17"), artifacts=(Artifact(long), Artifact("b.py")))
    assert summary.literals == ("A-17",)
    assert summary.artifacts == (Artifact("b.py"),)


def test_what_was_cut_off_is_still_read() -> None:
    """Without its end mark, a summary is read to the end of the text."""
    found = parse(Summary(intent="Go.", decisions=("One.", "Two.")).render().rpartition("\n")[0])
    assert found is not None
    assert found.decisions == ("One.", "Two.")


@pytest.mark.parametrize("given_", [{}, {"intent": None, "decisions": "no", "artifacts": [1, ["a"]], "literals": {}}])
def test_a_damaged_summary_is_an_empty_one(given_: dict[str, object]) -> None:
    """What has another form is left out, and nothing is raised."""
    assert not Summary.from_dict(given_)


def test_a_text_without_one_has_none() -> None:
    """A text is no summary because it says so."""
    assert parse("A <conversation_summary> of sorts") is None
