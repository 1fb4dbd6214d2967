"""Replaying trace files in several processes: each reads all of them, and replays the runs of its own sources."""

from __future__ import annotations

import logging
import signal
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from multiprocessing import get_context, parent_process
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Any, Protocol
from zlib import crc32

from langchain_agentcost.errors import AgentCostError, PriceNotFoundWarning, ReplayError
from langchain_agentcost.pricing import PriceBook
from langchain_agentcost.replay.replaying import replay
from langchain_agentcost.replay.result import Result
from langchain_agentcost.replay.strategies import DEFAULT
from langchain_agentcost.replay.tariff import Tariffs
from langchain_agentcost.replay.traces import Faults, read_traces

_TICK_S = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What to replay, in words that another process understands.

    Args:
        traces: Trace files and folders, as `read_traces` takes them.
        at: The instant of the prices.
        strategies: The strategies, as `strategies` reads them.
        prices: A price file.
        model: Price every call as this model; None prices each as the model that answered.
        warm: Whether the provider's cache has the tools and system message when a run starts.
        drive: How many runs of every source and benchmark are made in a real graph too.
    """

    traces: tuple[str, ...]
    at: datetime
    strategies: str = ",".join(DEFAULT)
    prices: str | None = None
    model: str | None = None
    warm: bool = False
    drive: int = 0

    def tariffs(self) -> Tariffs:
        """Open the prices.

        Raises:
            PriceFileError: If the price file has a fault.
            ReplayError: If the model has no price.
        """
        return Tariffs(PriceBook(self.prices), model=self.model, at=self.at)


class Watch(Protocol):
    """Somebody who looks on, and may have the replay stopped."""

    def moved(self, read: int) -> None:
        """See how many bytes of the traces are read."""
        ...

    def stopping(self) -> bool:
        """Whether the replay shall stop where it is, and give what it has."""
        ...


def replay_files(job: Job, watch: Watch, *, processes: int = 1) -> Result:
    """Replay trace files. The result does not depend on the number of processes.

    Args:
        job: What to replay.
        watch: Who looks on.
        processes: How many processes share the work. The runs of one source stay together, because they share caches.

    Returns:
        What was found; where it was stopped it says that it is not complete.

    Raises:
        ReplayError: If there is no such file or strategy, a price is missing, or a process dies.
    """
    return _part(job, watch, 0, 1) if processes == 1 else _shared_out(job, watch, processes)


def _part(job: Job, watch: Watch, part: int, parts: int) -> Result:
    """Replay the runs of one part of the sources. Faults are the first part's, since all parts read the same files."""
    faults = Faults()

    def moved(read: int) -> None:
        watch.moved(read)
        heed()

    def heed(_: object = None) -> None:
        if watch.stopping():
            raise KeyboardInterrupt  # `replay` keeps what is done

    episodes = read_traces(job.traces, faults, moved=moved)
    own = (episode for episode in episodes if crc32(episode.source.encode()) % parts == part)
    result = replay(
        own, job.strategies, tariffs=job.tariffs(), warm=job.warm, drive=job.drive, faults=faults, seen=heed
    )
    if part:
        result.faults = Faults()
    return result


@dataclass(frozen=True, slots=True)
class _FromAfar:
    """The watch of a process: numbers in memory that it shares with the one that started it.

    Args:
        read: The bytes that each process has read.
        stop: 1 when it shall stop.
        part: Which process it is.
    """

    read: Any  # multiprocessing's arrays have no public type
    stop: Any
    part: int

    def moved(self, read: int) -> None:
        self.read[self.part] = read

    def stopping(self) -> bool:
        parent = parent_process()
        return bool(self.stop.value) or (parent is not None and not parent.is_alive())


def _shared_out(job: Job, watch: Watch, parts: int) -> Result:
    context = get_context("spawn")
    read, stop = context.RawArray("q", parts), context.RawValue("b", 0)
    pipes = [context.Pipe(duplex=False) for _ in range(parts)]
    processes = [
        context.Process(target=_work, args=(job, _FromAfar(read, stop, part), parts, answer), daemon=True)
        for part, (_, answer) in enumerate(pipes)
    ]
    try:
        with _without_interrupts():
            for process, (_, answer) in zip(processes, pipes, strict=True):
                process.start()
                answer.close()  # the process has its own end: when that is closed, nothing will come
        found: dict[int, Result] = {}
        while len(found) < parts:
            for part in _ready([pipe for pipe, _ in pipes], found):
                found[part] = _received(pipes[part][0], processes[part])
            watch.moved(sum(read) // parts)
            stop.value = watch.stopping()
        return _merged([found[part] for part in range(parts)])
    finally:
        for process in processes:
            if process.pid is not None:
                process.terminate()
                process.join()


def _ready(pipes: Sequence[Connection[Any, Any]], found: dict[int, Result]) -> list[int]:
    """Wait a moment for parts that are not there yet, and give those that have come."""
    waiting: dict[Any, int] = {pipe: part for part, pipe in enumerate(pipes) if part not in found}
    return [waiting[pipe] for pipe in wait(list(waiting), timeout=_TICK_S)]


def _received(pipe: Connection[Any, Any], process: SpawnProcess) -> Result:
    try:
        found = pipe.recv()
    except EOFError as error:
        process.join()
        raise ReplayError(
            f"A process of the replay ended with code {process.exitcode} before it was done: try fewer --jobs."
        ) from error
    if isinstance(found, Result):
        return found
    raise ReplayError(str(found))


def _merged(parts: Sequence[Result]) -> Result:
    first, *rest = parts
    for part in rest:
        first.merge(part)
    return first


def _work(job: Job, watch: _FromAfar, parts: int, answer: Connection[Any, Any]) -> None:
    """Be one of the processes. Ctrl-C reaches all of them; only the first one decides what it means."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    warnings.simplefilter("ignore", PriceNotFoundWarning)
    without_played_limits_in_the_log()
    found: Result | str
    try:
        found = _part(job, watch, watch.part, parts)
    except (AgentCostError, OSError) as error:
        found = str(error)
    with answer, suppress(BrokenPipeError):
        answer.send(found)


def without_played_limits_in_the_log() -> None:
    """Keep LangChain from logging every limit that stops a driven run: it takes it for a handler's error.

    For processes that do nothing else; what really goes wrong is raised.
    """
    logging.getLogger("langchain_core.callbacks.manager").setLevel(logging.ERROR)


@contextmanager
def _without_interrupts() -> Iterator[None]:
    """Hold Ctrl-C back while processes are started: they inherit that, and cannot die of it before they are ready."""
    if sys.platform == "win32":
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
