from __future__ import annotations

import pytest
from langchain_core.messages import ToolMessage

from langchain_agentcost.replay.episode import Episode
from langchain_agentcost.replay.request import Request
from langchain_agentcost.replay.strategies.masking import NOTE
from tests.replay.made import Asked, Turn, episode, played, says, schemas, sent, uses


def _run(results: int, size: int = 60) -> Episode:
    turns = [uses("search", f"result {n} " + "word " * size, n=n) for n in range(results)]
    return episode(*turns, says("Done."), tools=schemas("search"))


def _shown(request: Request) -> list[str]:
    """Which tool results a prompt has: their numbers, - for a note."""
    results = [message for message in request.messages if isinstance(message, ToolMessage)]
    return ["-" if message.content == NOTE else str(message.content).split()[1] for message in results]


def test_sliding_keeps_the_latest() -> None:
    """One more result is masked with each new one."""
    shown = [_shown(request) for request in sent(_run(5), "mask_sliding:keep=2")]
    assert shown == [[], ["0"], ["0", "1"], ["-", "1", "2"], ["-", "-", "2", "3"], ["-", "-", "-", "3", "4"]]


def test_batched_lets_them_pile_up() -> None:
    """Nothing changes until too many are there; then all but the latest are masked at once."""
    shown = [_shown(request) for request in sent(_run(6), "mask_batched:keep=1:until=3")]
    assert shown == [
        [],
        ["0"],
        ["0", "1"],
        ["0", "1", "2"],
        ["-", "-", "-", "3"],
        ["-", "-", "-", "3", "4"],
        ["-", "-", "-", "3", "4", "5"],
    ]


def test_keeping_none_masks_all() -> None:
    """With 0 to keep the model sees no tool result at all."""
    assert [_shown(request) for request in sent(_run(2), "mask_sliding:keep=0")] == [[], ["-"], ["-", "-"]]


def test_a_note_keeps_what_a_provider_needs() -> None:
    """The note answers the same tool call, by the same tool, and failed where that failed."""
    of = episode(uses("search", "word " * 99, failed=True), uses("search", "word " * 99))
    note = sent(of, "mask_sliding:keep=0")[1].messages[-1]
    assert isinstance(note, ToolMessage)
    assert (note.content, note.tool_call_id, note.name, note.status) == (NOTE, "call-1", "search", "error")


def test_a_result_that_is_shorter_than_the_note_stays() -> None:
    """Masking never makes a prompt longer."""
    of = episode(uses("search", "ok"), uses("search", "word " * 99), says("Done."))
    contents = [
        message.content for message in sent(of, "mask_sliding:keep=0")[2].messages if isinstance(message, ToolMessage)
    ]
    assert contents == ["ok", NOTE]


def test_content_that_is_no_text_is_masked_too() -> None:
    """A result of blocks gives way like one of text."""
    of = episode(uses("search", [{"type": "text", "text": "word " * 99}]), says("Done."))
    assert sent(of, "mask_sliding:keep=0")[1].messages[-1].content == NOTE


def test_parallel_results_count_one_by_one() -> None:
    """Three results of one answer are three, and the latest of them stay."""
    asked = tuple(Asked("search", {}, f"result {n} " + "word " * 60) for n in range(3))
    assert _shown(sent(episode(Turn(asked=asked), says("Done.")), "mask_sliding:keep=1")[1]) == ["-", "-", "2"]


def test_nothing_is_masked_in_a_short_run() -> None:
    """A run with few results is sent as it was recorded."""
    of = _run(3)
    assert [request.messages for request in sent(of, "mask_batched")] == [call.messages for call in of.calls]


def test_batched_beats_sliding_where_the_provider_caches() -> None:
    """On a long coding run sliding saves tokens and hardly any dollars: the cache is written again at each call."""
    of = _run(80, size=400)
    none, sliding, batched = (played(of, by) for by in ("none", "mask_sliding:keep=3", "mask_batched:keep=3:until=13"))
    assert sliding.input_tokens < batched.input_tokens < none.input_tokens
    assert batched.on_nano < sliding.on_nano
    assert batched.on_nano < none.on_nano
    assert sliding.off_nano < batched.off_nano < none.off_nano


def test_a_mask_in_the_middle_costs_what_stands_behind_it() -> None:
    """With caching a single mask is paid for: what was behind it is written again."""
    of = _run(4, size=600)
    outcome = played(of, "mask_batched:keep=3:until=3")
    assert outcome.on_nano > played(of).on_nano


@pytest.mark.parametrize("by", ["mask_sliding", "mask_batched:keep=3:until=4"])
def test_what_was_masked_and_is_needed_dangles(by: str) -> None:
    """A call that uses an id which only a masked result had is counted."""
    turns = [uses("search", f"AB-{n:07} " + "word " * 60) for n in range(8)]
    outcome = played(
        episode(*turns, uses("cancel_order", order="AB-0000000"), uses("cancel_order", order="AB-0000007")), by
    )
    assert outcome.tally["dangling_steps"] == 1
    assert outcome.tally["acting_steps"] == 10
