from __future__ import annotations

from typing import Any

import pytest
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage

from langchain_agentcost.context.message_text import text_of
from langchain_agentcost.replay.episode import Call, Episode, Piece
from langchain_agentcost.replay.literals import MAX_CALL_LITERALS, Literals
from tests.replay.made import Asked, Turn, episode, says, uses

FOUND = "We found order AB-1234567 in /var/log/orders.txt, shipped to 10115 Berlin."


def _without_result(call: Call) -> list[BaseMessage]:
    return [
        ToolMessage("[gone]", tool_call_id=message.tool_call_id) if isinstance(message, ToolMessage) else message
        for message in call.messages
    ]


def _lost(args: dict[str, Any], result: Any = FOUND) -> list[str]:
    """What the second call needs of the first one's result, which is not sent."""
    run = episode(uses("search", result), uses("act", **args))
    return Literals(run).dangling(run.calls[1], _without_result(run.calls[1]))


@pytest.mark.parametrize(
    ("args", "lost"),
    [
        ({"order": "AB-1234567"}, ["AB-1234567"]),
        ({"path": "/var/log/orders.txt"}, ["/var/log/orders.txt"]),
        ({"command": "grep -n x /var/log/orders.txt; echo"}, ["/var/log/orders.txt"]),
        ({"inner": {"list": [{"order": "AB-1234567"}]}}, ["AB-1234567"]),
        ({"city": "Berlin"}, ["Berlin"]),
        ({"order": " AB-1234567 "}, ["AB-1234567"]),
        ({"note": "the order shipped today"}, []),  # words, not literals
        ({"zip": "10115"}, []),  # shorter than six characters
        ({"zip": "  10115  "}, []),  # blanks do not make it longer
        ({"order": "ZZ-9999999"}, []),  # was never readable
        ({"flag": True, "nothing": None}, []),
        ({}, []),
    ],
)
def test_what_counts_as_a_literal(args: dict[str, Any], lost: list[str]) -> None:
    """Paths, ids, numbers and single words of six characters count, wherever they stand in the arguments."""
    assert _lost(args) == lost


def test_numbers_are_literals() -> None:
    """A number is what its digits are, in arguments as in results."""
    assert _lost({"id": 7_654_321}, "id: 7654321") == ["7654321"]


def test_unicode_words_are_literals_when_they_stand_alone() -> None:
    """A single word of any script counts, in text and in content blocks."""
    blocks = [{"type": "text", "text": "Straße: Bürgermeister-Müller-Weg"}]
    assert _lost({"street": "Bürgermeister-Müller-Weg"}, blocks) == ["Bürgermeister-Müller-Weg"]


def test_a_literal_that_is_sent_elsewhere_does_not_dangle() -> None:
    """What another message that stays says too was not lost."""
    run = episode(uses("search", FOUND), uses("act", order="AB-1234567"), user="Where is AB-1234567?")
    assert Literals(run).dangling(run.calls[1], _without_result(run.calls[1])) == []


def test_a_literal_in_the_arguments_of_an_earlier_call_does_not_dangle() -> None:
    """What the model wrote itself in an earlier tool call can still be read there."""
    run = episode(uses("search", FOUND, order="AB-1234567"), uses("act", order="AB-1234567"))
    assert Literals(run).dangling(run.calls[1], _without_result(run.calls[1])) == []


def test_a_literal_that_the_preview_still_has_does_not_dangle() -> None:
    """A text that was cut has lost only what is no longer in it."""
    run = episode(uses("search", FOUND), uses("act", order="AB-1234567", path="/var/log/orders.txt"))
    call = run.calls[1]
    cut = [*call.messages[:-1], ToolMessage("We found order AB-1234567 in [cut]", tool_call_id="call-1")]
    assert Literals(run).dangling(call, cut) == ["/var/log/orders.txt"]


def test_messages_in_another_place_are_still_sent() -> None:
    """A message that is put in front, or one that is left out, does not make the others unreadable."""
    run = episode(uses("search", FOUND), uses("act", order="AB-1234567"))
    call = run.calls[1]
    assert Literals(run).dangling(call, [HumanMessage("It is noon."), *call.messages]) == []
    assert Literals(run).dangling(call, call.messages[2:]) == []


def test_what_comes_after_the_prompt_was_not_readable_in_it() -> None:
    """A literal that only a later message has was never in this call's prompt."""
    run = episode(uses("look"), uses("act", order="AB-1234567"), uses("search", FOUND))
    assert Literals(run).dangling(run.calls[1], _without_result(run.calls[1])) == []


def test_the_recorded_prompt_loses_nothing() -> None:
    """Where the recorded messages are sent, nothing dangles."""
    run = episode(uses("search", FOUND), uses("act", order="AB-1234567"))
    assert Literals(run).dangling(run.calls[1], run.calls[1].messages) == []


def test_an_answer_that_speaks_needs_nothing() -> None:
    """Only what a tool is asked for counts: a sentence may say anything."""
    run = episode(uses("search", FOUND), says("Your order AB-1234567 is in Berlin."))
    assert Literals(run).dangling(run.calls[1], []) == []


def test_all_messages_gone_lose_everything_that_was_readable() -> None:
    """An empty prompt is missing every literal that stood in the recorded one."""
    run = episode(uses("search", FOUND), uses("act", order="AB-1234567", path="/var/log/orders.txt"))
    assert Literals(run).dangling(run.calls[1], []) == ["AB-1234567", "/var/log/orders.txt"]


def test_sources_are_the_messages_in_which_a_literal_stands() -> None:
    """A literal's sources are the messages of the recorded prompt that have it, in order."""
    run = episode(uses("search", FOUND), uses("search", FOUND), uses("act", order="AB-1234567"))
    call = run.calls[2]
    assert Literals(run).sources(call, "AB-1234567") == [call.messages[3], call.messages[5]]


def test_several_tool_calls_of_one_answer_are_looked_at_together() -> None:
    """Parallel calls need all of their literals, each named once."""
    asked = (Asked("a", {"order": "AB-1234567"}, "ok"), Asked("b", {"order": "AB-1234567", "city": "Berlin"}, "ok"))
    run = episode(uses("search", FOUND), Turn(asked=asked))
    assert Literals(run).dangling(run.calls[1], []) == ["AB-1234567", "Berlin"]


def test_runs_without_texts_say_nothing() -> None:
    """Where only hashes are known, nothing can be found to be missing."""
    run = episode(uses("search", FOUND), uses("act", order="AB-1234567"))
    marked = Episode(run.id, run.calls, marks={id(run.calls[0].messages[0]): Piece(b"key", 1)})
    assert Literals(marked).dangling(marked.calls[1], []) == []


@pytest.mark.parametrize(
    "text", ["#" * 2_000_000, "@." * 1_000_000, "/" * 2_000_000, "a" * 2_000_000, "x\u2028y " * 99_999]
)
def test_huge_and_odd_texts_take_no_time(text: str) -> None:
    """Arguments and results of megabytes, made to be slow to search, are done at once."""
    run = episode(uses("search", text), uses("act", text=text, other=f"{text} {text}"))
    assert len(Literals(run).dangling(run.calls[1], [])) <= MAX_CALL_LITERALS


def test_an_answer_that_writes_a_file_is_looked_at_in_part() -> None:
    """Of thousands of literals in one call the first ones are enough."""
    text = " ".join(f"file_{number}.py" for number in range(5000))
    assert len(_lost({"content": text}, text)) == MAX_CALL_LITERALS


def test_text_of_a_message_is_all_that_a_model_reads() -> None:
    """Texts, blocks, and the arguments of tool calls are read, and images do not break it."""
    asked = AIMessage(
        [{"type": "text", "text": "Sure."}], tool_calls=[{"name": "a", "args": {"n": [1, None, True]}, "id": "1"}]
    )
    assert "Sure." in text_of(asked)
    assert "1" in text_of(asked).split("\n")
    assert text_of(HumanMessage("Hi")) == "Hi"
    assert "https://x/y.png" in text_of(HumanMessage([{"type": "image_url", "image_url": {"url": "https://x/y.png"}}]))
