from __future__ import annotations

import pytest
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage

from langchain_agentcost.context.summary import OPENS, parse
from langchain_agentcost.replay.episode import NOTHING, Episode, assemble
from langchain_agentcost.replay.request import Request
from tests.replay.made import Asked, Turn, episode, played, says, scene, schemas, sent, texts, uses

EAGER = "summarize:above=1000:keep=2:to=100:margin=0:break_even=no"
"""Summarizes whenever a prompt is too long, as the usual tools do."""


def _run(results: int, words: int = 200, tools: int = 0) -> Episode:
    turns = [uses("search", f"result {n} AB-{n:07} " + "word " * words, n=n) for n in range(results)]
    return episode(*turns, says("Done."), tools=schemas(*(f"tool_{n}" for n in range(tools))))


def _summaries(requests: list[Request]) -> list[str]:
    """The summaries in prompts, one for each prompt that has one."""
    return [text for request in requests for text in texts(request.messages) if text.startswith(OPENS)]


def _first(requests: list[Request]) -> int:
    """The number of the first prompt that has a summary."""
    return next(number for number, request in enumerate(requests) if _summaries([request]))


def test_the_middle_gives_way_to_a_summary() -> None:
    """The task stays, then comes the summary, then the latest answers with their results."""
    requests = sent(_run(6), EAGER)
    first = requests[_first(requests)].messages
    assert texts(first[:2]) == ["You help.", "Please help me."]
    assert str(first[2].content).startswith(OPENS)
    assert [str(message.content)[:8] for message in first[3:] if isinstance(message, ToolMessage)] == [
        "result 3",
        "result 4",
    ]


def test_a_prompt_that_is_short_enough_stays() -> None:
    """Nothing happens up to the limit."""
    of = _run(3)
    assert [request.messages for request in sent(of, EAGER)] == [call.messages for call in of.calls]


def test_between_two_summaries_the_prompt_only_grows() -> None:
    """A summary is written when it is needed again, and the same message stays in between."""
    requests = sent(_run(60, words=60), EAGER)
    kept = [message for request in requests for message in request.messages if str(message.content).startswith(OPENS)]
    written = played(_run(60, words=60), EAGER).tally["summaries"]
    assert 1 < len(set(map(id, kept))) == written < len(kept) / 2


def test_a_summary_is_paid_for_behind_the_cached_prompt() -> None:
    """Each one is a call with an answer of its length, and where that is cheaper its prompt is read from the cache."""
    of = _run(60)
    outcome = played(of, "summarize:above=3000:keep=2:to=100:margin=0:break_even=no", warm=True)
    count = outcome.tally["summaries"]
    asked = outcome.overhead_tokens - 100 * count
    assert outcome.overhead_calls == count > 1
    assert 100 * 15_000 * count + asked * 300 < outcome.overhead_nano < 100 * 15_000 * count + asked * 1_000


def test_a_summary_is_written_with_a_prompt_of_its_own_where_that_is_cheaper() -> None:
    """Behind very many tools, or where no provider caches, only what is covered is sent, at the full price."""
    of = _run(20, tools=2_000)
    outcome = played(of, "summarize:above=1:keep=2:to=100:margin=600:break_even=no")
    written = 100 * outcome.overhead_calls
    assert outcome.overhead_nano == (outcome.overhead_tokens - written) * 3_000 + written * 15_000 > 0


def test_results_of_one_answer_are_not_torn_from_it() -> None:
    """The latest answer stays with all its results."""
    three = Turn(asked=tuple(Asked("search", {}, f"part {n} " + "word " * 200) for n in range(3)))
    last = sent(episode(three, three, says("Done.")), EAGER.replace("keep=2", "keep=1"))[-1].messages
    assert [type(message) for message in last] == [SystemMessage, HumanMessage, HumanMessage, AIMessage] + 3 * [
        ToolMessage
    ]


def test_what_comes_before_the_first_user_stays() -> None:
    """A conversation that begins with an answer, as after a hand-over, keeps the call and its result."""
    call = {"name": "search", "args": {}, "id": "call-0"}
    start = [AIMessage("", tool_calls=[call]), ToolMessage("word " * 300, tool_call_id="call-0")]
    rest = [HumanMessage("And now? " + "word " * 300), AIMessage("Well. " + "word " * 300), HumanMessage("So?")]
    of = Episode("handed over", assemble([*start, *rest, AIMessage("Done.")], {5: NOTHING}))
    [request] = sent(of, EAGER.replace("above=1000:keep=2", "above=800:keep=1"))
    assert request.messages == (*start, *rest)


def test_no_thrash_where_the_static_prompt_is_near_the_limit() -> None:
    """With tools that nearly fill the limit, a plain trigger summarizes every turn and loses; the default does not."""
    of = _run(30, words=60, tools=150)
    none = played(of)
    limit = none.steps[0] + 500
    plain = played(of, f"summarize:above={limit}:keep=2:to=100:margin=0:break_even=no")
    usual = played(of, f"summarize:above={limit}:keep=2:to=100")
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
    """Early in a run, with so few calls to save on, the planner holds it back; late it lets it through."""
    by, of = "summarize:above=1000:keep=2:to=100:margin=0", _run(60)
    assert _first(sent(of, by)) > _first(sent(of, EAGER))
    assert played(of, by).on_nano < played(of, EAGER).on_nano


@pytest.mark.parametrize(
    "by",
    [
        "summarize:above=1:to=5000:margin=0",
        "summarize:above=1:to=5000",
        "summarize:above=1:to=5000:margin=0:break_even=no",
    ],
)
def test_a_summary_longer_than_what_it_stands_for_is_not_written(by: str) -> None:
    """Nothing is written that makes a prompt longer."""
    assert played(_run(9), by).overhead_calls == 0


def test_a_long_run_costs_less_with_summaries_than_without() -> None:
    """By default a coding run of a hundred calls saves tokens, and dollars with caching on, as was predicted."""
    of = _run(120, words=700)
    none, usual = played(of), played(of, "summarize")
    assert usual.tally["summaries"] == usual.tally["cuts"] >= 1
    assert usual.input_tokens < none.input_tokens / 2
    assert usual.on_nano < none.on_nano
    assert usual.tally["predicted_nano_usd"] > 0


def test_a_summary_has_the_length_that_was_said() -> None:
    """Whatever code copies, the message counts as long as one that a model would have written."""
    of = scene(_run(6))
    by = "summarize:above=1000:keep=2:to=321:margin=0:break_even=no"
    requests = sent(of.episode, by)
    outcome = played(of.episode, by)
    whole = sum(of.sizes.of(message).tokens for message in requests[-1].messages[:2] + requests[-1].messages[3:])
    assert outcome.steps[-1] == whole + 321


def test_what_code_copies_is_kept_and_the_rest_dangles() -> None:
    """A literal in the summary can be read; one that there was no room for is gone, whatever a model might write."""
    turns = [uses("search", f"AB-{n:07} " + "word " * 300) for n in range(6)]
    of = episode(*turns, uses("cancel_order", order="AB-0000000"))
    roomy = EAGER.replace("to=100", "to=200")
    assert "AB-0000000" in _summaries(sent(of, roomy))[-1]
    assert played(of, roomy).tally["dangling_steps"] == 0
    tight = EAGER.replace("to=100", "to=20")
    assert played(of, tight).tally["dangling_steps"] == 1


def test_a_summary_of_which_code_makes_nothing_has_a_text_all_the_same() -> None:
    """Providers refuse an empty message."""
    turns = [uses("search", "word " * 400) for _ in range(6)]
    assert "[summary of what was said before]" in texts(sent(episode(*turns, says("Done.")), EAGER)[-1].messages)


def test_a_later_summary_has_what_the_earlier_one_said() -> None:
    """Summaries are merged and not made anew: an id of the first stretch is in the last summary."""
    turns = [uses("search", "word " * 200, order=f"AB-{n:07}") for n in range(12)]
    by = EAGER.replace("to=100", "to=400")
    found = _summaries(sent(episode(*turns, says("Done.")), by))
    first, last = parse(found[0]), parse(found[-1])
    assert first is not None
    assert last is not None
    assert len(set(found)) > 1
    assert {one.name for one in first.artifacts} < {one.name for one in last.artifacts}
