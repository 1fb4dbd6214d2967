from __future__ import annotations

from typing import Any

import pytest
from langchain_anthropic import ChatAnthropic
from langchain_google_genai import ChatGoogleGenerativeAI
from langchain_openai import ChatOpenAI

from langchain_agentcost.meter.max_output import LONGEST_ANSWER_TOKENS, longest_answer
from tests.meter.announced import announced


@pytest.fixture(autouse=True)
def _keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GOOGLE_API_KEY"):
        monkeypatch.setenv(name, "none")


def of_model(model: Any, provider: str, **asked: Any) -> tuple[int, str]:
    """The longest answer of a real provider class's call."""
    sent, metadata = announced(model, **asked)
    tokens, source, _ = longest_answer(metadata["ls_model_name"], provider, sent, metadata)
    return tokens, source


def test_the_cap_of_the_request_counts() -> None:
    """What a provider class sends is what is reserved: its own cap, or one that is bound over it."""
    openai = ChatOpenAI(model="gpt-4o-mini", max_completion_tokens=100)
    assert of_model(openai, "openai")[0] == 100
    assert of_model(openai.bind(max_tokens=7), "openai")[0] == 7
    assert of_model(openai.bind(max_completion_tokens=8), "openai")[0] == 8
    assert of_model(ChatOpenAI(model="gpt-5-mini", model_kwargs={"max_output_tokens": 9}), "openai")[0] == 9
    claude = ChatAnthropic(
        model="claude-haiku-4-5", max_tokens=5_000, thinking={"type": "enabled", "budget_tokens": 4_000}
    )  # type: ignore[call-arg]
    assert of_model(claude, "anthropic") == (5_000, "max_tokens of the request")
    assert of_model(claude.bind(max_tokens=50), "anthropic")[0] == 50


def test_a_cap_that_the_client_does_not_send_does_not_count() -> None:
    """Google's client drops max_tokens that is bound to a call, so its answer is as long as before."""
    google = ChatGoogleGenerativeAI(model="gemini-2.5-flash", max_tokens=77)
    assert of_model(google, "google_genai")[0] == 77
    assert of_model(google.bind(max_tokens=5), "google_genai")[0] == 77
    assert of_model(google.bind(max_output_tokens=5), "google_genai")[0] == 5


def test_of_several_places_the_longest_cap_counts() -> None:
    """Which one wins depends on the client, so the answer may be as long as the longest says."""
    google = ChatGoogleGenerativeAI(model="gemini-2.5-flash", max_tokens=77)
    assert of_model(google.bind(generation_config={"max_output_tokens": 500}), "google_genai")[0] == 500
    assert longest_answer("m", None, {"max_tokens": 10, "extra_body": {"max_tokens": 30}}, {}).tokens == 30
    assert longest_answer("m", "ollama", {"options": {"num_predict": 40}}, {"ls_max_tokens": 20}).tokens == 40


def test_a_cap_that_only_the_metadata_states_counts() -> None:
    """A custom model may announce nothing else."""
    assert longest_answer("m", None, {}, {"ls_max_tokens": 20}) == (20, "ls_max_tokens of the request", 1)


def test_without_a_cap_it_is_what_the_model_can_write() -> None:
    """LangChain's profile of the model counts, also for a snapshot, a fine-tuned one and one with a prefix."""
    expected = (16_384, "GPT-4o mini's profile in LangChain", 1)
    for name in ("gpt-4o-mini", "gpt-4o-mini-2024-07-18", "ft:gpt-4o-mini:acme::1", "openai/gpt-4o-mini"):
        assert longest_answer(name, "openai", {}, {}) == expected, name
    assert of_model(ChatAnthropic(model="claude-haiku-4-5"), "anthropic")[0] == 64_000  # type: ignore[call-arg]


def test_of_a_model_that_nobody_knows_it_is_a_stated_number() -> None:
    """The denial says that the number is an assumption."""
    tokens, source, _ = longest_answer("our-own-thing", "acme", {}, {})
    assert tokens == LONGEST_ANSWER_TOKENS
    assert source.startswith("assumed")


@pytest.mark.parametrize("cap", [10**9, 10**30, -1, 0, True, 5.5, float("nan"), float("inf"), "1000", None, [7], {}])
def test_a_cap_beyond_sense_is_none(cap: object) -> None:
    """Nobody pins a shared budget with a cap that no model reaches, and nonsense is never taken for a short answer."""
    assert longest_answer("gpt-4o-mini", "openai", {"max_tokens": cap}, {"ls_max_tokens": cap}).tokens == 16_384
    assert longest_answer("our-own-thing", None, {"max_tokens": cap}, {}).tokens == LONGEST_ANSWER_TOKENS


def test_a_cap_above_the_models_own_is_the_models_own() -> None:
    """What the model cannot write need not be reserved; of one that nobody knows it may be."""
    assert longest_answer("gpt-4o-mini", "openai", {"max_tokens": 200_000}, {}).tokens == 16_384
    assert longest_answer("our-own-thing", None, {"max_tokens": 200_000}, {}).tokens == 200_000


@pytest.mark.parametrize("name", ["n", "best_of", "candidate_count"])
def test_several_answers_are_all_reserved_for(name: str) -> None:
    """Three answers are three times as long, and a senseless number of them is bounded."""
    assert longest_answer("m", None, {"max_tokens": 100, name: 3}, {})[::2] == (300, 3)
    assert longest_answer("m", None, {"max_tokens": 100, name: 10**9}, {})[::2] == (100_000_000, 1_000_000)
    for nonsense in (0, -3, "many", None):
        assert longest_answer("m", None, {"max_tokens": 100, name: nonsense}, {})[::2] == (100, 1)
