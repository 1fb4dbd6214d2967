"""Making ledgers safe to fork.

SQLite connections must not be carried over a fork: the child believes it holds file locks that only the parent has, and
then one of them deletes the write-ahead log under the other (measured: ten acknowledged rows of twelve were lost). So
everything that must not cross a fork is let go of before one, in the parent, and opened again when it is next needed.
"""

from __future__ import annotations

import os
from typing import Protocol
from weakref import WeakSet


class Forkable(Protocol):
    """Something that has to be at rest while the process forks."""

    def hold(self) -> None:
        """Wait until nobody uses it, keep others out and let go of what must not be inherited."""
        ...

    def resume(self) -> None:
        """Let others in again; called in the parent and in the child."""
        ...


_LIVE: WeakSet[Forkable] = WeakSet()
"""The one piece of module state: Python's fork hooks are per process and cannot be taken back."""

_HELD: list[Forkable] = []


def rest_at_fork(item: Forkable) -> None:
    """Bring an object to rest whenever this process forks, as long as the object lives."""
    _LIVE.add(item)


def _before() -> None:
    for item in sorted(_LIVE, key=id):  # one order, so that two forking threads cannot wait for each other
        item.hold()
        _HELD.append(item)


def _after() -> None:
    while _HELD:
        _HELD.pop().resume()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before, after_in_parent=_after, after_in_child=_after)
