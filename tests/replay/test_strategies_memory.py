from __future__ import annotations

from langchain_agentcost.context.memory import MAX_MEMORY_TOKENS
from langchain_agentcost.replay.episode import Episode
from langchain_agentcost.replay.request import Request
from langchain_agentcost.replay.strategies.memory import LEFT_OUT
from langchain_agentcost.replay.tariff import Tariffs
from tests.replay.made import PRICES, Turn, episode, played, says, scene, sent, texts, uses

OPENS = "<working_memory>"


def _run(results: int, *more: Turn, words: int = 700) -> Episode:
    turns = [uses("search", f"Found AB-{n:07}. " + "word " * words, path=f"src/part_{n}.py") for n in range(results)]
    return episode(*turns, *more, says("Done."))


def _cut(requests: list[Request]) -> int:
    """The number of the first prompt of which something is left out."""
    return next(number for number, request in enumerate(requests) if LEFT_OUT in texts(request.messages))


def test_notes_stand_at_the_end_and_only_where_something_is_left_out() -> None:
    """Before the first cut prompts are as recorded; from then on the notes are the last message, and only there."""
    of = _run(100)
    requests = sent(of, "memory")
    first = _cut(requests)
    assert [request.messages for request in requests[:first]] == [call.messages for call in of.calls[:first]]
    for request in requests[first:]:
        said = texts(request.messages)
        assert [text for text in said if text.startswith(OPENS)] == said[-1:]


def test_the_history_before_the_notes_only_grows_between_cuts() -> None:
    """The next prompt begins with all of the last one but its notes: the provider's cache keeps that."""
    requests = sent(_run(100), "memory")
    first = _cut(requests)
    before, after = requests[first].messages[:-1], requests[first + 1].messages
    assert after[: len(before)] == before


def test_what_is_noted_can_be_read_and_the_rest_dangles() -> None:
    """The newest artifacts and ids are kept up to the cap, old ones are not."""
    of = _run(100, uses("edit", path="src/part_60.py"), uses("edit", path="src/part_1.py"))
    found = [played(of, f"memory:notes={most}").tally["dangling_steps"] for most in (3_000, 600, 20)]
    assert found == [0, 1, 2]


def test_notes_say_what_users_said_and_tools_were_asked() -> None:
    """Artifacts are named with their tools, users are quoted, and nothing that still stands above is said again."""
    turns = [uses("search", f"Found AB-{n:07}. " + "word " * 2000, path=f"src/part_{n}.py") for n in range(100)]
    requests = sent(episode(says("What else?", then="The zip code is 94016."), *turns, says("Done.")), "memory")
    request = requests[_cut(requests)]
    *history, notes = texts(request.messages)
    assert "The zip code is 94016." in notes
    assert "- src/part_0.py: search" in notes
    latest = next(text for text in reversed(history) if text.startswith("Found "))
    assert latest[6:16] not in notes


def test_the_cap_holds_and_is_paid_at_the_full_price_each_time() -> None:
    """A prompt has no more than the cap of notes, and the cache never serves them."""
    of = scene(_run(100))
    requests = sent(of.episode, "memory")
    notes = [of.sizes.of(request.messages[-1]).tokens for request in requests[_cut(requests) :]]
    assert 0 < max(notes) <= MAX_MEMORY_TOKENS + 10


def test_it_acts_where_it_pays() -> None:
    """A long run of long results is cheaper for it; a short one, or one of short results, stays as it is."""
    long = _run(100)
    assert played(long, "memory").on_nano < played(long).on_nano
    for of in (_run(8), _run(60, words=20)):
        assert played(of, "memory") == played(of)


def test_notes_that_cost_more_than_they_save_are_not_taken() -> None:
    """Where a cached token costs a tenth, notes have to stand for more than twelve times as much."""
    of = _run(40, words=60)
    assert played(of, "memory:notes=2000") == played(of)


def test_a_model_without_a_cache_leaves_out_more() -> None:
    """Where all input costs the same, what is left out saves its full price, and notes cost no more than that."""
    of = _run(30, words=100)
    llama = Tariffs(PRICES, model="llama-3.3-70b")
    plain, noted = (played(of, by, tariffs=llama) for by in ("none", "memory"))
    assert noted.tally["cuts"] > played(of, "memory").tally["cuts"]
    assert noted.on_nano < plain.on_nano


def test_a_history_that_is_another_one_has_no_notes() -> None:
    """After a restart with other messages nothing of the old conversation is said."""
    one, other = _run(100), _run(3, words=5)
    both = Episode("two", (*one.calls, *other.calls))
    request = sent(both, "memory")[-1]
    assert request.messages == other.calls[-1].messages
