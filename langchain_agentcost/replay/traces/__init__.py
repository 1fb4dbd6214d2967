"""Recorded runs from where people have them. A converter is one file; `read_traces` finds the one that fits."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import chain, islice
from pathlib import Path
from types import ModuleType

from langchain_agentcost.errors import ReplayError
from langchain_agentcost.replay.episode import Episode
from langchain_agentcost.replay.traces import openai_chat
from langchain_agentcost.replay.traces.lines import Fault, Faults, read_lines

__all__ = ["Fault", "Faults", "read_traces"]

LINE_FORMATS: tuple[ModuleType, ...] = (openai_chat,)
"""Formats of JSON Lines. Each has NAME, `fits(record)` and `episodes(lines, faults, folder=…)`."""

_ENDINGS = (".jsonl", ".jsonl.gz")


def read_traces(
    paths: Sequence[Path | str], faults: Faults, *, moved: Callable[[int], None] = lambda _: None
) -> Iterator[Episode]:
    """Read recorded runs, one by one, in bounded memory.

    Args:
        paths: Files of JSON Lines, compressed with gzip or not, or folders of them.
        faults: Where faults are noted: what cannot be read is left out, counted and named.
        moved: Told how many bytes of all files were read, now and then.

    Yields:
        The runs. One whose id came before is a fault.

    Raises:
        ReplayError: If there is no such file, or no format fits it.
    """
    files = files_of(paths)
    seen: set[str] = set()
    before = 0
    for path in files:
        for episode in _read(path, faults, lambda read, before=before: moved(before + read)):  # type: ignore[misc]
            if episode.id in seen:
                faults.add(path.name, f"run {episode.id} was there before")
                continue
            seen.add(episode.id)
            yield episode
        before += path.stat().st_size


def files_of(paths: Sequence[Path | str]) -> list[Path]:
    """Give the trace files that paths name: themselves, or all in a folder.

    Raises:
        ReplayError: If one is not there, or a folder has none.
    """
    files: list[Path] = []
    for path in map(Path, paths):
        inside = [path] if path.is_file() else sorted(f for f in path.glob("*") if f.name.endswith(_ENDINGS))
        if not inside:
            what = f"has no file that ends in {' or '.join(_ENDINGS)}" if path.is_dir() else "does not exist"
            raise ReplayError(f"{path} {what}.")
        files += inside
    return files


def _read(path: Path, faults: Faults, moved: Callable[[int], None]) -> Iterator[Episode]:
    lines = read_lines(path, faults, moved=moved)
    first = list(islice(lines, 1))
    if not first:
        return
    form = next((form for form in LINE_FORMATS if form.fits(first[0].record)), None)
    if form is None:
        known = ", ".join(form.NAME for form in LINE_FORMATS)
        raise ReplayError(f"{path} is in none of the formats that can be read: {known}.")
    yield from form.episodes(chain(first, lines), faults, folder=path.parent)
