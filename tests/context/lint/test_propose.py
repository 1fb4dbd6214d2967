"""Proposals: shorter texts, what they save, and when another wording is accepted."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, BaseMessage

from langchain_agentcost.context.lint import accept
from langchain_agentcost.context.lint.finding import Change
from langchain_agentcost.context.lint.instructions import words
from langchain_agentcost.context.lint.proposing import NOT_PROVEN, propose
from langchain_agentcost.context.lint.rewriting import literals, reworded
from langchain_agentcost.context.lint.subject import Subject
from langchain_agentcost.context.lint.tidy import WASTE, tidied
from langchain_agentcost.context.lint.values import templated
from langchain_agentcost.context.output import trial
from langchain_agentcost.testing import FakeMeteredChatModel

SYSTEM = "======\nShop\n======\n\n\n\nToday is 2026-11-30.  \nCall `track_order` at most 3 times for {customer}.\n"
TOOL = {"name": "track", "input_schema": {"type": "object", "properties": {"id": {"title": "Id", "type": "string"}}}}
_PROSE = ["Rules", "", "  ", "- Never ship it before it has been paid.", "Be kind.  Be brief."]
LINES = st.sampled_from([*_PROSE, "======", "```", "| a  | b |", "# A", "***"])


@given(st.lists(LINES, max_size=20).map("\n".join))
def test_tidying_keeps_every_word_in_order(text: str) -> None:
    """Each line's words are there, in order, but for sentences said twice; it is never longer, and done at once."""
    made = tidied(text)
    assert len(made) <= len(text) + 2 * text.count("======")
    assert tidied(made) == made
    left = iter(words(made))
    once = list(dict.fromkeys(words(text)))
    assert set(once) == set(left)


def test_what_is_said_under_another_heading_stays() -> None:
    """A sentence goes where the same heading has it already; under another heading it rules something else."""
    rule = "Ask for the number of the order before anything else."
    assert tidied(f"# Returns\n{rule}\n# Changes\n{rule}") == f"# Returns\n{rule}\n# Changes\n{rule}"
    assert tidied(f"# Returns\n- {rule}\n- Be kind.\n- {rule}\nEnd.") == f"# Returns\n- {rule}\n- Be kind.\nEnd."


def test_a_text_of_megabytes_is_data() -> None:
    """Only the beginning of a text is looked at, so that no prompt takes long; what stands behind stays as it is."""
    text = "Today is 2026-11-30.  \n" * 20_000
    assert tidied(text) == text
    made = templated(text)
    assert made.filled == text
    assert made.text.endswith("Today is 2026-11-30.  \n")


def test_blanks_inside_a_line_are_looked_at_once() -> None:
    """A run of blanks that ends no line stays; the pattern begins at no place inside of it."""
    text = f"x{' ' * 5_000}y{' ' * 5_000}\n{' ' * 5_000}z"
    assert tidied(text) == f"x{' ' * 5_000}y\n{' ' * 5_000}z"
    [blanks] = [waste.pattern for waste in WASTE if waste.name == "blanks at line ends"]
    assert blanks.match(text, 2) is None
    assert blanks.match(text, 5_003) is None


def test_code_stays_as_it_is() -> None:
    """Blanks and rules inside code are part of it."""
    code = "```\n=====\n\n\n\nx  \n```"
    assert tidied(f"A.  \n\n\n{code}") == f"A.\n\n{code}"


def test_what_is_proposed_first_keeps_the_information() -> None:
    """A template without waste and lean tools, each with a diff, tokens and dollars; nothing else is touched."""
    system, tools = propose(Subject(name="shop", system=SYSTEM, tools=(TOOL,), model="gpt-4.1"))
    assert system.after == "# Shop\n\nToday is {current_date}.\nCall `track_order` at most 3 times for {customer}."
    assert "{current_date} = 2026-11-30" in system.notes[0]
    assert "-Today is 2026-11-30." in system.diff
    assert "+Today is {current_date}." in system.diff
    assert (system.change, tools.change) == (Change.SAME, Change.SAME)
    assert "title" not in tools.after
    assert tools.tokens_after < tools.tokens_before
    assert tools.dollars.cached is not None
    assert tools.dollars.uncached is not None
    assert 0 < tools.dollars.cached < tools.dollars.uncached


def test_what_is_said_at_the_end_counts_against_it() -> None:
    """A template that saves nothing else costs its values at the prompt's end, and says so."""
    [made] = propose(Subject(name="shop", system="Today is 2026-11-30.", model="gpt-4.1"))
    assert made.tokens_after > made.tokens_before
    assert made.dollars.cached is not None
    assert made.dollars.cached < 0


def test_nothing_to_shorten_is_nothing_proposed() -> None:
    """A prompt that is as short as it gets has no proposal."""
    assert propose(Subject(name="shop", system="Be kind.", model="gpt-4.1")) == ()


def test_another_wording_is_proposed_and_not_proven() -> None:
    """A model's wording comes last, against the tidied text, labelled; the call is metered as overhead."""
    seen: list[list[BaseMessage]] = []

    def shorter(prompt: list[BaseMessage]) -> str:
        seen.append(prompt)
        return "```\nShop: {current_date}. `track_order` 3 times, {customer}.\n```"

    made = propose(Subject(name="shop", system=SYSTEM, model="gpt-4.1"), rewriter=FakeMeteredChatModel(answers=shorter))
    assert [one.change for one in made] == [Change.SAME, Change.WORDING]
    assert made[1].after == "Shop: {current_date}. `track_order` 3 times, {customer}."
    assert made[1].notes == (NOT_PROVEN,)
    assert "2026-11-30" not in seen[0][-1].text, "the model reads the template"


@pytest.mark.parametrize(
    ("answer", "why"),
    [("Shop.", "literals are missing"), ("", "empty"), (SYSTEM + "`track_order` {current_date}" * 20, "not shorter")],
)
def test_a_wording_that_loses_something_is_refused(answer: str, why: str) -> None:
    """An answer without a literal, or one that is longer, is refused with its reason."""
    made = propose(
        Subject(name="shop", system=SYSTEM, model="gpt-4.1"), rewriter=FakeMeteredChatModel(answers=[answer or " "])
    )
    assert made[-1].before == made[-1].after
    assert why in made[-1].notes[0]


def test_literals_are_what_a_wording_may_not_change() -> None:
    """Numbers, identifiers, variables, tags and quotations are literals; plain words are none."""
    assert literals('Use <policy> and user_id 4.5 for "Ana", IATA {x}') == [
        "<policy>", "user_id", "4.5", '"Ana"', "IATA", "{x}",
    ]  # fmt: skip
    assert reworded("be kind", FakeMeteredChatModel(answers=["kind"])).text == "kind"


def test_another_wording_is_tried_by_the_one_trial() -> None:
    """Lint's accept is the trial of output controls: the same arguments and rules, under both names."""
    assert accept is trial.accept


def test_the_models_messages_are_two() -> None:
    """The request is one system message and the text."""
    sent: list[list[BaseMessage]] = []

    def keep(prompt: list[BaseMessage]) -> AIMessage:
        sent.append(prompt)
        return AIMessage("kind")

    reworded("be kind", FakeMeteredChatModel(answers=keep))
    assert [message.type for message in sent[0]] == ["system", "human"]
