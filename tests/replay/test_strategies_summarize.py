from __future__ import annotations

import pytest
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage

from langchain_agentcost.replay.episode import NOTHING, Episode, assemble
from tests.replay.made import Asked, Turn, episode, played, says, schemas, sent, texts, uses

EAGER = "summarize:above=1000:keep=2:to=100:margin=0:break_even=no"
"""Summarizes whenever a prompt is too long, as the usual tools do."""


def _run(results: int, words: int = 200, tools: int = 0) -> Episode:
    turns = [uses("search", f"result {n} " + "word " * words, n=n) for n in range(results)]
    return episode(*turns, says("Done."), tools=schemas(*(f"tool_{n}" for n in range(tools))))


def test_the_middle_gives_way_to_a_summary() -> None:
    """The task stays, then comes the summary, then the latest messages."""
    last = sent(_run(6), EAGER)[-1].messages
    assert texts(last[:2]) == ["You help.", "Please help me."]
    assert str(last[2].content).startswith("[summary ")
    assert [str(message.content)[:8] for message in last[3:] if isinstance(message, ToolMessage)] == [
        "result 4",
        "result 5",
    ]


def test_a_prompt_that_is_short_enough_stays() -> None:
    """Nothing happens up to the limit."""
    of = _run(3)
    assert [request.messages for request in sent(of, EAGER)] == [call.messages for call in of.calls]


def test_between_two_summaries_the_prompt_only_grows() -> None:
    """A summary is written when it is needed again, and stays the same in between."""
    requests = sent(_run(20), EAGER)
    kept = [text for request in requests for text in texts(request.messages) if text.startswith("[summary ")]
    assert len(set(kept)) < len(kept) / 2


def test_a_summary_is_paid_for() -> None:
    """Each one is a call over all that it covers, an earlier summary among it, with an answer of its length."""
    outcome = played(_run(20), EAGER)
    assert outcome.overhead_calls == outcome.tally["summaries"] > 1
    assert outcome.overhead_nano == (outcome.overhead_tokens - 100 * outcome.overhead_calls) * 3000 + (
        100 * outcome.overhead_calls * 15_000
    )


def test_results_of_one_answer_are_not_torn_from_it() -> None:
    """Where the latest messages would begin with a tool's result, the answer that asked for it stays too."""
    three = Turn(asked=tuple(Asked("search", {}, f"part {n} " + "word " * 200) for n in range(3)))
    last = sent(episode(three, three, says("Done.")), EAGER)[-1].messages
    assert [type(message) for message in last] == [SystemMessage, HumanMessage, HumanMessage, AIMessage] + 3 * [
        ToolMessage
    ]


def test_a_task_that_asks_for_tools_keeps_their_results() -> None:
    """A conversation that begins with an answer, as after a hand-over, keeps the call and its result together."""
    call = {"name": "search", "args": {}, "id": "call-0"}
    start = [AIMessage("", tool_calls=[call]), ToolMessage("word " * 300, tool_call_id="call-0")]
    rest = [HumanMessage("And now? " + "word " * 300), AIMessage("Well. " + "word " * 300), HumanMessage("So?")]
    of = Episode("handed over", assemble([*start, *rest, AIMessage("Done.")], {5: NOTHING}))
    [request] = sent(of, EAGER.replace("above=1000", "above=800"))
    assert request.messages[:2] == tuple(start)
    assert str(request.messages[2].content).startswith("[summary ")


def test_no_thrash_where_the_static_prompt_is_near_the_limit() -> None:
    """With tools that nearly fill the limit, a plain trigger summarizes every turn and loses; the default does not."""
    of = _run(30, words=60, tools=150)
    none = played(of)
    limit = none.steps[0] + 500
    plain = played(of, f"summarize:above={limit}:keep=4:to=300:margin=0:break_even=no")
    usual = played(of, f"summarize:above={limit}:keep=4:to=300")
    assert plain.overhead_calls > 5
    assert plain.on_nano > none.on_nano
    assert usual.overhead_calls == 0
    assert usual.on_nano == none.on_nano


def test_the_margin_keeps_summaries_apart() -> None:
    """Between two summaries the prompt grows by the margin at least."""
    of = _run(40)
    few = played(of, "summarize:above=1000:keep=2:to=100:margin=2000:break_even=no").tally["summaries"]
    many = played(of, "summarize:above=1000:keep=2:to=100:margin=200:break_even=no").tally["summaries"]
    assert 0 < few <= many / 3


def test_a_summary_that_cannot_pay_is_not_written() -> None:
    """Early in a run, with so few calls to save on, the break-even test holds it back; late it lets it through."""
    by = "summarize:above=1000:keep=2:to=100:margin=0"
    of = _run(60)
    written = [
        number
        for number, cost in enumerate(sent(of, by))
        if any(t.startswith("[summary 1 ") for t in texts(cost.messages))
    ]
    eager = [
        n for n, cost in enumerate(sent(of, EAGER)) if any(t.startswith("[summary 1 ") for t in texts(cost.messages))
    ]
    assert written[0] > eager[0]
    assert played(of, by).on_nano < played(of, EAGER).on_nano


@pytest.mark.parametrize("by", ["summarize:above=1:to=5000:margin=0", "summarize:above=1:to=5000"])
def test_a_summary_longer_than_what_it_stands_for_is_not_written(by: str) -> None:
    """The break-even test and the margin both refuse what makes a prompt longer."""
    assert played(_run(4), by).overhead_calls == 0


def test_a_long_run_costs_less_with_summaries_than_without() -> None:
    """By default a coding run of a hundred calls saves tokens, and dollars with caching on."""
    of = _run(120, words=700)
    none, usual = played(of), played(of, "summarize")
    assert usual.tally["summaries"] >= 1
    assert usual.input_tokens < none.input_tokens / 2
    assert usual.on_nano < none.on_nano


def test_what_a_summary_covers_and_a_call_needs_dangles() -> None:
    """A summary is taken to keep no literal."""
    turns = [uses("search", f"AB-{n:07} " + "word " * 200) for n in range(6)]
    outcome = played(episode(*turns, uses("cancel_order", order="AB-0000000")), EAGER)
    assert outcome.tally["dangling_steps"] == 1
