"""Of equal calls at the same time, one is made, and the others wait for what it gives."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from itertools import count
from threading import Lock, get_ident
from time import monotonic
from typing import Any, Generic, NamedTuple, TypeVar

T = TypeVar("T")

_LEADING: ContextVar[frozenset[tuple[int, str]]] = ContextVar("agentcost_leading", default=frozenset())
"""The flights that this code is a part of, so that a call within an equal call does not wait for itself."""


PATIENCE_S = 1.0
"""How long those who wait for a stream bear with a reader that does not read on: he may be the one who waits."""


LEADERS = 2
"""So many that fail one after the other are waited for; then everybody has its own error at once."""


class Landed(NamedTuple, Generic[T]):
    """What a call gave, and whether it was another one's."""

    value: T
    shared: bool


class SingleFlight:
    """Makes one call of many equal ones, in threads and asyncio tasks alike.

    A leader that fails or is cancelled hands over: the next one makes the call itself, so nobody gets an error that is
    not of its own call. Where that one fails too, the others wait no longer: each makes its own. A call that would wait
    for itself is simply made.

    Example:
        >>> flights = SingleFlight()
        >>> flights.do("key", lambda: 42)
        Landed(value=42, shared=False)
    """

    def __init__(self) -> None:
        self._calls: dict[str, _Call] = {}
        self._lock = Lock()
        self._process = os.getpid()

    def do(self, key: str, call: Callable[[], T]) -> Landed[T]:
        """Make a call, or wait for the one that is under way.

        Args:
            key: What equal calls have in common.
            call: Makes it.

        Returns:
            Its result.

        Raises:
            BaseException: Whatever this caller's own call raises.
        """
        for tried in count(1):
            flight = self.join(key)
            if flight is None or flight.blocks_this_loop():
                return Landed(call(), shared=False)
            if flight.leads:
                with self._leading(key, flight):
                    return flight.land(call())
            landed = flight.wait()
            if landed is not None:
                return landed
            if tried == LEADERS or flight.stalled():
                return Landed(call(), shared=False)
        raise AssertionError  # the loop has no end

    async def ado(self, key: str, call: Callable[[], Awaitable[T]]) -> Landed[T]:
        """Make an async call, or wait for the one that is under way; see `do`."""
        for tried in count(1):
            flight = self.join(key)
            if flight is None:
                return Landed(await call(), shared=False)
            if flight.leads:
                with self._leading(key, flight):
                    return flight.land(await call())
            landed = await flight.await_it()
            if landed is not None:
                return landed
            if tried == LEADERS or flight.stalled():
                return Landed(await call(), shared=False)
        raise AssertionError  # the loop has no end

    def join(self, key: str) -> Flight | None:
        """Board a flight, for calls that are more than one function: streams.

        Args:
            key: What equal calls have in common.

        Returns:
            The flight; who leads it must `land` or `give_up`. None where waiting could never end.
        """
        if self._process != os.getpid():  # a fork: the threads that lead these flights are the parent's
            self._calls, self._lock, self._process = {}, Lock(), os.getpid()
        with self._lock:
            call = self._calls.get(key)
            if call is None:
                done: Future[Landed[Any] | None] = Future()
                call = _Call(done, get_ident(), *_here(), end=lambda: self._end(key, done))
                self._calls[key] = call
                return Flight(call, leads=True)
        flight = Flight(call, leads=False)
        return None if (id(self), key) in _LEADING.get() or flight.is_of_this_code() else flight

    def board(self, key: str) -> Flight | None:
        """Board a flight from a generator, see `join`: equal calls that its own steps make are not to wait for it."""
        flight = self.join(key)
        if flight is not None and flight.leads:
            _LEADING.set(_LEADING.get() | {(id(self), key)})  # LangChain runs a stream in a context of its own
        return flight

    def _end(self, key: str, done: Future[Landed[Any] | None]) -> None:
        """Forget a flight, and no later one: nobody but its leader ends it, so no lock is needed."""
        call = self._calls.get(key)
        if call is not None and call.done is done:
            del self._calls[key]

    @contextmanager
    def _leading(self, key: str, flight: Flight) -> Iterator[None]:
        token = _LEADING.set(_LEADING.get() | {(id(self), key)})
        try:
            yield
        finally:
            _LEADING.reset(token)
            flight.give_up()


@dataclass(slots=True, eq=False)
class _Call:
    """A call under way, as all who take part in it share it."""

    done: Future[Landed[Any] | None]
    thread: int
    loop: asyncio.AbstractEventLoop | None
    task: asyncio.Task[Any] | None
    end: Callable[[], object]
    with_reader_since: float | None = None


class Flight:
    """A call under way, as its leader or one who waits sees it.

    Args:
        call: What all of them share.
        leads: Whether this one makes the call.
    """

    __slots__ = ("_call", "leads")

    def __init__(self, call: _Call, *, leads: bool) -> None:
        self._call = call
        self.leads = leads

    def is_of_this_code(self) -> bool:
        """Whether this very thread and task leads it: a stream whose reader asks the same thing."""
        return self._call.thread == get_ident() and self._call.task is _here()[1]

    def blocks_this_loop(self) -> bool:
        """Whether its leader needs the event loop of this thread, which waiting without `await` would hold up."""
        return not self.leads and self._call.loop is not None and self._call.loop is _here()[0]

    @contextmanager
    def with_reader(self) -> Iterator[None]:
        """Hand a piece of a stream out: until the reader comes back for the next one, nothing goes on."""
        self._call.with_reader_since = monotonic()
        yield
        self._call.with_reader_since = None

    def stalled(self) -> bool:
        """Whether its reader has not read on for so long that nobody should wait for it."""
        since = self._call.with_reader_since
        return since is not None and monotonic() - since >= PATIENCE_S

    def land(self, value: T) -> Landed[T]:
        """Give the result to all who wait, and to the leader."""
        if not self._call.done.done():
            self._call.end()
            self._call.done.set_result(Landed(value, shared=True))
        return Landed(value, shared=False)

    def give_up(self) -> None:
        """Say that there will be no result, unless there is one: of those who wait, one makes the call."""
        if not self._call.done.done():
            self._call.end()
            self._call.done.set_result(None)

    def wait(self) -> Landed[Any] | None:
        """Wait for the result; None where there will be none, or the call is stalled."""
        while not self.stalled():
            with suppress(TimeoutError):
                return self._call.done.result(timeout=PATIENCE_S)
        return None

    async def await_it(self) -> Landed[Any] | None:
        """Wait without blocking, see `wait`; one who is cancelled takes nobody with it."""
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[Landed[Any] | None] = loop.create_future()

        def settle(landed: Landed[Any] | None) -> None:
            if not waiter.done():
                waiter.set_result(landed)

        def wake(done: Future[Landed[Any] | None]) -> None:
            with suppress(RuntimeError):  # its loop is closed: nobody waits there any more
                loop.call_soon_threadsafe(settle, done.result())

        self._call.done.add_done_callback(wake)
        while not (waiter.done() or self.stalled()):
            await asyncio.wait((waiter,), timeout=PATIENCE_S)
        return waiter.result() if waiter.done() else None

    def __del__(self) -> None:
        """Let nobody wait for a leader that is gone: a stream that was dropped before it was begun."""
        if self.leads:
            self.give_up()


def _here() -> tuple[asyncio.AbstractEventLoop | None, asyncio.Task[Any] | None]:
    """The event loop and the task that this code runs in."""
    try:
        return asyncio.get_running_loop(), asyncio.current_task()
    except RuntimeError:
        return None, None
