"""Results: the usage of what on_llm_end hands over, and whether the provider was called at all."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from langchain_core.caches import InMemoryCache
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.language_models import BaseChatModel, FakeListChatModel
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration, Generation, LLMResult

from langchain_agentcost.testing import FakeCounts, FakeMeteredChatModel
from langchain_agentcost.usage import Usage, is_cache_hit, looks_cached


def reported(given: int, made: int, **more: Any) -> dict[str, Any]:
    """Counts as a provider reports them."""
    return {"input_tokens": given, "output_tokens": made, "total_tokens": given + made, **more}


def answer(usage_metadata: Mapping[str, Any] | None, **response_metadata: Any) -> AIMessage:
    """An answer that carries the given counts."""
    message = AIMessage("Hi", response_metadata=response_metadata)
    return message.model_copy(update={"usage_metadata": usage_metadata})


class Ends(BaseCallbackHandler):
    """Keeps what on_llm_end hands over."""

    def __init__(self) -> None:
        self.results: list[LLMResult] = []

    def on_llm_end(self, response: LLMResult, **_: Any) -> None:
        """Keep the result."""
        self.results.append(response)


def generations(*usages: Mapping[str, Any] | None, **output: Any) -> LLMResult:
    """The result of one prompt with several generations."""
    return LLMResult(
        generations=[[ChatGeneration(message=answer(usage)) for usage in usages]], llm_output=output or None
    )


def test_equal_usage_on_every_generation_is_counted_once() -> None:
    """With n > 1 each generation repeats the usage of the whole response."""
    message, usage = Usage.from_llm_result(generations(reported(10, 6), reported(10, 6)))
    assert usage == Usage(10, 6)
    assert message is not None


def test_different_usage_per_generation_is_added_up_and_named() -> None:
    """A provider that splits usage over the generations is summed, and the reader is told."""
    _, usage = Usage.from_llm_result(generations(reported(10, 6), reported(0, 3), None))
    assert usage == Usage(10, 9, anomalies=("2 generations reported different usage; added up",))


def test_searches_of_several_generations_are_added_to_usage_that_is_not() -> None:
    """Each candidate of Gemini has its own searches, while the tokens are those of the whole response."""
    grounded = [
        answer(reported(10, 6), model_name="gemini-3-pro", grounding_metadata={"web_search_queries": queries})
        for queries in (["a"], ["b", "c"])
    ]
    result = LLMResult(generations=[[ChatGeneration(message=message) for message in grounded]])
    assert Usage.from_llm_result(result)[1] == Usage(10, 6, server_tools=(("web_search", 3),))


def test_the_tier_of_several_generations_is_read_beside_them() -> None:
    """With n > 1 langchain-core leaves the response's tier in llm_output."""
    _, usage = Usage.from_llm_result(generations(reported(10, 6), reported(10, 6), service_tier="scale"))
    assert usage == Usage(10, 6, service_tier="scale")


def test_a_chat_models_batch_is_not_taken_for_a_text_models() -> None:
    """A chat model without usage has none, in a batch too: it is for the meter to estimate."""
    message, usage = Usage.from_llm_result(generations(None, token_usage={}), batch_size=2)
    assert message is not None
    assert usage is None


def test_a_text_models_counts_are_read_from_llm_output() -> None:
    """Text models have no message; their counts stand in llm_output."""
    old = {"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11}
    result = LLMResult(generations=[[Generation(text="Hi")]], llm_output={"token_usage": old})
    assert Usage.from_llm_result(result) == (None, Usage(9, 2))


def test_the_rest_of_a_text_models_batch_has_a_usage_of_nothing() -> None:
    """LangChain books a batch to its first prompt: the others must not be estimated on top."""
    result = LLMResult(generations=[[Generation(text="Hi")]], llm_output={"token_usage": {}})
    assert Usage.from_llm_result(result, batch_size=2) == (None, Usage())
    assert Usage.from_llm_result(result, batch_size=1) == (None, None)


@pytest.mark.parametrize("output", [None, {}, {"token_usage": None}, {"token_usage": {"prompt_tokens": "many"}}])
def test_a_text_model_without_counts_has_no_usage(output: Any) -> None:
    """Unknown is None."""
    result = LLMResult(generations=[[Generation(text="Hi")]], llm_output=output)
    assert Usage.from_llm_result(result) == (None, None)


def test_a_result_without_generations_has_nothing() -> None:
    """An error's empty result is read without an exception."""
    assert Usage.from_llm_result(LLMResult(generations=[])) == (None, None)
    assert Usage.from_llm_result(LLMResult(generations=[[]])) == (None, None)
    assert not looks_cached(LLMResult(generations=[[]]))


class TextCache(InMemoryCache):
    """A cache that keeps the text only, as several Redis and SQL caches do, and counts its hits."""

    def __init__(self) -> None:
        super().__init__()
        self.hits = 0

    def lookup(self, prompt: str, llm_string: str) -> Any:
        """Look up, and count what is found."""
        found = super().lookup(prompt, llm_string)
        self.hits += found is not None
        return found

    def update(self, prompt: str, llm_string: str, return_val: Any) -> None:
        """Keep the texts as JSON."""
        texts = json.dumps([generation.text for generation in return_val])
        super().update(prompt, llm_string, [Generation(text=text) for text in json.loads(texts)])


@pytest.mark.parametrize("usage", ["openai", "none"])
@pytest.mark.parametrize("make_cache", [InMemoryCache, TextCache])
def test_cache_hits_are_told_from_calls_on_langchains_real_path(make_cache: type[InMemoryCache], usage: str) -> None:
    """Of two equal calls only the second looks cached, with either kind of cache, whether usage is reported or not."""
    ends = Ends()
    model = FakeMeteredChatModel(usage=usage, counts=FakeCounts(100, 5), cache=make_cache())
    for _ in range(2):
        model.invoke("Hi", config={"callbacks": [ends]})
    first, second = ends.results
    # InMemoryCache hands the first result's own generation out again, so the first is only told by its id.
    assert looks_cached(second)
    assert second is not first
    assert len(model.prompts) == 1


@pytest.mark.parametrize(
    "model",
    [
        FakeMeteredChatModel(cache=TextCache()),
        FakeMeteredChatModel(usage="none", cache=TextCache()),
        FakeListChatModel(responses=["Hi"], cache=TextCache()),
    ],
    ids=["usage", "no usage", "no usage, no metadata"],
)
def test_a_call_does_not_look_cached_when_it_ends(model: BaseChatModel) -> None:
    """Invoked and streamed answers are calls to be billed, even those that say nothing about themselves."""
    seen: list[bool] = []

    class Judge(BaseCallbackHandler):
        def on_llm_end(self, response: LLMResult, **_: Any) -> None:
            seen.append(looks_cached(response))

    model.invoke("Hi", config={"callbacks": [Judge()]})
    list(model.stream("Hello", config={"callbacks": [Judge()]}))
    assert seen == [False, False]


def test_a_text_model_never_looks_cached() -> None:
    """LangChain gives a cached text generation no end event, so what ends was called."""
    assert not looks_cached(LLMResult(generations=[[Generation(text="Hi")]]))


@pytest.mark.parametrize("cost", [0.0, 1, 0.5, False, None])
def test_only_langchains_own_zero_marks_a_cache_hit(cost: Any) -> None:
    """A provider that reports a free call as 0.0, or any cost, is no cache."""
    assert not is_cache_hit(answer(reported(3, 1, total_cost=cost)))
