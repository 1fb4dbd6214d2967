"""Answers that are no good to anybody else."""

from __future__ import annotations

import pytest
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage

from tests.caching.desk import QUESTION, WAYS, cached, calls, desk_model


class TestWhatIsNotKept:
    """Answers that are no good to anybody else."""

    @pytest.mark.parametrize(
        "said",
        [
            AIMessage("Within", response_metadata={"finish_reason": "length"}),
            AIMessage("I", response_metadata={"finish_reason": "content_filter"}),
            AIMessage("I", response_metadata={"finish_reason": "SAFETY"}),
            AIMessage("Within", response_metadata={"stop_reason": "max_tokens"}),
            AIMessage("No.", response_metadata={"stop_reason": "refusal"}),
            AIMessage("Within", response_metadata={"status": "incomplete"}),
            AIMessage("", invalid_tool_calls=[{"name": "track", "args": "{", "id": "1", "error": "no JSON"}]),
        ],
        ids=lambda said: str(said.response_metadata or "invalid call"),
    )
    @pytest.mark.parametrize("way", ["invoke", "ainvoke"])
    def test_an_answer_that_is_cut_short_refused_or_broken_is_not_served_again(self, said: AIMessage, way: str) -> None:
        """The next one asks the model."""
        asked = cached(desk_model((said, "Within 30 days.")))
        WAYS[way](asked, None)
        assert WAYS[way](asked, None).text == "Within 30 days."
        assert asked.cache.counts["refused_incomplete"] == 1

    @pytest.mark.parametrize("way", ["stream", "astream"])
    def test_a_stream_that_is_cut_short_is_not_served_again(self, way: str) -> None:
        """How it finished is in its last piece."""
        asked = cached(
            desk_model((AIMessage("Within", response_metadata={"finish_reason": "length"}), "Within 30 days."))
        )
        assert [WAYS[way](asked, None).text for _ in range(3)] == ["Within", "Within 30 days.", "Within 30 days."]
        assert calls(asked) == 2

    def test_a_stream_that_breaks_is_not_kept(self) -> None:
        """Half an answer is none."""
        asked = cached(desk_model(("one two three",), break_stream_after=2))
        with pytest.raises(ConnectionError):
            list(asked.stream(QUESTION))
        assert not asked.cache.shelf.store.room().entries

    @pytest.mark.parametrize("text", ["What is the weather today?", "Which is the LATEST release?", "Is it open now"])
    def test_questions_about_the_time_are_asked_each_time(self, text: str) -> None:
        """Unless that is allowed."""
        asked, allowing = cached(), cached(allow=["timely"])
        for _ in range(2):
            asked.invoke(text)
            allowing.invoke(text)
        assert (calls(asked), calls(allowing)) == (2, 1)

    def test_a_question_about_the_time_stays_one_when_the_user_says_more(self) -> None:
        """The answer to "In Lyon." depends on when the weather was asked for."""
        asked = cached()
        history = [HumanMessage("How is the weather?"), AIMessage("Where?"), HumanMessage("In Lyon.")]
        for _ in range(2):
            asked.invoke(history)
        assert calls(asked) == 2

    def test_words_of_tools_and_models_do_not_make_a_question_timely(self) -> None:
        """What a tool found is part of the question, so it may speak of now."""
        asked = cached()
        call = {"name": "track", "args": {}, "id": "1"}
        said = [HumanMessage("Where is it?"), AIMessage("I look now.", tool_calls=[call])]
        for _ in range(2):
            asked.invoke([*said, ToolMessage("It is currently in Lyon.", tool_call_id="1")])
        assert calls(asked) == 1
