"""What `plain_json` tells apart, and what it must not."""

from __future__ import annotations

import array
import enum
import itertools
import json
import subprocess
import sys
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any, NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, PrivateAttr, RootModel

from langchain_agentcost.caching.plain import MAX_DEPTH, plain_json
from langchain_agentcost.errors import Unkeyable

np = pytest.importorskip("numpy")
Image = pytest.importorskip("PIL.Image")


class Colour(enum.Enum):
    """An enum."""

    RED = 1
    BLUE = 2


class Other(enum.Enum):
    """Another one with a member of the same name."""

    RED = 1


class Rights(enum.Flag, boundary=enum.KEEP):
    """Flags, of which some combinations have no name."""

    READ = 1
    WRITE = 2


class Level(enum.IntEnum):
    """A number with a name."""

    LOW = 1


class Word(str):
    """A text of another type."""

    __slots__ = ()


class Amount(int):
    """A number that holds something besides."""

    currency: str

    def __new__(cls, value: int, currency: str) -> Amount:
        """Keep the currency."""
        made = super().__new__(cls, value)
        made.currency = currency
        return made


class Row(NamedTuple):
    """A tuple with names."""

    a: int


@dataclass(frozen=True)
class Point:
    """A dataclass."""

    a: int


@dataclass(frozen=True)
class Vector:
    """Another one with the same field."""

    a: int


class Order(BaseModel):
    """A model with whatever fields come, and a private one."""

    model_config = ConfigDict(extra="allow")
    a: int
    _note: str = PrivateAttr(default="")

    def with_note(self, note: str) -> Order:
        """Set the private field."""
        self._note = note
        return self


class Ticket(BaseModel):
    """Another one with the same field."""

    a: int


class Names(RootModel[list[str]]):
    """A model that iterates over something else than its fields."""

    def __iter__(self) -> Iterator[str]:  # type: ignore[override]
        return iter(self.root)


BERLIN, VIENNA, PLUS_ONE = ZoneInfo("Europe/Berlin"), ZoneInfo("Europe/Vienna"), timezone(timedelta(hours=1))


def palette_image(colours: list[int]) -> Any:
    """Give an image whose pixels are numbers of these colours."""
    image = Image.new("P", (2, 2))
    image.putpalette(colours)
    return image


def image_with(**info: Any) -> Any:
    """Give an image with metadata."""
    image = Image.new("L", (2, 2))
    image.info.update(info)
    return image


NUMBERS: list[Any] = [
    None, True, False, 0, 1, 1.0, 0.0, -0.0, float("nan"), float("inf"), 10**5000, 10**5000 + 1, Decimal(1),
    Decimal("1.0"), Level.LOW, Amount(1, "USD"), Amount(1, "EUR"), np.int64(1), np.int32(1), np.float64(1),
    np.float32(1),     np.bool_(1), np.datetime64("2026-01-01"), np.datetime64("2026-01-01T00:00:00"), hex(10**5000),
]  # fmt: skip
TEXTS: list[Any] = [
    "", "1", "true", "null", "!tuple", "a\0b", "a b", "é", "e\u0301", "\ud800", "\\ud800", "\U00010000", "\ud800\udc00",
    b"", b"1", bytearray(b"1"), memoryview(b"1"), memoryview(array.array("i", [1])), memoryview(array.array("f", [1])),
    Word("1"), np.str_("1"), np.bytes_(b"1"), PurePosixPath("1"), PureWindowsPath("1"),
    UUID("00000000-0000-0000-0000-000000000001"), "00000000-0000-0000-0000-000000000001",
]  # fmt: skip
BOXES: list[Any] = [
    [], (), {}, set(), frozenset(), [1], (1,), {1}, frozenset([1]), {"1": 1}, {1: 1}, {True: 1.0}, {"a": None},
    [[1], 2], [1, [2]], [1, 2], [[1, 2]], ["1", 2], ["1,2"], {"a": {"b": 1}}, {"a": 1, "b": 1}, {"!tuple": [1]},
    {"!dict": [["!tuple", [1]]]}, {"!set": []}, {"!str": ["eda080"]}, {"!int": [hex(10**5000)]}, OrderedDict(a=None),
    {("a", "b"): 1}, {"ab": 1}, {"\ud800\udc00": 1}, {"\U00010000": 1}, Row(1),
    {frozenset(["x"]): 1}, array.array("i", [1]), array.array("I", [1]), array.array("b", b"\1\0\0\0"),
]  # fmt: skip
PLAIN_DAY = datetime(2026, 1, 1)  # noqa: DTZ001  # tools are given such ones
TIMES: list[Any] = [
    date(2026, 1, 1), PLAIN_DAY, "2026-01-01", "2026-01-01T00:00:00", PLAIN_DAY.replace(fold=1),
    datetime(2026, 1, 1, tzinfo=BERLIN), datetime(2026, 1, 1, tzinfo=VIENNA), datetime(2026, 1, 1, tzinfo=PLUS_ONE),
    time(0), time(0, fold=1), time(0, tzinfo=PLUS_ONE), timedelta(1), timedelta(0, 1), timedelta(0, 0, 1),
]  # fmt: skip
OBJECTS: list[Any] = [
    Colour.RED, Colour.BLUE, Other.RED, Rights.READ, Rights.READ | Rights.WRITE, Rights(8), Rights(16), Point(1),
    Vector(1), Point(a=True), Order(a=1), Order.model_validate({"a": 1, "b": 1}),
    Order(a=1).with_note("x"), Ticket(a=1), Names(["ab"]),
    Names(["a", "b"]), {"a": 1}, [{"a": 1}, None, None],
]  # fmt: skip
ARRAYS: list[Any] = [
    np.array([1]), np.array([1], dtype="int32"), np.array([1], dtype=">i8"), np.array([[1]]), np.array([1, 0]),
    np.array(1), np.array([1.0]), np.array(["1"]), np.array([1], dtype=object), np.array(["1"], dtype=object),
    np.array([[1]], dtype=object), np.array([1.0], dtype=object), np.array([(1, 2)], dtype=[("a", "i4"), ("b", "i4")]),
    np.array([(1, 2)], dtype=[("a", "i4"), ("c", "i4")]), np.array([(1, "x")], dtype=[("a", "i4"), ("b", "O")]),
    np.array([(1, "y")], dtype=[("a", "i4"), ("b", "O")]), np.ma.array([1, 2], mask=[False, True], fill_value=2),
    np.ma.array([1, 2], mask=[False, False], fill_value=2), np.array([], dtype="f4"), np.zeros((0, 2), dtype="f4"),
    np.array([True]), np.array([1], dtype="uint8"), np.array([1], dtype="M8[s]"), np.array([1], dtype="M8[D]"),
    np.arange(4).reshape(2, 2), np.arange(4).reshape(2, 2).T,
]  # fmt: skip
IMAGES: list[Any] = [
    Image.new("L", (2, 2)), Image.new("L", (1, 4)), Image.new("P", (2, 2)), Image.new("RGB", (2, 2)),
    Image.new("1", (2, 2)), palette_image([0, 0, 0]), palette_image([255, 0, 0]), image_with(dpi=(72, 72)),
    image_with(dpi=(300, 300)), image_with(icc_profile=b"a"), image_with(icc_profile=b"b"),
]  # fmt: skip
ALL = [*NUMBERS, *TEXTS, *BOXES, *TIMES, *OBJECTS[:-2], *ARRAYS, *IMAGES]


def test_different_values_are_written_differently() -> None:
    """No two of a hundred and more values that are easily taken for one another share a form."""
    written = [plain_json(value) for value in ALL]
    same = [(ALL[a], ALL[b]) for a, b in itertools.combinations(range(len(ALL)), 2) if written[a] == written[b]]
    assert same == []


@pytest.mark.parametrize("wrap", [lambda v: [v], lambda v: {"k": v}, lambda v: (v,), lambda v: {("k",): v}, Point])
def test_what_differs_alone_differs_inside_something(wrap: Any) -> None:
    """A list, mapping, tuple or dataclass around the values changes nothing about that."""
    assert len({plain_json(wrap(value)) for value in ALL}) == len(ALL)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
        ({1: "a", "b": 2}, {"b": 2, 1: "a"}),
        ({"x", "y", ("z",)}, {("z",), "y", "x"}),
        (np.arange(6).reshape(2, 3), np.arange(12).reshape(2, 6)[:, ::2] // 2),
        (np.array([{"a": 1}], dtype=object), np.array([{"a": 1}], dtype=object)),
        (np.array([(1, "x" * 9)], dtype=[("a", "i4"), ("b", "O")]), np.array([(1, "x" * 9)], "i4,O").astype("i4,O")),
        (palette_image([1, 2, 3]), palette_image([1, 2, 3])),
        (Order.model_validate({"a": 1, "b": 2}), Order.model_validate({"b": 2, "a": 1})),
        (memoryview(b"abcd")[::2], memoryview(b"ac")),
    ],
)
def test_equal_values_are_written_equally(one: Any, other: Any) -> None:
    """Order of keys, memory layout and object identity do not show."""
    if getattr(one, "dtype", None) is not None and one.dtype.names:
        other.dtype.names = one.dtype.names
    assert plain_json(one) == plain_json(other)


@pytest.mark.parametrize(
    "value",
    [
        object(), len, lambda: 1, (letter for letter in "ab"), iter([]), map(str, ()), int, Point, np.ndarray,
        Image.Image, Colour,
        open, NotImplemented, Ellipsis, sys, type("Fake", (), {"tobytes": lambda self: self})(),
    ],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
@pytest.mark.parametrize(
    "wrap", [lambda v: v, lambda v: [v], lambda v: {"k": v}, lambda v: np.array([v, 0], dtype=object)]
)
def test_what_has_no_value_is_refused(value: Any, wrap: Any) -> None:
    """Functions, classes, iterators and clients cannot be compared, and are never written by their address."""
    with pytest.raises(Unkeyable):
        plain_json(wrap(value))


def test_a_quantity_keeps_its_unit() -> None:
    """A subclass of an array that holds something besides its numbers is not taken for another one."""

    class Quantity(np.ndarray):  # type: ignore[misc, name-defined]
        unit: str

    metres, feet = (np.array([1.0]).view(Quantity) for _ in range(2))
    metres.unit, feet.unit = "m", "ft"
    assert plain_json(metres) != plain_json(feet)


def test_what_holds_itself_is_refused() -> None:
    """Cycles end in an error that says so, also where they branch."""
    cycle: list[Any] = []
    cycle += [cycle, cycle]
    ring: dict[Any, Any] = {(1,): cycle}
    for value in (cycle, ring):
        with pytest.raises(Unkeyable, match="holds itself"):
            plain_json(value)


@pytest.mark.parametrize("wrap", [lambda v: [v], lambda v: {"!": v}, lambda v: (v,), lambda v: frozenset([v])])
def test_deep_nesting_is_refused_or_written_but_never_breaks(wrap: Any) -> None:
    """Nesting within the limit is written, quickly even for sets, and beyond it is refused."""
    value: Any = 1
    for _ in range(MAX_DEPTH // 4):
        value = wrap(value)
    assert plain_json(value) == plain_json(value)
    for _ in range(300):
        value = wrap(value) if not isinstance(value, frozenset) else (value,)
    with pytest.raises(Unkeyable, match="deeper"):
        plain_json(value)


plain_data = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(st.characters()), inner, max_size=3),
    max_leaves=8,
)


def typed(value: Any) -> Any:
    """A value as a literal that shows types and signs, keys sorted."""
    if isinstance(value, dict):
        return ("d", sorted((key, typed(item)) for key, item in value.items()))
    return ("l", [typed(item) for item in value]) if isinstance(value, list) else (type(value).__name__, repr(value))


@given(plain_data, plain_data)
def test_plain_data_is_written_one_to_one(one: Any, other: Any) -> None:
    """For any JSON data, lone surrogates and odd keys included, the form is the same if and only if the data is."""
    assert (plain_json(one) == plain_json(other)) == (repr(typed(one)) == repr(typed(other)))


@given(plain_data)
def test_what_is_written_is_ascii_json(value: Any) -> None:
    """Whatever goes in, ASCII that any JSON reader can read comes out."""
    assert plain_json(value).isascii()
    json.loads(plain_json(value))


_HASHED = """
from langchain_agentcost.caching.plain import plain_json
print(plain_json([{"b", "a", "c", ("d", 1)}, {frozenset("xyz"): 1, "k": 2, 3: 4}, frozenset(["q", "r", None])]))
"""


def test_another_process_writes_the_same() -> None:
    """Processes hash strings differently, and so iterate over sets in other orders; the form does not change."""
    made = {
        subprocess.run(  # our own interpreter and our own text
            [sys.executable, "-c", _HASHED], env={"PYTHONHASHSEED": seed}, capture_output=True, check=True
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(made) == 1
