"""Lines of JSON in files that may be large, damaged or hostile: what cannot be read is named and left out."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, NamedTuple, TypeVar, cast

from langchain_agentcost.attribution import label

MAX_LINE_BYTES = 32 * 2**20
"""A longer line is left out unread: one run is far smaller, and a line takes ten times its length in memory."""

MAX_DEPTH = 64
"""Values that are nested deeper than this are no trace."""

NAMED = 20
"""How many faults are named; the rest are counted."""

J = TypeVar("J")


class Fault(NamedTuple):
    """Something that could not be read.

    Args:
        place: The file and the line, or what else names it.
        why: What is wrong with it.
    """

    place: str
    why: str

    def __str__(self) -> str:
        """Write it as a line for people."""
        return f"{self.place}: {self.why}"


@dataclass(slots=True)
class Faults:
    """What could not be read, counted, and the first of it named.

    Args:
        count: How many faults.
        named: The first of them.
    """

    count: int = 0
    named: list[Fault] = field(default_factory=list)

    def add(self, place: str, why: str) -> None:
        """Note a fault. What a trace says is shown without control characters and cut."""
        self.count += 1
        if len(self.named) < NAMED:
            self.named.append(Fault(label(place), label(why)))


class Line(NamedTuple):
    """A line that holds a JSON object.

    Args:
        place: Where it stands.
        record: What it holds.
    """

    place: str
    record: dict[str, Any]


def read_lines(path: Path, faults: Faults, *, moved: Callable[[int], None] = lambda _: None) -> Iterator[Line]:
    """Read the JSON objects of a file, one a line, in bounded memory.

    Args:
        path: A .jsonl file, or one that is compressed with gzip.
        faults: Where faults are noted: lines that are too long, no JSON, no object or nested too deep, and the end of a
            damaged file.
        moved: Told how many bytes of the file were read, now and then.

    Yields:
        The lines that can be read.
    """
    with path.open("rb") as raw:
        file = cast("IO[bytes]", gzip.GzipFile(fileobj=raw)) if raw.read(2) == b"\x1f\x8b" else raw
        raw.seek(0)
        for number, text in _cut(file, path, faults):
            moved(raw.tell())
            place = f"{path.name}:{number}"
            if text is None:
                faults.add(place, f"the line is longer than {MAX_LINE_BYTES:,} bytes")
            elif not text.isspace():
                record = _object(text, place, faults)
                if record is not None:
                    yield Line(place, record)


def _cut(file: IO[bytes], path: Path, faults: Faults) -> Iterator[tuple[int, bytes | None]]:
    """Cut a file into lines; None stands for one that is too long."""
    number = 0
    try:
        while text := file.readline(MAX_LINE_BYTES):
            number += 1
            if len(text) < MAX_LINE_BYTES or text.endswith(b"\n"):
                yield number, text
                continue
            while (rest := file.readline(MAX_LINE_BYTES)) and not rest.endswith(b"\n"):
                pass
            yield number, None
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        faults.add(f"{path.name}:{number + 1}", f"the file is damaged from here on ({error})")


def _object(text: bytes, place: str, faults: Faults) -> dict[str, Any] | None:
    try:
        record = json.loads(text)
    except (ValueError, RecursionError) as error:
        faults.add(place, f"not JSON: {error}" if isinstance(error, ValueError) else "nested too deep")
        return None
    if not isinstance(record, dict):
        faults.add(place, f"not an object, but {type(record).__name__}")
        return None
    if too_deep(record):
        faults.add(place, f"nested deeper than {MAX_DEPTH} levels")
        return None
    return encodable(record)


def encodable(value: J) -> J:
    r"""Give a JSON value whose texts can be written: half of a surrogate pair, which JSON may hold, becomes a "?".

    Example:
        >>> encodable(["a\ud800", "\u00e9"])
        ['a?', 'é']
    """
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        made: J = json.loads(json.dumps(value, ensure_ascii=False).encode("utf-8", "replace"))
        return made
    return value


def too_deep(value: Any) -> bool:
    """Tell whether a JSON value is nested deeper than `MAX_DEPTH`."""
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [inner for item in level if isinstance(item, dict | list) for inner in _inside(item)]
        if not level:
            return False
    return True


def _inside(item: dict[str, Any] | list[Any]) -> Iterator[Any]:
    return iter(item.values() if isinstance(item, dict) else item)
