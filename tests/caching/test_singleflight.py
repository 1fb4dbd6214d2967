"""Of equal calls at the same time one is made, whoever waits and whoever fails."""

from __future__ import annotations

import asyncio
import gc
import logging
import multiprocessing
import os
import threading
import warnings
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from langchain_agentcost.caching.singleflight import Flight, SingleFlight

PATIENCE_S = 20


class Work:
    """A call that can be held up, and counts how often it is made.

    Args:
        failures: How many calls fail before one does not.
    """

    def __init__(self, failures: int = 0) -> None:
        self.made = 0
        self.failures = failures
        self.begun = threading.Event()
        self.go_on = threading.Event()
        self._lock = threading.Lock()

    def __call__(self) -> int:
        """Give the number of the call."""
        with self._lock:
            self.made += 1
            number = self.made
        self.begun.set()
        assert self.go_on.wait(PATIENCE_S)
        if number <= self.failures:
            raise ConnectionError(str(number))
        return number

    async def later(self) -> int:
        """Give the same without blocking the loop."""
        return await asyncio.to_thread(self)


def keys_left(flights: SingleFlight) -> list[str]:
    """Give the keys of the calls that are still under way."""
    return list(flights._calls)


@contextmanager
def waiting(flights: SingleFlight, key: str, number: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Give an event that is set when so many callers wait."""
    all_wait, count, lock = threading.Event(), [0], threading.Lock()
    join = flights.join

    def counted(asked: str) -> Flight | None:
        flight = join(asked)
        with lock:
            count[0] += asked == key and flight is not None and not flight.leads
            if count[0] >= number:
                all_wait.set()
        return flight

    monkeypatch.setattr(flights, "join", counted)
    yield all_wait


def test_eight_threads_make_one_call(monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight threads that ask the same get one call's result, and one of them made it."""
    flights, work = SingleFlight(), Work()
    with waiting(flights, "k", 7, monkeypatch) as all_wait, ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(flights.do, "k", work) for _ in range(8)]
        assert all_wait.wait(PATIENCE_S)
        work.go_on.set()
        landed = [one.result(PATIENCE_S) for one in asked]
    assert sorted(landed) == [(1, False), *[(1, True)] * 7]
    assert (work.made, keys_left(flights)) == (1, [])


async def test_eight_tasks_make_one_call(monkeypatch: pytest.MonkeyPatch) -> None:
    """So do eight tasks."""
    flights, work = SingleFlight(), Work()
    with waiting(flights, "k", 7, monkeypatch) as all_wait:
        asked = [asyncio.create_task(flights.ado("k", work.later)) for _ in range(8)]
        assert await asyncio.to_thread(all_wait.wait, PATIENCE_S)
        work.go_on.set()
        landed = await asyncio.gather(*asked)
    assert sorted(landed) == [(1, False), *[(1, True)] * 7]
    assert (work.made, keys_left(flights)) == (1, [])


@pytest.mark.parametrize("threads_lead", [True, False])
async def test_threads_and_tasks_share_a_call(monkeypatch: pytest.MonkeyPatch, threads_lead: bool) -> None:
    """Whoever comes first, threads wait for tasks and tasks for threads."""
    flights, work = SingleFlight(), Work()
    with waiting(flights, "k", 7, monkeypatch) as all_wait:
        asked: list[Any] = []
        for number in range(8):
            in_thread = number % 2 == (0 if threads_lead else 1)
            call = asyncio.to_thread(flights.do, "k", work) if in_thread else flights.ado("k", work.later)
            asked.append(asyncio.create_task(call))
            if number == 0:
                assert await asyncio.to_thread(work.begun.wait, PATIENCE_S)
        assert await asyncio.to_thread(all_wait.wait, PATIENCE_S)
        work.go_on.set()
        landed = await asyncio.gather(*asked)
    assert sorted(one.shared for one in landed) == [False, *[True] * 7]
    assert (work.made, keys_left(flights)) == (1, [])


def test_other_keys_do_not_wait() -> None:
    """A call under way holds up nobody who asks something else."""
    flights, work = SingleFlight(), Work()
    with ThreadPoolExecutor(1) as pool:
        held = pool.submit(flights.do, "a", work)
        assert work.begun.wait(PATIENCE_S)
        assert flights.do("b", lambda: 2) == (2, False)
        work.go_on.set()
        assert held.result(PATIENCE_S) == (1, False)


@settings(max_examples=20, deadline=None)
@given(callers=st.integers(1, 6), failures=st.integers(0, 6), tasks=st.booleans())
def test_everybody_has_only_errors_of_their_own_call(callers: int, failures: int, tasks: bool) -> None:
    """However many calls fail, each error reaches one caller, and the first success all who are left."""
    flights, work = SingleFlight(), Work(failures)

    async def all_tasks() -> list[Any]:
        asked = [asyncio.create_task(flights.ado("k", work.later)) for _ in range(callers)]
        await asyncio.sleep(0)
        work.go_on.set()
        return await asyncio.gather(*asked, return_exceptions=True)

    def one() -> Any:
        try:
            return flights.do("k", work)
        except ConnectionError as error:
            return error

    if tasks:
        given_out = asyncio.run(all_tasks())
    else:
        with ThreadPoolExecutor(callers) as pool:
            asked = [pool.submit(one) for _ in range(callers)]
            work.go_on.set()
            given_out = [done.result(PATIENCE_S) for done in asked]
    errors = [str(result) for result in given_out if isinstance(result, ConnectionError)]
    assert sorted(errors) == [str(number) for number in range(1, min(failures, callers) + 1)]
    assert all(result.value > failures for result in given_out if not isinstance(result, ConnectionError))
    assert keys_left(flights) == []


async def test_a_cancelled_leader_hands_over() -> None:
    """Whoever waits makes the call instead, and nobody else is cancelled."""
    flights, begun = SingleFlight(), asyncio.Event()

    async def for_ever() -> str:
        begun.set()
        await asyncio.Event().wait()
        return "never"

    async def at_once() -> str:
        return "made"

    leader = asyncio.create_task(flights.ado("k", for_ever))
    await begun.wait()
    follower = asyncio.create_task(flights.ado("k", at_once))
    await asyncio.sleep(0)
    leader.cancel()
    assert await follower == ("made", False)
    assert leader.cancelled()
    assert keys_left(flights) == []


async def test_a_cancelled_follower_takes_nobody_along() -> None:
    """One who gives up waiting ends neither the call nor the waiting of others."""
    flights, work = SingleFlight(), Work()
    leader, gone, stays = (asyncio.create_task(flights.ado("k", work.later)) for _ in range(3))
    assert await asyncio.to_thread(work.begun.wait, PATIENCE_S)
    gone.cancel()
    with pytest.raises(asyncio.CancelledError):
        await gone
    work.go_on.set()
    assert (await leader, await stays) == ((1, False), (1, True))


def test_a_follower_whose_loop_is_gone_disturbs_nobody(caplog: pytest.LogCaptureFixture) -> None:
    """A leader lands without a word when the loop of one who waited has been closed."""
    flights, work = SingleFlight(), Work()

    async def impatient() -> None:
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(flights.ado("k", work.later), 0.01)

    with caplog.at_level(logging.DEBUG), ThreadPoolExecutor(1) as pool:
        led = pool.submit(flights.do, "k", work)
        assert work.begun.wait(PATIENCE_S)
        asyncio.run(impatient())
        work.go_on.set()
        assert led.result(PATIENCE_S) == (1, False)
    assert [record.message for record in caplog.records if record.levelno >= logging.WARNING] == []


def test_a_call_within_an_equal_call_does_not_wait_for_itself() -> None:
    """Recursion with the same key is made, in threads of its own, too."""
    flights = SingleFlight()

    def outer() -> list[Any]:
        return [flights.do("k", lambda: "inner"), flights.do("k", lambda: "again")]

    assert flights.do("k", outer) == ([("inner", False), ("again", False)], False)
    assert keys_left(flights) == []


async def test_recursion_through_tasks_and_threads_does_not_wait_for_itself() -> None:
    """A leader's own tasks and threads are a part of it."""
    flights = SingleFlight()

    async def inner() -> str:
        return "inner"

    async def outer() -> list[Any]:
        task = asyncio.create_task(flights.ado("k", inner))
        return [await task, await asyncio.to_thread(flights.do, "k", lambda: "thread")]

    landed = await asyncio.wait_for(flights.ado("k", outer), PATIENCE_S)
    assert landed.value == [("inner", False), ("thread", False)]


async def test_a_blocking_call_in_the_loop_of_an_async_leader_is_made() -> None:
    """It would hold up the very loop that the leader needs, and so both for ever."""
    flights, release = SingleFlight(), asyncio.Event()

    async def led() -> str:
        await release.wait()
        return "led"

    leader = asyncio.create_task(flights.ado("k", led))
    await asyncio.sleep(0)
    assert flights.do("k", lambda: "blocking") == ("blocking", False)
    release.set()
    assert await leader == ("led", False)


def test_none_is_a_result_like_others() -> None:
    """Who waits for a call that gives None is given None, and does not make it again."""
    flights = SingleFlight()
    leader = flights.join("k")
    assert leader is not None
    with ThreadPoolExecutor(1) as pool:
        follower = pool.submit(flights.join, "k").result(PATIENCE_S)
    assert follower is not None
    leader.land(None)
    assert follower.wait() == (None, True)


def stream(flights: SingleFlight, pieces: list[str]) -> Iterator[str]:
    """Stream as caches do: whoever leads lands with all the pieces."""
    flight = flights.join("k")
    if flight is None or not flight.leads:
        yield from pieces if flight is None else (flight.wait() or (pieces, False))[0]
        return
    try:
        yield from pieces
        flight.land(pieces)
    finally:
        flight.give_up()


def test_who_reads_a_stream_may_ask_the_same_meanwhile() -> None:
    """The reader of a stream that leads is in the leader's thread: waiting for it would never end."""
    flights = SingleFlight()
    pieces = stream(flights, ["a", "b"])
    assert next(pieces) == "a"
    assert list(stream(flights, ["c"])) == ["c"]
    assert list(pieces) == ["b"]
    assert keys_left(flights) == []


@pytest.mark.parametrize("end", ["close", "forget"])
def test_an_abandoned_stream_hands_over(end: str) -> None:
    """A reader that goes away leaves no key behind, and who waits goes on by itself."""
    flights = SingleFlight()
    pieces = stream(flights, ["a", "b"])
    next(pieces)
    with ThreadPoolExecutor(1) as pool:
        follower = pool.submit(lambda: list(stream(flights, ["c"])))
        if end == "close":
            pieces.close()  # type: ignore[attr-defined]
        del pieces
        gc.collect()
        assert follower.result(PATIENCE_S) == ["c"]
    assert keys_left(flights) == []


def test_a_leader_that_is_forgotten_gives_up() -> None:
    """A stream that is dropped before its first piece never reaches its own `finally`."""
    flights = SingleFlight()
    leader = flights.join("k")
    with ThreadPoolExecutor(1) as pool:
        follower = pool.submit(lambda: flights.do("k", lambda: "made"))
        del leader
        gc.collect()
        assert follower.result(PATIENCE_S) == ("made", False)
    assert keys_left(flights) == []


def test_a_flight_that_is_over_ends_no_later_one() -> None:
    """Giving up or landing twice changes nothing about the call that somebody else has begun since."""
    flights = SingleFlight()
    first = flights.join("k")
    assert first is not None
    first.give_up()
    second = flights.join("k")
    assert second is not None
    assert second.leads
    first.give_up()
    assert first.land("late") == ("late", False)
    assert keys_left(flights) == ["k"]
    assert second.land("new") == ("new", False)
    assert second.wait() == ("new", True)


def test_an_interrupt_of_the_leader_leaves_no_key_behind() -> None:
    """KeyboardInterrupt and SystemExit go through, and nobody waits for ever."""
    flights = SingleFlight()

    def interrupted() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        flights.do("k", interrupted)
    assert keys_left(flights) == []
    assert flights.do("k", lambda: 1) == (1, False)


def test_who_waits_for_what_fails_waits_for_two_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    """After two leaders that failed nobody waits for a third: each has its own error, none is eighth in a row."""
    flights, made = SingleFlight(), Work(failures=8)
    joined: Counter[int] = Counter()
    with waiting(flights, "k", 7, monkeypatch) as all_wait, ThreadPoolExecutor(8) as pool:
        join = flights.join

        def counted(key: str) -> Flight | None:
            joined[threading.get_ident()] += 1
            return join(key)

        monkeypatch.setattr(flights, "join", counted)
        calls = [pool.submit(flights.do, "k", made) for _ in range(8)]
        assert all_wait.wait(PATIENCE_S)
        made.go_on.set()
        assert all(isinstance(call.exception(PATIENCE_S), ConnectionError) for call in calls)
    assert made.made == 8
    assert max(joined.values()) <= 2


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_child_process_does_not_wait_for_its_parents_threads() -> None:
    """A flight that a thread of the parent leads is none in the child."""
    flights = SingleFlight()
    leader = flights.join("k")
    context = multiprocessing.get_context("fork")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 warns of forks of processes with threads
        child = context.Process(target=lambda: flights.do("k", lambda: "made"))
        child.start()
    child.join(30)
    assert child.exitcode == 0
    assert leader is not None
    leader.give_up()
