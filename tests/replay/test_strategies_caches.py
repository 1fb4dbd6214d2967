from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from langchain_core.messages import SystemMessage

from langchain_agentcost.replay.strategies import response_cache, tool_cache
from tests.replay.made import Asked, Turn, counted, episode, played, says, schemas, sent, texts, uses

READ = uses("get_order", "7 left", n=1)
OTHER = uses("get_order", "6 left", n=1)
FAILED = uses("get_order", "503 service unavailable", n=1, failed=True)
WRITE = uses("cancel_order", "cancelled", n=1)


def _tally(*runs: tuple[str, list[Turn]], by: str = "tool_cache") -> Counter[str]:
    """What a cache counted over runs of one source, each with its task; what is 0 is left out."""
    memory: dict[str, Any] = {}
    found: Counter[str] = Counter()
    for number, (task, turns) in enumerate(runs):
        found += played(episode(*turns, name=f"run-{number}", task=task), by, memory=memory).tally
    del found["acting_steps"]
    return found


def test_a_repeated_read_hits() -> None:
    """The same tool with the same arguments is asked once."""
    assert _tally(("a", [READ, READ, READ])) == {"tool_calls": 3, "tool_reads": 3, "tool_hits": 2}


ORDERS: tuple[dict[str, Any], ...] = ({"a": 1, "b": 2}, {"b": 2, "a": 1}, {"a": 1, "b": 3})


def test_other_arguments_are_another_read() -> None:
    """A read of something else does not hit, whatever the order of arguments."""
    one, same, other = (uses("get_order", "x", **given) for given in ORDERS)
    assert _tally(("a", [one, same, other]))["tool_hits"] == 1


def test_after_a_write_nothing_is_served() -> None:
    """What was read before a write may no longer be so: it is served before, refused after."""
    assert _tally(("a", [READ, READ, WRITE, READ, OTHER])) == {"tool_calls": 5, "tool_reads": 4, "tool_hits": 1}


def test_without_invalidation_stale_results_are_served_and_counted() -> None:
    """A cache that does not heed writes serves what is no longer so: that is harm."""
    found = _tally(("a", [READ, WRITE, OTHER]), by="tool_cache:invalidate=no")
    assert (found["tool_hits"], found["stale_hits"]) == (1, 1)


def test_a_write_whose_result_is_missing_is_a_write() -> None:
    """Nobody knows whether it was made: nothing is served after it."""
    assert _tally(("a", [READ, uses("cancel_order", None), READ]))["tool_hits"] == 0


def test_a_write_beside_a_read_counts_for_what_follows() -> None:
    """Of parallel calls the write ends the cache for the rest."""
    both = Turn(asked=(Asked("cancel_order", {}, "ok"), Asked("get_order", {"n": 1}, "7 left")))
    assert _tally(("a", [READ, both, READ]))["tool_hits"] == 0


def test_errors_are_never_stored() -> None:
    """A read after a 503 is made again, and its answer is what is kept."""
    assert _tally(("a", [FAILED, READ, READ])) == {"tool_calls": 3, "tool_reads": 3, "tool_hits": 1}


def test_a_hit_that_spares_an_error_is_no_harm() -> None:
    """Where the recorded read failed and the cache had the answer, the hit is not stale."""
    assert _tally(("a", [READ, FAILED])) == {"tool_calls": 2, "tool_reads": 2, "tool_hits": 1, "spared_errors": 1}


def test_a_read_that_changed_without_a_write_is_stale() -> None:
    """A world that changes by itself is found out: the stored result is not the recorded one."""
    assert _tally(("a", [READ, OTHER]))["stale_hits"] == 1


def test_by_default_no_run_sees_anothers_results() -> None:
    """Another run's world may be another one."""
    assert _tally(("a", [READ]), ("b", [READ]))["tool_hits"] == 0


def test_a_shared_world_is_shared_by_other_tasks() -> None:
    """Where all runs see the same world, another task's read hits."""
    assert _tally(("a", [READ]), ("b", [READ]), by="tool_cache:state=shared")["tool_hits"] == 1


def test_the_same_task_again_is_no_traffic() -> None:
    """A repetition of a task does not hit what the first one read, but what it reads itself twice."""
    shared = "tool_cache:state=shared"
    assert _tally(("a", [READ]), ("a", [READ]), by=shared)["tool_hits"] == 0
    assert _tally(("a", [READ]), ("a", [READ, READ]), by=shared)["tool_hits"] == 1


def test_a_shared_world_that_differs_is_found_out() -> None:
    """Tasks with states of their own show as stale hits: the key has to carry the state."""
    found = _tally(("a", [READ]), ("b", [OTHER]), by="tool_cache:state=shared")
    assert (found["tool_hits"], found["stale_hits"]) == (1, 1)


def test_results_without_a_call_are_passed_over() -> None:
    """A read without a result neither hits nor is stored."""
    assert _tally(("a", [uses("get_order", None, n=1), READ, READ]))["tool_hits"] == 1


def test_the_tool_cache_saves_no_tokens() -> None:
    """The result still enters the prompt: not one token less is sent."""
    of = episode(READ, READ, READ, says("Done."))
    assert played(of, "tool_cache").steps == played(of).steps


def test_the_tool_caches_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """When it is full, what was not used for longest is forgotten."""
    monkeypatch.setattr(tool_cache, "MAX_RESULTS", 3)
    memory: dict[str, Any] = {}
    played(episode(*(uses("get_order", "x", n=n) for n in range(10))), "tool_cache:state=shared", memory=memory)
    assert memory["tool_cache"].shelf.store.room().entries == 3


def test_results_of_a_run_are_gone_with_it() -> None:
    """Where states are the runs' own, nothing is remembered for later ones."""
    memory: dict[str, Any] = {}
    played(episode(READ, READ), "tool_cache", memory=memory)
    assert not memory


@pytest.mark.parametrize("command", ["ls", "cat notes.txt", "rm notes.txt"])
def test_a_shell_is_refused(command: str) -> None:
    """Files change under it: it is a write, whatever its command says."""
    shell = uses("bash", "notes", command=command)
    assert _tally(("a", [shell, shell, READ, READ])) == {"tool_calls": 4, "tool_reads": 2}


def test_what_a_run_reads_after_its_write_is_kept_for_nobody() -> None:
    """Its world is another one by then: the next task is served what the first world began with, or nothing."""
    shared = "tool_cache:state=shared"
    assert _tally(("a", [WRITE, OTHER]), ("b", [READ, READ]), by=shared) == {
        "tool_calls": 4,
        "tool_reads": 3,
        "tool_hits": 1,
    }
    assert _tally(("a", [READ, WRITE, OTHER]), ("b", [READ]), by=shared)["tool_hits"] == 1


def test_a_run_that_is_replayed_twice_counts_the_same() -> None:
    """A verified run is made several times with one memory; none of them is a hit of the other."""
    memory: dict[str, Any] = {}
    played(episode(READ, name="before", task="b"), "tool_cache:state=shared", memory=memory)
    again = episode(READ, *(uses("get_order", "9", n=n) for n in (2, 2)), WRITE, READ, name="run", task="a")
    tallies = [played(again, "tool_cache:state=shared", memory=memory).tally for _ in range(3)]
    assert tallies[0] == tallies[1] == tallies[2]
    assert tallies[0]["tool_hits"] == 2


def test_lists_and_arguments_of_other_types_are_told_apart() -> None:
    """The order 1 is not the order "1"."""
    assert _tally(("a", [uses("get_order", "x", n=n) for n in (1, "1", 1.0, True)]))["tool_hits"] == 0


def test_content_blocks_are_kept_as_they_are() -> None:
    """A result that is a list of blocks hits and is not stale."""
    blocks = uses("get_order", [{"type": "text", "text": "7 left"}], n=1)
    assert _tally(("a", [blocks, blocks])) == {"tool_calls": 2, "tool_reads": 2, "tool_hits": 1}


ASKS = [uses("get_order", "7 left", n=1, recorded=counted(2000)), says("There are 7.", recorded=counted(2500))]
ACTS = [uses("get_order", "7 left", n=2, recorded=counted(2000)), says("There are 7.", recorded=counted(2500))]


def test_a_prompt_that_another_task_sent_is_answered() -> None:
    """The same conversation under another task hits call by call."""
    found = _tally(("a", ASKS), ("b", ASKS), by="response_cache")
    assert found == {"response_hits": 2}


def test_repetitions_of_a_task_are_no_hits_of_the_response_cache() -> None:
    """The same task again, or the same prompt twice in a run, is no traffic."""
    assert not _tally(("a", ASKS), ("a", ASKS), by="response_cache")
    loop = episode(ASKS[0], name="loop")
    again = type(loop)("loop", (loop.calls[0], loop.calls[0]))
    assert played(again, "response_cache").served == 0


def test_an_answer_that_would_do_something_else_is_harm() -> None:
    """The same prompt was answered by another action then: the hit is a wrong one."""
    found = _tally(("a", ASKS[:1]), ("b", ACTS[:1]), by="response_cache")
    assert found == {"response_hits": 1, "wrong_action_hits": 1}


def test_other_words_are_no_other_action() -> None:
    """An answer that only speaks is as good in other words."""
    found = _tally(("a", [says("Seven.")]), ("b", [says("There are 7.")]), by="response_cache")
    assert found == {"response_hits": 1}


@pytest.mark.parametrize(
    "fields", [{"model": "gpt-4.1"}, {"tools": schemas("get_order")}, {"system": "You help much."}, {"user": "Help!"}]
)
def test_another_prompt_or_model_is_no_hit(fields: dict[str, Any]) -> None:
    """Tools, texts and the model are all part of the key."""
    memory: dict[str, Any] = {}
    played(episode(*ASKS, name="run-1", task="a"), "response_cache", memory=memory)
    assert played(episode(*ASKS, name="run-2", task="b", **fields), "response_cache", memory=memory).served == 0


def test_the_response_caches_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """When it is full it starts afresh."""
    monkeypatch.setattr(response_cache, "MAX_RESPONSES", 3)
    memory: dict[str, Any] = {}
    played(episode(*(uses("get_order", "x", n=n) for n in range(10))), "response_cache", memory=memory)
    assert 1 <= len(memory["answers"]) <= 3


LONG = episode(
    *(uses("search", "word " * 300, n=n) for n in range(10)), system="You help. " * 400, tools=schemas("search")
)


def test_a_volatile_item_at_the_top_leaves_nothing_of_the_cache() -> None:
    """The prompt changes at its first token: nothing is read, and everything is written at every call."""
    none, top = played(LONG), played(LONG, "volatile_head")
    assert none.read_tokens > 0
    assert top.read_tokens == 0
    assert top.on_nano > 3 * none.on_nano


def test_a_volatile_item_before_the_system_message_leaves_the_tools() -> None:
    """What stands before it is still served: it costs less than at the top, and more than none."""
    many = episode(
        *(uses("search", "word " * 300, n=n) for n in range(10)), tools=schemas(*(f"tool_{n}" for n in range(60)))
    )
    none, system, top = (played(many, by) for by in ("none", "volatile_head:at=system", "volatile_head"))
    assert none.on_nano < system.on_nano < top.on_nano
    assert system.read_tokens > 0


def test_a_volatile_item_is_a_few_tokens_without_caching() -> None:
    """Where nothing is cached, the time in the prompt costs its own tokens and no more."""
    none, top = played(LONG), played(LONG, "volatile_head")
    added = [now - before for now, before in zip(top.steps, none.steps, strict=True)]
    assert all(5 < more < 20 for more in added)


def test_the_item_differs_at_every_call() -> None:
    """It is the time, which no two calls share."""
    items = [request.messages[0] for request in sent(LONG, "volatile_head:at=system")]
    assert all(isinstance(item, SystemMessage) for item in items)
    assert len(set(texts(items))) == len(items)
    stamps = [request.tools.stamp for request in sent(LONG, "volatile_head")]
    assert len(set(stamps)) == len(stamps)
