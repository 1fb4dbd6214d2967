"""What can be told of an answer without asking anybody: figures of it, and its words."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable
from itertools import pairwise
from math import log1p, sqrt
from zlib import crc32

_BUCKETS = 1 << 15
_NUMBER = re.compile(r"\d+(?:,\d{3})*(?:\.\d+)?")
_TOKEN = re.compile(r"\d+|[^\W\d_]+|[^\w\s]")
_WORD = re.compile(r"[^\W\d_]{2,}")
_SUM = re.compile(r"(-?[\d.,]{0,15}\d)\s?([-+*/\u00d7\u00f7])\s?([\d.,]{0,15}\d)\s?=\s?\$?(-?[\d.,]{0,15}\d)")
_CALCULATE: dict[str, Callable[[float, float], float]] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "\u00d7": lambda a, b: a * b,
    "/": lambda a, b: a / b,
    "\u00f7": lambda a, b: a / b,
}
_OPENING = {")": "(", "]": "[", "}": "{"}


def figures(prompt: str, answer: str) -> dict[str, float]:
    """Measure an answer: whether its sums come out, how it goes with its prompt, whether it repeats or breaks off.

    Args:
        prompt: What was asked.
        answer: The answer's text.

    Returns:
        Twelve numbers by name. Lengths are among them, as counts of numbers and words, and never decide alone.

    Example:
        >>> found = figures("What are 3 rows of 4 seats?", "3 * 4 = 13, so there are 13 seats.")
        >>> found["wrong sums"] > 0, found["right sums"]
        (True, 0.0)
    """
    numbers, asked_numbers = _numbers(answer), set(_numbers(prompt))
    words, asked_words = _words(answer), set(_words(prompt))
    lines = [line.strip() for line in re.split(r"[\n.!?]+", answer) if line.strip()]
    right, wrong = _sums(answer)
    return {
        "right sums": log1p(right),
        "wrong sums": log1p(wrong),
        "numbers": log1p(len(numbers)),
        "numbers of the prompt": _share(number in asked_numbers for number in numbers),
        "prompt's numbers used": _share(number in numbers for number in asked_numbers),
        "last number said before": float(numbers.count(numbers[-1]) > 1) if numbers else 0.0,
        "words": log1p(len(words)),
        "words of the prompt": _share(word in asked_words for word in set(words)),
        "prompt's words used": _share(word in set(words) for word in asked_words),
        "distinct words": len(set(words)) / len(words) if words else 0.0,
        "repeated lines": 1 - len(set(lines)) / len(lines) if lines else 0.0,
        "left open": float(_left_open(answer)),
    }


def grams(text: str, *, of: str) -> dict[str, float]:
    """Give the words and pairs of words of a text, hashed: no text of it can be read off.

    Args:
        text: Any text.
        of: What it is the text of, so that a prompt's words are not an answer's.

    Returns:
        Weights by hashed name, of length 1 together.

    Example:
        >>> len(grams("Nine rows, nine.", of="answer"))
        8
    """
    tokens = [token.casefold() for token in _TOKEN.findall(text)]
    counted = Counter((*tokens, *map(" ".join, pairwise(tokens))))
    weighted: dict[str, float] = {}
    for gram, count in counted.items():
        name = f"{of} {crc32(gram.encode('utf-8', 'surrogatepass')) % _BUCKETS}"
        weighted[name] = weighted.get(name, 0.0) + 1 + log1p(count - 1)
    length = sqrt(sum(weight * weight for weight in weighted.values())) or 1.0
    return {name: weight / length for name, weight in weighted.items()}


def _numbers(text: str) -> list[str]:
    return [number.replace(",", "") for number in _NUMBER.findall(text)]


def _words(text: str) -> list[str]:
    return [word.casefold() for word in _WORD.findall(text)]


def _share(each: Iterable[bool]) -> float:
    found = list(each)
    return sum(found) / len(found) if found else 0.0


def _sums(text: str) -> tuple[int, int]:
    """How many sums that are written out come out, and how many do not; rounding is forgiven."""
    right = wrong = 0
    for match in _SUM.finditer(text):
        try:
            one, other, result = (float(match.group(place).replace(",", "")) for place in (1, 3, 4))
            found = _CALCULATE[match.group(2)](one, other)
        except (ValueError, ZeroDivisionError):
            continue
        fits = abs(found - result) <= 0.01 * max(1.0, abs(found))
        right, wrong = right + fits, wrong + (not fits)
    return right, wrong


def _left_open(text: str) -> bool:
    """Whether a bracket or a fence of code is not closed, as where an answer was cut off."""
    open_ones: list[str] = []
    for character in text:
        if character in "([{":
            open_ones.append(character)
        elif character in _OPENING and open_ones and open_ones[-1] == _OPENING[character]:
            open_ones.pop()
    return bool(open_ones) or text.count("```") % 2 == 1
