"""A bounded queue of letters, and the one thread of a process that sends them."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable
from threading import Condition, RLock, Thread
from typing import Generic, TypeVar

from langchain_agentcost.ledger.fork import rest_at_fork

_T = TypeVar("_T")


class Outbox(Generic[_T]):
    """Sends letters in order, in a daemon thread that is there while there is something to send.

    A forked child begins with an empty outbox: what its parent had to send, the parent sends.

    Args:
        send: Sends one letter and tells whether it did. It may take its time, and does not raise.
        size: How many letters may wait.

    Attributes:
        lost: How many letters this process did not send: refused, forgotten or failed.
    """

    def __init__(self, send: Callable[[_T], bool], *, size: int) -> None:
        self._send = send
        self._size = size
        self._closed = False
        self._begin()
        rest_at_fork(self)

    def put(self, letter: _T) -> bool:
        """Take a letter; False where the outbox is full or closed. Never waits for anybody to send anything."""
        with self._changed:
            if self._closed or len(self._waiting) >= self._size:
                self.lost += 1
                return False
            self._waiting.append(letter)
            if self._thread is None:
                self._start()
            return True

    def flush(self, timeout_s: float) -> int:
        """Wait until all is sent, for so many seconds at most.

        Returns:
            How many letters are left, the one that is being sent among them.
        """
        with self._changed:
            self._changed.wait_for(lambda: not self._left(), timeout_s)
            return self._left()

    def pause(self, delay_s: float) -> bool:
        """Wait between two attempts to send; True where the outbox was closed, so that there should be no other."""
        with self._changed:
            return self._changed.wait_for(lambda: self._closed, delay_s)

    def close(self) -> int:
        """Take no more letters and forget those that wait. Closing twice is harmless.

        Returns:
            How many were forgotten.
        """
        with self._changed:
            forgotten = len(self._waiting)
            self._closed = True
            self.lost += forgotten
            self._waiting.clear()
            self._changed.notify_all()
            return forgotten

    def hold(self) -> None:
        """Wait for other threads before this process forks."""
        self._changed.acquire()

    def resume(self) -> None:
        """Go on after the fork; the child afresh."""
        if os.getpid() == self._pid:
            self._changed.release()
        else:
            self._begin()

    def _begin(self) -> None:
        self._pid = os.getpid()
        self.lost = 0
        # Reentrant: the garbage collector may end an abandoned run, and so tell of it, in the middle of a step here.
        self._changed = Condition(RLock())
        self._waiting: deque[_T] = deque()
        self._sending = False
        self._thread: Thread | None = None

    def _start(self) -> None:
        thread = Thread(target=self._work, name="agentcost-outbox", daemon=True)
        if self._thread is not None:  # a letter that was put while this thread was made has its own
            return
        self._thread = thread
        try:
            thread.start()
        except RuntimeError:  # no thread is to be had: the next letter tries again
            self._thread = None
            raise

    def _left(self) -> int:
        return len(self._waiting) + self._sending

    def _work(self) -> None:
        sent = True
        while (letter := self._next(sent=sent)) is not None:
            sent = self._send(letter)

    def _next(self, *, sent: bool) -> _T | None:
        """The next letter; None ends the thread, decided in the same step, so that no letter is left behind."""
        with self._changed:
            self.lost += not sent
            self._sending = bool(self._waiting)
            self._changed.notify_all()
            if not self._waiting:
                self._thread = None
                return None
            return self._waiting.popleft()
