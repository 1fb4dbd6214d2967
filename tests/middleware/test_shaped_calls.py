"""Calls are made no larger than there is room for: what each provider is really sent."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import pytest
from langchain.agents.middleware import wrap_model_call
from langchain.agents.structured_output import ToolStrategy
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage
from langchain_core.runnables import RunnableLambda
from langchain_google_genai import ChatGoogleGenerativeAI
from langchain_openai import AzureChatOpenAI
from pydantic import BaseModel

from langchain_agentcost import CostMeter
from langchain_agentcost.errors import BudgetExceeded
from langchain_agentcost.limits.budget import Budget
from tests.canned_provider import (
    CannedProvider,
    Json,
    anthropic_message,
    gemini_content,
    openai_chat,
    openai_response,
)  # fmt: skip
from tests.middleware.desk import (
    COUNTS,
    NO_TOOLS,
    QUESTION,
    WAYS,
    ObedientModel,
    agent_of,
    claude,
    config_of,
    last,
    model_of,
    openai,
    reserved,
    spent,
)

OPENAI_USAGE = {"prompt_tokens": 9, "completion_tokens": 1, "total_tokens": 10}
RESPONSES_USAGE = {
    "input_tokens": 9, "output_tokens": 1, "total_tokens": 10,
    "input_tokens_details": {"cached_tokens": 0}, "output_tokens_details": {"reasoning_tokens": 0},
}  # fmt: skip
ANTHROPIC_USAGE = {"input_tokens": 9, "output_tokens": 1}
GEMINI_USAGE = {"promptTokenCount": 9, "candidatesTokenCount": 1, "totalTokenCount": 10}


def session(**limits: Any) -> CostMeter:
    """A meter that holds a session to a budget."""
    return CostMeter(budgets=[Budget(per="session", **limits)])


def sent_by(model: BaseChatModel, provider: CannedProvider, meter: CostMeter, way: str = "invoke", **more: Any) -> Json:
    """What the provider is sent for the first call of an agent."""
    WAYS[way](agent_of(meter, model, options=NO_TOOLS, **more), config_of(meter))
    return provider.requests[0]


class TestOpenAI:
    """Chat Completions and Responses."""

    @pytest.mark.parametrize("way", WAYS)
    def test_an_answer_is_shortened_to_what_there_is_room_for(self, way: str) -> None:
        """Half a cent has room for some 2,500 tokens of an answer at 2 $ a million, and that is what is asked for."""
        meter = session(usd="0.005")
        with CannedProvider(openai_chat("Hi", usage=OPENAI_USAGE)) as provider:
            sent = sent_by(openai(provider, stream_usage=True), provider, meter, way)
        assert 2_300 < sent["max_completion_tokens"] < 2_500
        assert "max_tokens" not in sent
        assert reserved(meter) == 0

    def test_an_answer_that_has_room_is_asked_for_as_ever(self) -> None:
        """Nothing is sent that would not be sent without the middleware."""
        with CannedProvider(openai_chat("Hi", usage=OPENAI_USAGE)) as provider:
            sent = sent_by(openai(provider), provider, session(usd=5))
        assert not [name for name in sent if name.startswith("max_")]

    @pytest.mark.parametrize(("stated", "expected"), [(300, 300), (9_000, 1_000)])
    def test_a_cap_of_one_s_own_is_only_ever_lowered(self, stated: int, expected: int) -> None:
        """A model that is told to be brief stays brief."""
        with CannedProvider(openai_chat("Hi", usage=OPENAI_USAGE)) as provider:
            sent = sent_by(openai(provider, max_tokens=stated), provider, session(output_tokens=1_000))
        assert sent["max_completion_tokens"] == expected

    def test_the_cap_wins_over_the_model_s_in_the_responses_api(self) -> None:
        """There a max_tokens that is sent with the call would lose against the model's own."""
        with CannedProvider(openai_response("Hi", usage=RESPONSES_USAGE)) as provider:
            model = openai(provider, max_tokens=9_000, use_responses_api=True)
            sent = sent_by(model, provider, session(output_tokens=1_000))
        assert sent["max_output_tokens"] == 1_000

    @pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
    def test_the_cap_wins_over_other_middleware_s(self, name: str) -> None:
        """Whatever the name that another middleware gave it, one cap is sent, the lower one."""

        @wrap_model_call
        def talkative(request: Any, handler: Any) -> Any:
            return handler(request.override(model_settings={name: 9_000}))

        with CannedProvider(openai_chat("Hi", usage=OPENAI_USAGE)) as provider:
            sent = sent_by(openai(provider), provider, session(output_tokens=1_000), before=[talkative])
        assert {key: value for key, value in sent.items() if key.startswith("max_")} == {"max_completion_tokens": 1_000}

    def test_the_cap_reaches_into_what_is_merged_into_the_request(self) -> None:
        """A cap in extra_body wins over all others on the wire, so it is lowered where it stands."""
        with CannedProvider(openai_chat("Hi", usage=OPENAI_USAGE)) as provider:
            model = openai(provider, extra_body={"max_completion_tokens": 9_000, "top_k": 4})
            sent = sent_by(model, provider, session(output_tokens=1_000))
        assert (sent["max_completion_tokens"], sent["top_k"]) == (1_000, 4)

    def test_several_answers_share_what_there_is_room_for(self) -> None:
        """Two answers of 500 tokens are 1,000."""
        with CannedProvider(openai_chat("Hi", usage=OPENAI_USAGE, n=2)) as provider:
            sent = sent_by(openai(provider, n=2), provider, session(output_tokens=1_000))
        assert sent["max_completion_tokens"] == 500

    def test_an_answer_that_was_cut_says_so(self) -> None:
        """The provider's finish_reason reaches the user."""
        body = openai_chat("It is in Ly", usage=OPENAI_USAGE)
        body["choices"][0]["finish_reason"] = "length"
        meter = session(output_tokens=1_000)
        with CannedProvider(body) as provider:
            state = agent_of(meter, openai(provider), options=NO_TOOLS).invoke(QUESTION, config_of(meter))
        assert last(state).response_metadata["finish_reason"] == "length"

    def test_azure_is_sent_one_cap(self) -> None:
        """Azure's class sends max_tokens beside the model's own cap if it is given that."""
        with CannedProvider(openai_chat("Hi", usage=OPENAI_USAGE)) as provider:
            fields: dict[str, Any] = {"api_key": "none", "api_version": "2026-01-01", "max_tokens": 9_000}
            model = AzureChatOpenAI(azure_endpoint=provider.url, azure_deployment="desk", model="gpt-5-mini", **fields)
            sent = sent_by(model, provider, session(output_tokens=1_000))
        assert {key: value for key, value in sent.items() if key.startswith("max_")} == {"max_completion_tokens": 1_000}


class TestOthers:
    """Each provider has its own name for the longest answer."""

    def test_anthropic(self) -> None:
        """It always has a cap: the model's longest answer."""
        with CannedProvider(anthropic_message("Hi", usage=ANTHROPIC_USAGE)) as provider:
            assert sent_by(claude(provider), provider, session(output_tokens=1_000))["max_tokens"] == 1_000

    def test_anthropic_is_not_asked_for_less_than_it_may_think_for(self) -> None:
        """Anthropic refuses a max_tokens below the thinking budget: there is no room for such a call."""
        meter = session(output_tokens=2_200)
        with CannedProvider(anthropic_message("Hi", usage=ANTHROPIC_USAGE)) as provider:
            model = claude(provider, max_tokens=9_000, thinking={"type": "enabled", "budget_tokens": 2_000})
            state = agent_of(meter, model, options=NO_TOOLS).invoke(QUESTION, config_of(meter))
            assert provider.requests == []
            assert last(state).text.startswith("Budget reached")
            shaped = agent_of(meter, model, options=NO_TOOLS, least_output_tokens=100)
            shaped.invoke(QUESTION, config_of(meter))
            assert provider.requests[0]["max_tokens"] == 2_200

    def test_gemini(self) -> None:
        """It takes no notice of any other name."""
        with CannedProvider(gemini_content("Hi", usage=GEMINI_USAGE, model="gemini-2.5-flash")) as provider:
            model = ChatGoogleGenerativeAI(model="gemini-2.5-flash", base_url=provider.url, api_key="none")
            sent = sent_by(model, provider, session(output_tokens=1_000))
        assert sent["generationConfig"]["maxOutputTokens"] == 1_000

    def test_a_model_whose_calls_take_no_cap_gets_it_as_a_field(self) -> None:
        """So it is with Ollama's, whose class has num_predict."""
        seen: list[int | None] = []

        class Local(ObedientModel):
            num_predict: int | None = None

            def _counted(self, messages: Any, answer: AIMessage, kwargs: Mapping[str, Any]) -> Any:
                seen.append(self.num_predict)
                assert "max_tokens" not in kwargs
                return COUNTS

        meter = session(output_tokens=1_000)
        model = Local(model="gpt-5-mini", answers=["Hi"])
        agent_of(meter, model).invoke(QUESTION, config_of(meter))
        assert (seen, model.num_predict) == ([1_000], None)

    def test_a_router_asks_for_itself(self) -> None:
        """What is no chat model does not say what it will ask: its calls are held to their limits by the callback."""
        meter, model = session(steps=1), model_of(["Hi"])
        agent: Any = agent_of(meter, RunnableLambda(model.invoke), options=NO_TOOLS)  # type: ignore[arg-type]
        assert last(agent.invoke(QUESTION, config_of(meter))).text == "Hi"
        assert last(agent.invoke(QUESTION, config_of(meter))).text.startswith("Budget reached: 1 of 1 step")


class TestReserved:
    """What is reserved is what the call may take, once."""

    def test_a_call_is_counted_once(self) -> None:
        """A permit is the call's reservation, not one more: three steps are three calls."""
        meter, model = session(steps=3), model_of()
        agent_of(meter, model).invoke(QUESTION, config_of(meter))
        assert (len(model.prompts), spent(meter), reserved(meter)) == (3, 3, 0)

    def test_the_whole_of_a_small_budget_can_be_used(self) -> None:
        """Calls are shortened until no answer worth having has room, and never cost more than there is."""
        meter, model = session(usd="0.01"), model_of()
        agent_of(meter, model).invoke(QUESTION, config_of(meter))
        assert Decimal("0.009") < spent(meter) <= Decimal("0.01")

    def test_a_call_that_fails_gives_back_what_it_reserved(self) -> None:
        """The error is the model's own."""
        meter = session(usd=1)
        with pytest.raises(ConnectionError):
            agent_of(meter, model_of(failures={1: ConnectionError("no")})).invoke(QUESTION, config_of(meter))
        assert (spent(meter), reserved(meter)) == (0, 0)

    def test_a_call_that_never_starts_gives_back_what_it_reserved(self) -> None:
        """A model that cannot be bound is never asked."""

        class Broken(ObedientModel):
            def bind_tools(self, *args: Any, **kwargs: Any) -> Any:
                raise NotImplementedError

        meter = session(usd=1)
        with pytest.raises(NotImplementedError):
            agent_of(meter, Broken(model="gpt-5-mini")).invoke(QUESTION, config_of(meter))
        assert reserved(meter) == 0

    def test_a_prompt_has_room_for_all_that_is_sent(self) -> None:
        """System message, tools and the form of the answer are in what is reserved."""
        shapes: list[dict[str, Any]] = [
            {"tools": []},
            {"tools": [], "system_prompt": "Be kind. " * 100},
            {},
            {"response_format": Place},
            {"tools": [], "response_format": ToolStrategy(Place)},
        ]
        needed = []
        for options in shapes:
            meter = session(input_tokens=1)
            with pytest.raises(BudgetExceeded) as refused:
                agent_of(meter, options=options, on_limit="raise").invoke(QUESTION, config_of(meter))
            needed.append(refused.value.evidence["input_tokens"])
        plain, system, tools, tools_and_form, form = needed
        assert system - plain > 200
        assert tools_and_form > tools > plain
        assert form > plain


class Place(BaseModel):
    """Where an order is."""

    city: str
