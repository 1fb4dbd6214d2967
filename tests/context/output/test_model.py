"""A chat model under output controls."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, HumanMessage, SystemMessage
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import tool

from langchain_agentcost.context.output.controls import OutputControls
from langchain_agentcost.context.output.form import answer_form
from langchain_agentcost.context.output.model import model_with_controls
from langchain_agentcost.meter import CostMeter
from langchain_agentcost.testing import FakeMeteredChatModel
from tests.context.output.talker import LengthFinishReasonError, Talker

LONG = "The parcel left Lyon on Monday and is due on Thursday."
FIVE = OutputControls(max_tokens=5)


@tool
def cancel(order: str) -> str:
    """Cancel an order."""
    return f"{order} is cancelled."


def test_a_cut_answer_is_asked_for_again_without_the_cap() -> None:
    """The whole answer comes back, after two calls."""
    model = Talker(text=LONG)
    assert model_with_controls(model, FIVE).invoke("Where is it?").text.strip() == LONG
    assert model.sent == [{"max_tokens": 5}, {}]


async def test_a_cut_answer_is_asked_for_again_in_async_code() -> None:
    """The same, awaited."""
    model = Talker(text=LONG)
    answer = await model_with_controls(model, FIVE).ainvoke("Where is it?")
    assert answer.text.strip() == LONG
    assert len(model.sent) == 2


def test_an_answer_within_the_cap_is_asked_for_once() -> None:
    """A cap that cuts nothing costs nothing."""
    model = Talker(text="It is here.")
    assert model_with_controls(model, FIVE).invoke("Where is it?").text.strip() == "It is here."
    assert len(model.sent) == 1


def test_without_a_retry_the_cut_answer_is_given() -> None:
    """Whoever wants it so gets what there is."""
    model = Talker(text=LONG)
    controls = OutputControls(max_tokens=5, retry_cut=False)
    assert model_with_controls(model, controls).invoke("Where is it?").text.strip() == "The parcel left Lyon on"
    assert len(model.sent) == 1


def test_it_is_asked_again_only_once() -> None:
    """A model whose own cap cuts the second answer too has the last word."""
    model = Talker(text=LONG, max_tokens=7)
    assert len(model_with_controls(model, FIVE).invoke("Where is it?").text.split()) == 7
    assert len(model.sent) == 2


def test_a_lower_cap_of_the_model_is_not_asked_around() -> None:
    """Where the model's own cap is the lower one, asking again would only cut again."""
    model = Talker(text=LONG, max_tokens=3)
    model_with_controls(model, FIVE).invoke("Where is it?")
    assert model.sent == [{}]


def test_a_client_that_raises_at_a_cut_is_asked_again() -> None:
    """OpenAI's client gives no answer that can be looked at where it parses."""
    model = Talker(text="one two three four", raises=True)
    answer = model_with_controls(model, OutputControls(max_tokens=2)).invoke("Count.")
    assert answer.text.strip() == "one two three four"
    with pytest.raises(LengthFinishReasonError):
        model_with_controls(model, OutputControls(max_tokens=2, retry_cut=False)).invoke("Count.")


async def test_other_errors_are_the_callers() -> None:
    """Nothing else is tried again here."""
    for failing in (TimeoutError(), RuntimeError("no")):
        model = FakeMeteredChatModel(failures={1: failing, 2: failing})
        with pytest.raises(type(failing)):
            model_with_controls(model, FIVE).invoke("Hi")
        with pytest.raises(type(failing)):
            await model_with_controls(model, FIVE).ainvoke("Hi")
        assert len(model.prompts) == 2


def test_tool_calls_that_were_cut_never_come_out() -> None:
    """Half an argument reads as a whole one; the same call uncut comes out as it is."""
    model = Talker(text="I cancel it.", order="A-17")
    half = OutputControls(max_tokens=16, retry_cut=False)
    plain = model.bind(max_tokens=16).invoke("Cancel A-17.")
    assert plain.tool_calls
    assert plain.tool_calls[0]["args"] != {"order": "A-17"}
    assert not model_with_controls(model, half).invoke("Cancel A-17.").tool_calls
    [call] = model_with_controls(model, OutputControls(max_tokens=16)).invoke("Cancel A-17.").tool_calls
    assert call["args"] == {"order": "A-17"}


def test_a_cut_by_the_models_own_cap_is_guarded_too() -> None:
    """Tool calls of an answer that ended in its middle do not run, whoever cut it."""
    answer = model_with_controls(Talker(order="A-17", max_tokens=14), OutputControls()).invoke("Cancel A-17.")
    assert not answer.tool_calls
    assert "cut" in answer.text


def _streamed(model: Talker, controls: OutputControls) -> tuple[list[str], BaseMessage]:
    chunks = [*model_with_controls(model, controls).stream("Cancel A-17.")]
    assert all(isinstance(chunk, AIMessageChunk) for chunk in chunks)
    whole: Any = sum(chunks[1:], start=chunks[0])
    return [chunk.text for chunk in chunks], whole


def test_text_is_streamed_as_it_comes() -> None:
    """Word by word, and a cut stream is not begun anew."""
    model = Talker(text=LONG)
    texts, whole = _streamed(model, FIVE)
    assert texts[:3] == ["The ", "parcel ", "left "]
    assert whole.response_metadata["finish_reason"] == "length"
    assert len(model.sent) == 1


def test_a_streamed_tool_call_comes_whole_or_not_at_all() -> None:
    """What is held back is let go at the end, or is left out with the reason."""
    _, whole = _streamed(Talker(text="I cancel it.", order="A-17"), OutputControls(max_tokens=100))
    assert isinstance(whole, AIMessageChunk)
    assert [call["args"] for call in whole.tool_calls] == [{"order": "A-17"}]
    texts, cut = _streamed(Talker(text="I cancel it.", order="A-17"), OutputControls(max_tokens=16))
    assert isinstance(cut, AIMessageChunk)
    assert texts[:3] == ["I ", "cancel ", "it. "]
    assert not cut.tool_calls
    assert not cut.tool_call_chunks
    assert cut.usage_metadata is not None
    assert cut.response_metadata["finish_reason"] == "length"


async def test_async_streams_are_the_same() -> None:
    """The same chunks, awaited."""
    model = Talker(text="I cancel it.", order="A-17")
    controls = model_with_controls(model, OutputControls(max_tokens=16))
    awaited = [chunk.text async for chunk in controls.astream("Cancel A-17.")]
    assert awaited == [chunk.text for chunk in controls.stream("Cancel A-17.")]


async def test_a_batch_is_controlled_one_by_one() -> None:
    """Each answer of a batch is looked at by itself."""
    model = Talker(text=LONG)
    controlled = model_with_controls(model, FIVE)
    assert {answer.text.strip() for answer in controlled.batch(["a", "b"])} == {LONG}
    assert {answer.text.strip() for answer in await controlled.abatch(["a", "b"])} == {LONG}
    assert len(model.sent) == 8


def test_what_is_bound_stays_bound() -> None:
    """Tools, stops and the caller's settings go with both calls."""
    model = Talker(text=LONG)
    controlled = model_with_controls(model.bind(temperature=0, stop=["X"]), OutputControls(max_tokens=5, stop=["END"]))
    controlled.bind_tools([cancel]).invoke("Where is it?")
    both = {"temperature": 0, "stop": ["X", "END"], "tools": ["cancel"]}
    assert model.sent == [{**both, "max_tokens": 5}, both]


def test_it_goes_into_chains_as_the_model_does() -> None:
    """Prompts, text and messages are taken, and configuration is passed on."""
    model = Talker(text="Yes.")
    chain = ChatPromptTemplate([("system", "You help."), ("human", "{asked}")]) | model_with_controls(
        model, OutputControls("Be brief.")
    )
    assert chain.invoke({"asked": "Is it here?"}).text.strip() == "Yes."
    model_with_controls(model, OutputControls("Be brief.")).with_retry().invoke("Hi")
    model_with_controls(model, OutputControls("Be brief.")).invoke([("human", "Hi")])
    first, *others = model.prompts
    assert first == [SystemMessage("You help.\n\nBe brief."), HumanMessage("Is it here?")]
    assert others == [[SystemMessage("Be brief."), HumanMessage("Hi")]] * 2


def test_both_calls_are_metered_and_no_run_is_added() -> None:
    """Asking again is the agent's own call: its tokens are in the bill, and nothing hides between."""
    meter = CostMeter()
    model = FakeMeteredChatModel(
        answers=[AIMessage("It is in", response_metadata={"finish_reason": "length"}), "It is in Lyon."]
    )
    config: RunnableConfig = {"callbacks": meter.callbacks, "run_id": UUID(int=7)}
    model_with_controls(model, OutputControls(max_tokens=3)).invoke("Where is it?", config)
    [total] = meter.ledger.totals()
    assert total.llm_calls == 2


def test_a_form_is_filled_in_under_the_same_cap() -> None:
    """Structured output is cut, and asked for again, as any answer."""
    form = answer_form("cancel", {"order": "its number"})
    model = Talker(order="A-17")
    controlled = model_with_controls(model, OutputControls(max_tokens=14))
    assert controlled.with_structured_output(form).invoke("Which?") == {"order": "A-17"}
    assert [sent.get("max_tokens") for sent in model.sent] == [14, None]
    both = controlled.with_structured_output(form, include_raw=True).invoke("Which?")
    assert both["parsed"] == {"order": "A-17"}
    assert len(model.sent) == 4


def test_what_hides_its_model_is_refused() -> None:
    """A chain, a retry or a fallback around the model goes outside of the controls."""
    with pytest.raises(TypeError, match="RunnableRetry"):
        model_with_controls(Talker().with_retry(), FIVE)
