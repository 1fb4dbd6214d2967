from __future__ import annotations

import gc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_openai import ChatOpenAI
from pydantic import BaseModel, SecretStr

from langchain_agentcost.meter.prompt_count import MAX_PROMPTS, PromptCounts
from langchain_agentcost.tokens import TokenCounter, estimate_text
from langchain_agentcost.usage import Usage
from tests.meter.announced import announced, said


class Counting(TokenCounter):
    """A counter that is asked, and says how often."""

    asked = 0

    def count_text(self, text: str, *, model: str | None = None) -> int:
        """Count, and note that."""
        self.asked += 1
        return super().count_text(text, model=model)


def test_a_history_is_not_counted_again() -> None:
    """A conversation that goes on costs the count of its new messages, however long it is."""
    counter = Counting()
    counts = PromptCounts(counter)
    history = said(50)
    counts.at_most(history, model="gpt-4o-mini")
    before = counter.asked
    history = [*history, AIMessage("Packed."), HumanMessage("And order 43?")]
    counts.at_most(history, model="gpt-4o-mini")
    assert counter.asked - before == 2


def test_a_grown_prompt_is_bounded_as_a_new_one_is() -> None:
    """What is taken over is the same number as what would be counted."""
    grown = PromptCounts(TokenCounter())
    history = said(20)
    for end in range(1, len(history) + 1):
        fresh = PromptCounts(TokenCounter()).at_most(history[:end], model="gpt-4o-mini")
        assert grown.at_most(history[:end], model="gpt-4o-mini") == fresh


def test_a_changed_middle_is_counted_again() -> None:
    """Only what is the very same message is taken over: an equal end behind a changed middle is not."""
    counts = PromptCounts(TokenCounter())
    history = said(10)
    counts.at_most(history, model="m")
    changed = [*history[:7], ToolMessage("x y " * 5_000, tool_call_id="c2"), *history[8:]]
    assert counts.at_most(changed, model="m") == PromptCounts(TokenCounter()).at_most(changed, model="m")


def test_a_system_message_may_be_made_anew() -> None:
    """Agents that write the date into it keep what was counted of the rest, and the new text counts."""
    counter = Counting()
    counts = PromptCounts(counter)
    history = said(30)
    counts.at_most(history, model="gpt-4o-mini")
    counts.answered(history, Usage(input_tokens=5_000, output_tokens=10), model="gpt-4o-mini")
    before = counter.asked
    longer = SystemMessage("You answer. " + "Be kind. " * 100)
    tokens, _ = counts.at_most([longer, *history[1:]], model="gpt-4o-mini")
    assert counter.asked - before == 1
    assert 5_300 < tokens < 5_500


def test_the_providers_own_count_is_taken() -> None:
    """After an answer, the prompt so far has what the provider counted; the rest is counted from above."""
    counts = PromptCounts(TokenCounter())
    history = said(10)
    first, _ = counts.at_most(history, model="m")
    counts.answered(history, Usage(input_tokens=first // 2, output_tokens=40), model="m")
    assert first // 2 < counts.at_most(history, model="m")[0] < first // 2 + 200
    after = [*history, AIMessage("It was packed."), HumanMessage("Thanks.")]
    assert first // 2 + 40 < counts.at_most(after, model="m")[0] < first // 2 + 300
    assert counts.at_most(after, model="another")[0] > first


def test_an_answer_counts_as_the_provider_counted_it() -> None:
    """Hidden reasoning may be sent again: an answer has at least the tokens that it was made with."""
    counts = PromptCounts(TokenCounter())
    history = said(0)
    counts.at_most(history, model="m")
    counts.answered(history, Usage(input_tokens=50, output_tokens=9_000), model="m")
    assert counts.at_most([*history, AIMessage("Yes."), HumanMessage("Sure?")], model="m")[0] > 9_050
    assert counts.at_most([*history, HumanMessage("Hello?")], model="m")[0] < 400


def test_an_earlier_count_holds_while_later_calls_have_none() -> None:
    """A call that fails does not lose what is known of the conversation's beginning."""
    counts = PromptCounts(TokenCounter())
    history = said(20)
    full, _ = counts.at_most(history[:20], model="m")
    counts.answered(history[:20], Usage(input_tokens=full // 3, output_tokens=10), model="m")
    counts.at_most(history[:30], model="m")
    assert counts.at_most(history[:30], model="m")[0] < full
    cut = [*history[:10], HumanMessage("Start over.")]
    assert counts.at_most(cut, model="m") == PromptCounts(TokenCounter()).at_most(cut, model="m")


@pytest.mark.parametrize(
    "usage",
    [
        Usage(input_tokens=3, output_tokens=40),
        Usage(input_tokens=900, output_tokens=40, estimated=True),
        Usage(input_tokens=900, output_tokens=40, anomalies=("odd",)),
    ],
)
def test_a_count_that_cannot_be_of_the_prompt_is_not_taken(usage: Usage) -> None:
    """A server that leaves out what it had in its cache, an estimate, or a report with faults teaches nothing."""
    counts = PromptCounts(TokenCounter())
    history = said(10)
    first = counts.at_most(history, model="m")
    counts.answered(history, usage, model="m")
    assert counts.at_most(history, model="m") == first


def test_branches_of_a_conversation_do_not_mix() -> None:
    """Calls side by side that share their beginning are each bounded by their own messages."""
    counts = PromptCounts(TokenCounter())
    history = said(3)
    short, long = [*history, HumanMessage("One.")], [*history, HumanMessage("word " * 400)]
    for branch in (short, long, short, long):
        assert counts.at_most(branch, model="m") == PromptCounts(TokenCounter()).at_most(branch, model="m")
    counts.answered(short, Usage(input_tokens=450, output_tokens=5), model="m")
    assert counts.at_most(long, model="m") == PromptCounts(TokenCounter()).at_most(long, model="m")


def test_nothing_of_a_conversation_outlives_it() -> None:
    """When its messages are gone, so is all that was remembered of them."""
    counts = PromptCounts(TokenCounter())
    history = said(3)
    counts.at_most(history, model="m")
    counts.answered(history, Usage(input_tokens=300), model="m")
    assert len(counts._recent) == 1
    del history
    gc.collect()
    assert len(counts._recent) == 0


def test_the_number_of_conversations_is_bounded() -> None:
    """Ten thousand at once leave the latest, and the forgotten ones are counted anew."""
    counts = PromptCounts(TokenCounter())
    conversations = [[HumanMessage(f"Question {number}.")] for number in range(3 * MAX_PROMPTS)]
    bounds = [counts.at_most(conversation, model="m") for conversation in conversations]
    assert len(counts._recent) == MAX_PROMPTS
    assert [counts.at_most(conversation, model="m") for conversation in conversations] == bounds


@given(
    st.lists(
        st.sampled_from(["acgt" * 2_000, "qvzkxjwp" * 900, "word " * 999, '{"a": [1, 2]} ' * 200, "Привет " * 99, "x"]),
        max_size=4,
    )
)
def test_a_text_has_no_more_tokens_than_is_said(texts: list[str]) -> None:
    """Against OpenAI's tokenizer, also where a text has no blank for thousands of letters."""
    counter = TokenCounter()
    prompt: list[BaseMessage] = [HumanMessage(text) for text in texts]
    for model in ("gpt-4o-mini", "claude-haiku-4-5"):
        assert PromptCounts(counter).at_most(prompt, model=model)[0] > counter.count_messages(prompt)


def test_a_long_text_is_not_tokenized() -> None:
    """A call never waits for a tokenizer to read a whole file: it is estimated, with more to spare."""
    counter = Counting()
    text = "Nothing new was found. " * 2_000
    tokens, _ = PromptCounts(counter).at_most([HumanMessage(text)], model="gpt-4o-mini")
    assert counter.asked == 0
    assert 1.4 * estimate_text(text) < tokens < 1.7 * estimate_text(text)


def test_schemas_are_part_of_the_prompt() -> None:
    """Tools, and the form that an answer must have, as a class or as a mapping."""

    class Verdict(BaseModel):
        """What was decided, and why it was decided so, in a sentence or two."""

        approved: bool
        reason: str

    counts = PromptCounts(TokenCounter())
    bare, _ = counts.at_most("Hi", model="gpt-4o-mini")
    openai: Any = ChatOpenAI(model="gpt-4o-mini", api_key=SecretStr("none"))
    sent, _ = announced(openai.with_structured_output(Verdict).steps[0])
    assert counts.at_most("Hi", model="gpt-4o-mini", sent=sent)[0] > bare + 40
    named = {"output_config": {"format": {"type": "json_schema", "schema": Verdict.model_json_schema()}}}
    assert counts.at_most("Hi", model="claude-haiku-4-5", sent=named)[0] > bare + 40
    assert counts.at_most("Hi", model="gpt-4o-mini", schema_tokens=100)[0] == bare + 105
    assert counts.at_most("Hi", model="claude-haiku-4-5", schema_tokens=100)[0] > bare + 600
