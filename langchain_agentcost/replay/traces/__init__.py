"""Recorded runs from where people have them. A converter is one file; `read_traces` finds the one that fits.

| what | where it is read |
|---|---|
| OpenAI chat, JSON Lines | `openai_chat` |
| a LangSmith export, JSON Lines | `langsmith` |
| LangGraph checkpoints: any saver by `checkpoints.episodes`, the file of a `SqliteSaver` by its path | `checkpoints` |
| the package's own ledger, with fingerprints, by its path or URL | `ledger` |
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from types import ModuleType

from langchain_agentcost.errors import ReplayError
from langchain_agentcost.replay.episode import Episode
from langchain_agentcost.replay.traces import checkpoints, langsmith, ledger, openai_chat
from langchain_agentcost.replay.traces.lines import Fault, Faults, read_lines

__all__ = ["Fault", "Faults", "read_traces"]

LINE_FORMATS: tuple[ModuleType, ...] = (openai_chat, langsmith)
"""Formats of JSON Lines. Each has NAME, `fits(record)` and `episodes(lines, faults, folder=…)`."""

FILE_FORMATS: tuple[ModuleType, ...] = (ledger, checkpoints)
"""Formats of whole files. Each has NAME, `fits(path)` and `read(path, faults)`."""

_MISSING = ("does not exist", "is no regular file, which can be read more than once: write it to one")
_ENDINGS = (".jsonl", ".jsonl.gz")
_SCHEME = "sqlite:///"


def read_traces(
    paths: Sequence[Path | str], faults: Faults, *, moved: Callable[[int], None] = lambda _: None
) -> Iterator[Episode]:
    """Read recorded runs, one by one, in bounded memory.

    Args:
        paths: Files of JSON Lines, compressed with gzip or not, or folders of them; SQLite files of a ledger or of
            checkpoints, or their URL, such as "sqlite:///costs.db".
        faults: Where faults are noted: what cannot be read is left out, counted and named.
        moved: Told how many bytes of all files were read, now and then.

    Yields:
        The runs. One whose id came before is a fault. A run's id is all that is remembered of it.

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
        moved(before)


def files_of(paths: Sequence[Path | str]) -> list[Path]:
    """Give the trace files that paths name: themselves, or all in a folder.

    Raises:
        ReplayError: If one is not there, or a folder has none.
    """
    files: list[Path] = []
    for path in map(_path, paths):
        inside = [path] if path.is_file() else sorted(f for f in path.glob("*") if f.name.endswith(_ENDINGS))
        if not inside:
            what = f"has no file that ends in {' or '.join(_ENDINGS)}" if path.is_dir() else _MISSING[path.exists()]
            raise ReplayError(f"{path} {what}.")
        files += inside
    return files


def _path(given: Path | str) -> Path:
    """The path that a path or the URL of a SQLite file names."""
    text = str(given)
    return Path(text.removeprefix(_SCHEME) if text.startswith(_SCHEME) else given)


def _read(path: Path, faults: Faults, moved: Callable[[int], None]) -> Iterator[Episode]:
    whole = next((form for form in FILE_FORMATS if form.fits(path)), None)
    return whole.read(path, faults) if whole is not None else _read_lines(path, faults, moved)


def _read_lines(path: Path, faults: Faults, moved: Callable[[int], None]) -> Iterator[Episode]:
    """Read JSON Lines in the first form that fits a line; lines before that fit none are faults.

    Raises:
        ReplayError: If there are such lines only.
    """
    lines = read_lines(path, faults, moved=moved)
    before = faults.count
    strange = False
    for line in lines:
        form = next((form for form in LINE_FORMATS if form.fits(line.record)), None)
        if form is not None:
            yield from form.episodes(chain((line,), lines), faults, folder=path.parent)
            return
        strange = True
        faults.add(line.place, "in none of the formats that can be read")
    if strange:
        known = ", ".join(form.NAME for form in (*LINE_FORMATS, *FILE_FORMATS))
        raise ReplayError(f"{path} is in none of the formats that can be read: {known}.")
    if faults.count == before:
        faults.add(path.name, "nothing is in it")
