"""What is done about the length of answers, by itself."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_anthropic import ChatAnthropic
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from langchain_google_genai import ChatGoogleGenerativeAI
from langchain_openai import ChatOpenAI
from pydantic import SecretStr

from langchain_agentcost.context.output.bound import WHOLE
from langchain_agentcost.context.output.capped import capped
from langchain_agentcost.context.output.controls import CONCISE, OutputControls
from langchain_agentcost.context.output.fitted import Cap, Fitted
from langchain_agentcost.context.output.form import answer_form
from tests.context.output.talker import LengthFinishReasonError, Talker

KEY = SecretStr("none")


class Local(Talker):
    """A model that is capped by a field, as Ollama's."""

    num_predict: int | None = None


@pytest.mark.parametrize(
    ("model", "name"),
    [
        (ChatOpenAI(model="gpt-4.1", api_key=KEY), "max_completion_tokens"),
        (ChatGoogleGenerativeAI(model="gemini-2.5-pro", api_key=KEY), "max_output_tokens"),
        (ChatAnthropic(model_name="claude-sonnet-4-5", api_key=KEY, timeout=None, stop=None), "max_tokens"),
        (Talker(), "max_tokens"),
    ],
)
def test_each_client_is_capped_by_its_own_name(model: BaseChatModel, name: str) -> None:
    """The real classes of the providers are given the argument that they heed."""
    shaped = capped(model, {"temperature": 0}, 700)
    assert shaped is not None
    assert shaped[1] == {"temperature": 0, name: 700}


def test_the_cap_reaches_the_request() -> None:
    """What the real clients would send has it."""
    openai = ChatOpenAI(model="gpt-4.1", api_key=KEY, max_tokens=5_000)  # type: ignore[call-arg]
    settings = capped(openai, {}, 700)
    assert settings is not None
    payload = openai._get_request_payload([HumanMessage("Hi")], **settings[1])
    assert payload["max_completion_tokens"] == 700
    anthropic = ChatAnthropic(model_name="claude-sonnet-4-5", api_key=KEY, timeout=None, stop=None)
    settings = capped(anthropic, {}, 700)
    assert settings is not None
    assert anthropic._get_request_payload([HumanMessage("Hi")], **settings[1])["max_tokens"] == 700


def test_a_model_that_is_capped_by_a_field_is_copied() -> None:
    """Ollama's takes no argument; the user's model stays as it was."""
    model = Local()
    shaped = capped(model, {}, 50)
    assert shaped is not None
    assert getattr(shaped[0], "num_predict", None) == 50
    assert model.num_predict is None


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens", "max_output_tokens"])
def test_a_lower_cap_is_never_raised(name: str) -> None:
    """What the user or a budget has set lower stays, wherever it stands."""
    assert capped(Talker(), {name: 100}, 500) is None
    assert capped(Talker(max_tokens=100), {}, 500) is None
    assert capped(Talker(max_tokens=900), {name: 800}, 500) is not None


def test_room_to_think_is_not_taken_away() -> None:
    """Anthropic refuses a cap below what a model may think for."""
    thinks = {"thinking": {"type": "enabled", "budget_tokens": 4_000}}
    assert capped(Talker(), thinks, 4_500) is None
    assert capped(Talker(), thinks, 6_000) is not None


def test_a_cap_inside_another_argument_is_left_to_whoever_set_it() -> None:
    """Which of two caps a provider heeds is not known here."""
    assert capped(Talker(), {"extra_body": {"max_tokens": 9_000}}, 500) is None
    assert capped(Talker(), {"extra_body": {"top_k": 3}}, 500) is not None


def test_a_model_that_is_set_to_think_keeps_its_room() -> None:
    """Also where the model itself, and not the call, says for how long."""
    model = ChatAnthropic(
        model_name="claude-sonnet-4-5",
        api_key=KEY,
        timeout=None,
        stop=None,
        max_tokens_to_sample=20_000,
        thinking={"type": "enabled", "budget_tokens": 4_000},
    )
    assert capped(model, {}, 4_500) is None
    assert capped(model, {}, 6_000) is not None


def test_the_instruction_is_at_the_end_of_the_system_message() -> None:
    """The prefix is the same at every call, and the caller's messages are not changed."""
    controls = OutputControls("Be brief.")
    given = [SystemMessage("You help."), HumanMessage("Hi")]
    prompt = controls.instructed(given)
    assert [message.text for message in prompt] == ["You help.\n\nBe brief.", "Hi"]
    assert given[0].text == "You help."
    assert controls.instructed([HumanMessage("Hi")])[0] == SystemMessage("Be brief.")
    assert controls.instructed([])[0].text == "Be brief."


def test_blocks_of_a_system_message_stay_as_they_are() -> None:
    """A cache mark of the developer's keeps its place: what it covers is still the same."""
    blocks: list[str | dict[Any, Any]] = [{"type": "text", "text": "You help.", "cache_control": {"type": "ephemeral"}}]
    [system] = OutputControls("Be brief.").instructed([SystemMessage(blocks)])
    assert system.content == [*blocks, {"type": "text", "text": "Be brief."}]


def test_without_anything_set_nothing_changes() -> None:
    """The default does nothing at all."""
    controls, model = OutputControls(), Talker()
    assert controls.shaped(model, {"stop": ["X"]}) == (model, {"stop": ["X"]}, None)
    assert controls.instructed([HumanMessage("Hi")]) == [HumanMessage("Hi")]
    assert controls.fidelity == "exact"


def test_stops_are_added_to_those_there_are() -> None:
    """Each once, those of the caller first."""
    shaped = OutputControls(stop=["END", "X"]).shaped(Talker(), {"stop": ["X"]})
    assert shaped.settings["stop"] == ["X", "END"]


def test_a_change_of_wording_is_labelled_as_not_measured() -> None:
    """Only what is cut can be counted on recorded runs; what a model would have said instead cannot."""
    assert "not measured" in OutputControls(CONCISE, max_tokens=10).fidelity
    assert "not measured" in OutputControls(stop=["END"]).fidelity
    assert OutputControls(max_tokens=10).fidelity == "open-loop"


def test_a_fitted_cap_is_looked_up_and_never_raises_a_lower_one() -> None:
    """Where nothing was fitted the controls' own cap stays."""
    caps = Fitted("node", WHOLE, 2.0, (Cap("plan", "m", 400, 0, 50, 40, 80),))
    assert OutputControls().fitted(caps, "plan", "m").max_tokens == 80
    assert OutputControls(max_tokens=30).fitted(caps, "plan", "m").max_tokens == 30
    assert OutputControls(max_tokens=30).fitted(caps, "other", "m").max_tokens == 30
    assert OutputControls().fitted(caps, "other", "m").max_tokens is None


def _cut(tokens: int | None) -> AIMessage:
    counts: Any = tokens and {"input_tokens": 1, "output_tokens": tokens, "total_tokens": tokens + 1}
    return AIMessage("It", response_metadata={"finish_reason": "length"}, usage_metadata=counts)


def test_only_its_own_cap_makes_it_ask_again() -> None:
    """An answer that was cut well before the cap was cut by a lower one, which would cut the next as well."""
    controls = OutputControls(max_tokens=100)
    assert controls.asks_again(100, _cut(100))
    assert controls.asks_again(100, _cut(None))
    assert not controls.asks_again(100, _cut(40))
    assert not controls.asks_again(None, _cut(100))
    assert not controls.asks_again(100, AIMessage("It is in Lyon."))
    assert not OutputControls(max_tokens=100, retry_cut=False).asks_again(100, _cut(100))
    assert controls.asks_again(100, LengthFinishReasonError())
    assert not controls.asks_again(100, TimeoutError())


@pytest.mark.parametrize("bad", [{"max_tokens": 0}, {"stop": "END"}, {"stop": [""]}, {"instruction": " "}])
def test_controls_that_cannot_be_are_refused(bad: dict[str, Any]) -> None:
    """A text in place of a list would stop at each of its letters."""
    with pytest.raises(ValueError, match=r"max_tokens|stop|instruction"):
        OutputControls(**bad)


def test_a_form_needs_fields() -> None:
    """A form that asks for nothing is a mistake."""
    with pytest.raises(ValueError, match="no fields"):
        answer_form("Verdict", {})
