"""Where results are kept that are not in the prompt: any LangGraph store, under a short hash of what they say."""

from __future__ import annotations

import time
from base64 import b32encode
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from threading import Lock
from typing import Any

from langchain_core.runnables.config import run_in_executor
from langgraph.store.base import NOT_PROVIDED, BaseStore, Item, NotProvided

from langchain_agentcost.canonical import digest
from langchain_agentcost.context.references.namespace import Namespace

_LENGTHS = (8, 10, 13, 16, 26)
"""How many characters of the hash make a reference: more only where another text has the same ones."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A result as it was before it was put aside.

    Args:
        text: Its text, to the letter.
        tool: The tool that gave it; "" where it has no name.
        at: When it was put there, in seconds since 1970.
    """

    text: str
    tool: str
    at: float


class Shelf:
    """Puts texts into a store and finds them again. Safe to share between threads and event loops.

    Whatever the store raises is raised.

    Args:
        store: Any LangGraph store.
        ttl_s: How long a text can be read, in seconds. A store that has lifetimes gets it; for others, an old text is
            not found and deleted when it is asked for.
        max_bytes: How much is kept of what this object has put there; the oldest is deleted.
        clock: The time in seconds since 1970.

    Example:
        >>> from langgraph.store.memory import InMemoryStore
        >>> shelf = Shelf(InMemoryStore())
        >>> ref = shelf.put(("acme",), "A long text.", tool="search")
        >>> ref, shelf.get(("acme",), ref).text, shelf.get(("other",), ref)
        ('m3fqrieb', 'A long text.', None)
    """

    def __init__(
        self,
        store: BaseStore,
        *,
        ttl_s: float | None = None,
        max_bytes: int = 64_000_000,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store, self._ttl_s, self._clock = store, ttl_s, clock
        self._index = _Index(max_bytes)

    @property
    def bytes_kept(self) -> int:
        """How much this object has put there that was not deleted."""
        return self._index.bytes_kept

    def put(self, namespace: Namespace, text: str, *, tool: str = "") -> str | None:
        """Keep a text. The same text again is kept once, from now on anew.

        Args:
            namespace: Whose it is.
            text: Any text.
            tool: The tool that gave it.

        Returns:
            Its reference, which depends on namespace and text only; None where it is too long to keep.
        """
        size = _size(text)
        if not self._index.fits(size):
            return None
        for ref in _refs(namespace, text):
            if self._is_free(self._store.get(namespace, ref, refresh_ttl=False), text):
                self._store.put(namespace, ref, self._value(text, tool), index=False, ttl=self._ttl())
                for place in self._index.add((namespace, ref), size):
                    self._store.delete(*place)
                return ref
        return None

    async def aput(self, namespace: Namespace, text: str, *, tool: str = "") -> str | None:
        """Keep a text from async code; see `put`. A store without async methods is asked in a thread."""
        try:
            return await self._aput(namespace, text, tool)
        except NotImplementedError:
            return await run_in_executor(None, partial(self.put, namespace, text, tool=tool))

    async def _aput(self, namespace: Namespace, text: str, tool: str) -> str | None:
        size = _size(text)
        if not self._index.fits(size):
            return None
        for ref in _refs(namespace, text):
            if self._is_free(await self._store.aget(namespace, ref, refresh_ttl=False), text):
                await self._store.aput(namespace, ref, self._value(text, tool), index=False, ttl=self._ttl())
                for place in self._index.add((namespace, ref), size):
                    await self._store.adelete(*place)
                return ref
        return None

    def get(self, namespace: Namespace, ref: str) -> Kept | None:
        """Give what is kept under a reference; None where there is nothing, or no longer."""
        item = self._store.get(namespace, ref)
        if item is None:
            return None
        kept = _kept(item)
        if kept is None or not self._expired(kept):
            return kept
        self._store.delete(namespace, ref)
        self._index.drop((namespace, ref))
        return None

    async def aget(self, namespace: Namespace, ref: str) -> Kept | None:
        """Give what is kept under a reference, from async code; see `get`."""
        try:
            return await self._aget(namespace, ref)
        except NotImplementedError:
            return await run_in_executor(None, self.get, namespace, ref)

    async def _aget(self, namespace: Namespace, ref: str) -> Kept | None:
        item = await self._store.aget(namespace, ref)
        if item is None:
            return None
        kept = _kept(item)
        if kept is None or not self._expired(kept):
            return kept
        await self._store.adelete(namespace, ref)
        self._index.drop((namespace, ref))
        return None

    def _is_free(self, item: Item | None, text: str) -> bool:
        """Whether a reference is nobody's, or this text's."""
        kept = _kept(item) if item is not None else None
        return kept is None or kept.text == text or self._expired(kept)

    def _expired(self, kept: Kept) -> bool:
        return self._ttl_s is not None and self._clock() - kept.at > self._ttl_s

    def _value(self, text: str, tool: str) -> dict[str, Any]:
        return asdict(Kept(text, tool, self._clock()))

    def _ttl(self) -> float | NotProvided | None:
        """What a store takes: minutes, if it takes any."""
        if not self._store.supports_ttl or self._ttl_s is None:
            return NOT_PROVIDED
        return self._ttl_s / 60


Place = tuple[Namespace, str]


class _Index:
    """What was put, oldest first, and how large it is."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._sizes: OrderedDict[Place, int] = OrderedDict()
        self._lock = Lock()
        self.bytes_kept = 0

    def fits(self, size: int) -> bool:
        return size <= self._max_bytes

    def add(self, place: Place, size: int) -> list[Place]:
        """Note a text; give the places of what has to go for it."""
        gone: list[Place] = []
        with self._lock:
            self.bytes_kept += size - self._sizes.pop(place, 0)
            self._sizes[place] = size
            while self.bytes_kept > self._max_bytes:
                oldest, freed = self._sizes.popitem(last=False)
                self.bytes_kept -= freed
                gone.append(oldest)
        return gone

    def drop(self, place: Place) -> None:
        with self._lock:
            self.bytes_kept -= self._sizes.pop(place, 0)


def _refs(namespace: Namespace, text: str) -> list[str]:
    """The references that a text may have, the shortest first. Another namespace's are others, so none tells of it."""
    key = digest("\0".join(namespace))
    full = b32encode(digest(text, key=key)).decode().rstrip("=").lower()
    return [full[:length] for length in _LENGTHS]


def _size(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))


def _kept(item: Item) -> Kept | None:
    """What a store gave, if it is what was put there: a store may be anybody's."""
    text, tool, at = (item.value.get(name) for name in ("text", "tool", "at"))
    if isinstance(text, str) and isinstance(tool, str) and isinstance(at, int | float):
        return Kept(text, tool, float(at))
    return None
