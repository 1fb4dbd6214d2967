"""The vectors of one partition, and which of them are nearest to another.

The index holds copies of one byte a number, as a search takes as long as it has to read (100,000 x 384: 2 ms, where
half precision takes 8). What it finds is compared again with the whole vectors, and it is asked for more until no other
can come among the nearest.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeAlias

from langchain_agentcost.errors import MissingExtra

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    from numpy.typing import NDArray

    Floats: TypeAlias = NDArray[np.float32]

_STEPS = 127
"""Into how many steps the index divides the numbers from 0 to 1."""

_SLACK = 0.02
"""More than the index is off. A cosine is off by the sum of roundings times the other vector, whose length is 1: so its
deviation is that of one rounding, 1 / (127 * sqrt(12)) = 0.0023 whatever the size, or 0.0033 with both rounded."""

_LENGTH_SLACK = 1e-3
"""What a vector's length may be off 1 by, as those of half-precision models are."""

_FIRST, _BLOCK = 64, 16
"""How many the index is asked for at first, and how many of them are compared whole at a time."""

_FEW = 32
"""So many removed vectors do no harm."""

WholeVectors: TypeAlias = Callable[[Sequence[int]], Mapping[int, bytes]]
"""Gives the vectors of those of the numbered entries that are live."""


def as_bytes(vector: Sequence[float]) -> bytes:
    """Give a vector as stores keep it: of length 1, as little-endian float32.

    Args:
        vector: As an embedding gives it; one of zeros stays as it is, and is near to nothing.

    Raises:
        MissingExtra: If numpy is not installed.

    Example:
        >>> as_bytes([0.0, 2.0]).hex()
        '000000000000803f'
    """
    numpy = _numpy()
    whole = numpy.asarray(vector, numpy.float64)
    length = numpy.linalg.norm(whole)
    return bytes((whole / length if length else whole).astype("<f4").tobytes())


def is_usable(vector: bytes | None) -> bool:
    """Say whether bytes are a vector of length 1, and so may be compared with others.

    Example:
        >>> is_usable(as_bytes([1, 2])), is_usable(bytes(8)), is_usable(b"damaged"), is_usable(None)
        (True, False, False, False)
    """
    if not vector or len(vector) % 4:
        return False
    numpy = _numpy()
    return bool(_are_usable(numpy, numpy.frombuffer(vector, "<f4"))[()])


class Vectors:
    """A flat index of usable vectors of one size, each with a number that grows with its entry's age.

    Args:
        size: How many bytes a vector has.

    Raises:
        MissingExtra: If faiss is not installed.

    Example:
        >>> east, north = as_bytes([1, 0]), as_bytes([0, 1])
        >>> vectors = Vectors(len(east))
        >>> vectors.add({1: east, 2: north})
        >>> vectors.nearest(as_bytes([3, 4]), most=1, whole=lambda numbers: {1: east, 2: north})
        [(2, 0.8)]
    """

    def __init__(self, size: int) -> None:
        self._faiss = _faiss()
        self._numpy = _numpy()
        flat = self._faiss.IndexScalarQuantizer(
            size // 4, self._faiss.ScalarQuantizer.QT_8bit_direct_signed, self._faiss.METRIC_INNER_PRODUCT
        )
        self._index = self._faiss.IndexIDMap(flat)
        self._removed: set[int] = set()

    def __len__(self) -> int:
        """How many vectors there are."""
        return int(self._index.ntotal) - len(self._removed)

    def add(self, vectors: Mapping[int, bytes]) -> None:
        """Add vectors of this size under numbers that were never used; those that are not usable are left out."""
        numbers, rows = self._numpy.fromiter(vectors, self._numpy.int64, len(vectors)), self._rows(vectors.values())
        usable = _are_usable(self._numpy, rows)
        with _one_thread(self._faiss):
            self._index.add_with_ids((rows[usable] * _STEPS).round(), numbers[usable])

    def discard(self, number: int) -> None:
        """Remove a vector that is there. The index closes up now and then, as that moves all that is behind."""
        self._removed.add(number)
        if len(self._removed) > max(_FEW, self._index.ntotal // 8):
            self._index.remove_ids(self._numpy.fromiter(self._removed, self._numpy.int64, len(self._removed)))
            self._removed.clear()

    def nearest(self, vector: bytes, *, most: int, whole: WholeVectors) -> list[tuple[int, float]]:
        """Give the numbers and cosines of the nearest live entries, nearest first; of equal ones the oldest first.

        Args:
            vector: What to look for: usable and of this size.
            most: How many at most.
            whole: Gives the vectors of live entries.
        """
        query = self._rows([vector])
        found: list[tuple[int, float]] = []
        for best, numbers in self._candidates(query):
            if len(found) == most and best + _SLACK < found[-1][1]:
                break
            found = sorted(found + self._compared(query, whole(numbers)), key=lambda pair: (-pair[1], pair[0]))[:most]
        return found

    def _candidates(self, query: Floats) -> Iterator[tuple[float, list[int]]]:
        """Numbers by roughly falling cosine, a block at a time, each with the rough cosine of its first."""
        asked, seen = _FIRST, self._removed.copy()
        while there := int(self._index.ntotal):  # which falls when the index closes up meanwhile
            rough, numbers = self._search(query, min(asked + len(self._removed), there))
            new = [(cosine, number) for cosine, number in zip(rough, numbers, strict=True) if number not in seen]
            for start in range(0, len(new), _BLOCK):
                block = new[start : start + _BLOCK]
                yield block[0][0], [number for _, number in block]
            if len(numbers) == there:
                return
            seen.update(numbers)
            asked *= 16

    def _search(self, query: Floats, most: int) -> tuple[list[float], list[int]]:
        with _one_thread(self._faiss):
            similarities, numbers = self._index.search((query * _STEPS).round(), most)
        return (similarities[0] / _STEPS**2).tolist(), numbers[0].tolist()

    def _compared(self, query: Floats, vectors: Mapping[int, bytes]) -> list[tuple[int, float]]:
        """Cosines from whole vectors. Row by row: a matrix product may give equal rows unequal results."""
        rows = self._rows(vectors.values()).astype("f8")
        cosines = (rows * query).sum(axis=1).round(7).clip(-1, 1).tolist()
        usable = _are_usable(self._numpy, rows).tolist()
        return [pair for pair, good in zip(zip(vectors, cosines, strict=True), usable, strict=True) if good]

    def _rows(self, vectors: Any) -> Floats:
        rows = self._numpy.frombuffer(b"".join(vectors), "<f4").astype(self._numpy.float32, copy=False)
        return rows.reshape(-1, self._index.d)  # type: ignore[no-any-return]


def _are_usable(numpy: Any, rows: Any) -> Any:
    """Say of each row whether its length is 1."""
    whole = rows.astype("f8")
    with numpy.errstate(all="ignore"):
        return abs((whole * whole).sum(axis=-1) - 1) < 2 * _LENGTH_SLACK


@contextmanager
def _one_thread(faiss: Any) -> Iterator[None]:
    """Search in this thread alone: for one query, handing parts to others costs more than it saves.

    OpenMP keeps the number for each thread that asks, so other threads' searches go on as they were.
    """
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)


def _faiss() -> Any:
    try:
        import faiss  # noqa: PLC0415  # optional
    except ImportError as error:
        raise MissingExtra("faiss", extra="semantic", what="Looking for similar entries") from error
    return faiss


def _numpy() -> Any:
    try:
        import numpy  # noqa: PLC0415  # optional
    except ImportError as error:
        raise MissingExtra("numpy", extra="semantic", what="Looking for similar entries") from error
    return numpy
