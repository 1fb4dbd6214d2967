"""A model call through a cache: looked up, shared with equal calls under way, made, and kept."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessageChunk, message_chunk_to_message
from langchain_core.runnables import RunnableConfig

from langchain_agentcost.caching.answer import StoredAnswer, of_a_model
from langchain_agentcost.caching.ask import Ask
from langchain_agentcost.caching.reporting import atell, tell
from langchain_agentcost.caching.semantic import SemanticCache
from langchain_agentcost.caching.singleflight import LEADERS, Flight
from langchain_agentcost.caching.turn import Served, Turn


def through(
    cache: SemanticCache, ask: Ask, call: Callable[[], AIMessage], config: RunnableConfig | None = None
) -> AIMessage:
    """Make a model call through a cache.

    Args:
        cache: The cache.
        ask: What is asked.
        call: Asks the model.
        config: The run's config, for whoever listens; None is that of the run that this code is in.

    Returns:
        The model's message, or a stored one.
    """
    turn = cache.begin(ask, config)
    if turn.served is not None:
        return _told(turn.served, config)
    if turn.key is None:
        return call()
    own: list[AIMessage] = []

    def lead() -> StoredAnswer | None:
        since = cache.again(turn)
        if since is not None:
            own.append(_told(since, config))
            return since.answer
        own.append(call())
        return cache.finish(turn, own[0]) if of_a_model(own[0]) else None

    landed = cache.flights.do(turn.key.exact, lead)
    if own:
        return own[0]
    return call() if landed.value is None else _told(cache.shared(landed.value), config)


async def athrough(
    cache: SemanticCache, ask: Ask, call: Callable[[], Awaitable[AIMessage]], config: RunnableConfig | None = None
) -> AIMessage:
    """Make an async model call through a cache; see `through`."""
    turn = await cache.abegin(ask, config)
    if turn.served is not None:
        return await _atold(turn.served, config)
    if turn.key is None:
        return await call()
    own: list[AIMessage] = []

    async def lead() -> StoredAnswer | None:
        since = await cache.shelf.off_loop(cache.again, turn)
        if since is not None:
            own.append(await _atold(since, config))
            return since.answer
        own.append(await call())
        return await cache.afinish(turn, own[0]) if of_a_model(own[0]) else None

    landed = await cache.flights.ado(turn.key.exact, lead)
    if own:
        return own[0]
    return await call() if landed.value is None else await _atold(cache.shared(landed.value), config)


def pieces_through(
    cache: SemanticCache, ask: Ask, call: Callable[[], Iterator[AIMessageChunk]], config: RunnableConfig | None = None
) -> Iterator[AIMessageChunk]:
    """Stream a model call through a cache; see `through`. Another call's answer is replayed when it is whole."""
    turn = cache.begin(ask, config)
    if turn.key is None:
        yield from call()
        return
    served, leading = (turn.served, None) if turn.served is not None else _boarded(cache, turn, turn.key.exact)
    with _ended(leading):
        if served is not None:
            tell(served.hit, config)
            _land(leading, served.answer)
            yield from served.answer.chunks(served.mark)
            return
        gathered = _Gathered()
        for piece in call():
            gathered.add(piece)
            with _with_reader(leading):
                yield piece
        message = gathered.message
        if message is not None:
            _land(leading, cache.finish(turn, message, gathered.lengths))


async def apieces_through(
    cache: SemanticCache,
    ask: Ask,
    call: Callable[[], AsyncIterator[AIMessageChunk]],
    config: RunnableConfig | None = None,
) -> AsyncIterator[AIMessageChunk]:
    """Stream an async model call through a cache; see `pieces_through`."""
    turn = await cache.abegin(ask, config)
    if turn.key is None:
        async with _closed(call()) as pieces:
            async for piece in pieces:
                yield piece
        return
    served, leading = (turn.served, None) if turn.served is not None else await _aboarded(cache, turn, turn.key.exact)
    with _ended(leading):
        if served is not None:
            await atell(served.hit, config)
            _land(leading, served.answer)
            for piece in served.answer.chunks(served.mark):
                yield piece
            return
        gathered = _Gathered()
        async with _closed(call()) as pieces:
            async for piece in pieces:
                gathered.add(piece)
                with _with_reader(leading):
                    yield piece
        message = gathered.message
        if message is not None:
            _land(leading, await cache.afinish(turn, message, gathered.lengths))


def _boarded(cache: SemanticCache, turn: Turn, key: str) -> tuple[Served | None, Flight | None]:
    """Wait for an equal call under way, for its answer, or lead one; neither where waiting would be in vain."""
    for _ in range(LEADERS):
        flight = cache.flights.board(key)
        if flight is None or flight.blocks_this_loop():
            return None, None
        if flight.leads:
            return cache.again(turn), flight
        landed = flight.wait()
        if landed is not None and landed.value is not None:
            return cache.shared(landed.value), None
        if landed is not None or flight.stalled():
            break
    return None, None


async def _aboarded(cache: SemanticCache, turn: Turn, key: str) -> tuple[Served | None, Flight | None]:
    """Wait for an equal call under way in async code; see `_boarded`."""
    for _ in range(LEADERS):
        flight = cache.flights.board(key)
        if flight is None:
            return None, None
        if flight.leads:
            return await cache.shelf.off_loop(cache.again, turn), flight
        landed = await flight.await_it()
        if landed is not None and landed.value is not None:
            return cache.shared(landed.value), None
        if landed is not None or flight.stalled():
            break
    return None, None


class _Gathered:
    """A stream, put together."""

    def __init__(self) -> None:
        self._whole: BaseMessageChunk | None = None
        self.lengths: list[int] = []

    def add(self, piece: AIMessageChunk) -> None:
        self._whole = piece if self._whole is None else self._whole + piece
        self.lengths.append(len(piece.text))

    @property
    def message(self) -> AIMessage | None:
        whole = None if self._whole is None else message_chunk_to_message(self._whole)
        return whole if isinstance(whole, AIMessage) else None


@contextmanager
def _ended(flight: Flight | None) -> Iterator[None]:
    """See to it that a flight that is led here ends, also where the stream is left or fails."""
    try:
        yield
    finally:
        if flight is not None:
            flight.give_up()


@contextmanager
def _with_reader(flight: Flight | None) -> Iterator[None]:
    """Let those who wait know that the stream is with its reader."""
    if flight is None:
        yield
    else:
        with flight.with_reader():
            yield


@asynccontextmanager
async def _closed(pieces: AsyncIterator[AIMessageChunk]) -> AsyncIterator[AsyncIterator[AIMessageChunk]]:
    """See to it that a stream that is left half-way ends at once, and not when it is collected."""
    try:
        yield pieces
    finally:
        if isinstance(pieces, AsyncGenerator):
            await pieces.aclose()


def _land(flight: Flight | None, answer: StoredAnswer) -> None:
    if flight is not None:
        flight.land(answer)


def _told(served: Served, config: RunnableConfig | None) -> AIMessage:
    tell(served.hit, config)
    return served.message


async def _atold(served: Served, config: RunnableConfig | None) -> AIMessage:
    await atell(served.hit, config)
    return served.message
