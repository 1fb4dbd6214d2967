"""The records of a JSON text, as units of an extract that is JSON again."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from langchain_agentcost.context.compress.units import Piece, Unit


class JsonLayout:
    """A JSON text in records: the elements of its lists and the members of its objects, down to a size.

    The rows of a table that `columnar` wrote are units, and its columns stay wherever a row stays. A unit that has to
    end early ends behind a value, or behind a word of a string, and its brackets are closed.

    Args:
        text: Valid JSON, an object or a list.
        most_chars: A larger part is taken apart further.

    Example:
        >>> layout = JsonLayout('{"open":[{"id":7},{"id":8}],"next":null}', most_chars=12)
        >>> [layout.text[unit.start : unit.end] for unit in layout.units]
        ['{"id":7}', '{"id":8}', '"next":null']
        >>> layout.written({1: layout.units[1].piece})
        '{"open":[{"id":8}]}'
    """

    ordered = True

    def __init__(self, text: str, *, most_chars: int) -> None:
        self.text = text
        self._root = _tree(text)
        self._numbers: dict[int, int] = {}
        parts = list(_parts(self._root, text, most_chars))
        for number, node in enumerate(parts):
            self._numbers[id(node)] = number
        self.units = tuple(Unit(node.start, node.end, section=number) for number, node in enumerate(parts))

    def written(self, kept: Mapping[int, Piece]) -> str:
        """Write JSON with what is kept, in its order."""
        root = self._root
        inner = self._inner(root, kept)
        return self.text[root.start : root.open] + inner + self.text[root.end - 1 : root.end] if kept else ""

    def cuts(self, unit: Unit) -> Iterator[int]:
        """Give the ends of its values, and of the words in its strings."""
        return _value_ends(self.text, unit)

    def said(self, piece: Piece) -> str:
        """Give the span with the quote and the brackets that it lacks."""
        return _closed(self.text[piece[0] : piece[1]])

    def _inner(self, node: _Node, kept: Mapping[int, Piece]) -> str:
        """What stands between the brackets."""
        said = [self._said(child, kept) for child in node.children]
        if node.table and any(said):
            columns = node.children[0]
            said[0] = self.text[columns.start : columns.end]
        return ",".join([one for one in said if one])

    def _said(self, node: _Node, kept: Mapping[int, Piece]) -> str:
        number = self._numbers.get(id(node))
        if number is None:
            inner = self._inner(node, kept) if node.children else ""
            return self.text[node.start : node.open] + inner + self.text[node.end - 1 : node.end] if inner else ""
        if number not in kept:
            return ""
        return self.said(kept[number])


@dataclass(slots=True)
class _Node:
    """An element of a list or a member of an object.

    Args:
        start: Where it starts, at its key if it has one.
        open: The place behind its bracket; 0 if it has none.
        end: The place behind it.
        children: What is in its brackets.
        table: Whether its first child is the columns of a table.
        key: Its key, as it is written.
    """

    start: int
    open: int = 0
    end: int = 0
    children: list[_Node] = field(default_factory=list)
    table: bool = False
    key: str = ""


_TOKEN = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|[{}\[\],:]|[^\s{}\[\],:"]+')
_ROWS = ('"_rows"', '"_items"')
_TABLES = (*_ROWS, '"_groups"')


def _tree(text: str) -> _Node:
    """The parts of a valid JSON text. Loops instead of recursion: a text may be deep."""
    root = _Node(0)
    stack = [root]
    start, key = -1, ""
    for found in _TOKEN.finditer(text):
        mark = found[0]
        if mark == ":":
            continue
        start = found.start() if start < 0 else start
        if mark in ("{", "["):
            node = _Node(start, found.end(), key=key)
            stack[-1].children.append(node)
            stack.append(node)
        elif mark in ("}", "]"):
            stack.pop().end = found.end()
        elif mark != "," and _KEY.match(text, found.end()):
            key = mark
            stack[-1].table |= mark == '"_cols"' and not stack[-1].children
            continue  # its value belongs to it
        elif mark != ",":
            stack[-1].children.append(_Node(start, 0, found.end(), key=key))
        start, key = -1, ""
    return root.children[0]


def _parts(node: _Node, text: str, most_chars: int) -> Iterator[_Node]:
    """The nodes that are units: small ones, and the rows of tables."""
    for child in node.children[1:] if node.table else node.children:
        if child.key in _TABLES and node.table:
            yield from _rows(child)
        elif child.children and child.end - child.start > most_chars:
            yield from _parts(child, text, most_chars)
        else:
            yield child


def _rows(node: _Node) -> Iterator[_Node]:
    for child in node.children:
        if node.key in _ROWS:
            yield child
        else:
            yield from child.children


_WORD_END = re.compile(r"(?<=[^\s\"\\])(?=\s)")
_KEY = re.compile(r"\s*:")


def _value_ends(text: str, unit: Unit) -> Iterator[int]:
    """The ends of all values in a part of a JSON text, and of the words in its strings."""
    for found in _TOKEN.finditer(text, unit.start, unit.end):
        mark = found[0]
        if mark in _OPENERS or _KEY.match(text, found.end()):
            continue
        if mark[0] == '"' and " " in mark:
            yield from (found.start() + word.start() for word in _WORD_END.finditer(mark))
        yield found.end()


_OPENERS = ("{", "[", ",", ":")
_CUT_TOKEN = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*("?)|[{}\[\]]')


def _closed(text: str) -> str:
    """A JSON text that ends early, with the quote and the brackets that it lacks."""
    missing: list[str] = []
    quote = ""
    for found in _CUT_TOKEN.finditer(text):
        if found[0] in ("{", "["):
            missing.append("}" if found[0] == "{" else "]")
        elif found[0] in ("}", "]"):
            missing.pop()
        else:
            quote = "" if found[1] else '"'
    return text + quote + "".join(reversed(missing))
