"""Instructions that are given twice."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from math import sqrt
from operator import mul
from typing import NamedTuple

from langchain_core.embeddings import Embeddings

from langchain_agentcost.context.lint.finding import Change, Finding
from langchain_agentcost.context.lint.instructions import sentences, words
from langchain_agentcost.context.lint.measure import Measure
from langchain_agentcost.context.lint.tool_parts import inner_of, name_of

SHINGLE = 3
"""How many words in a row are compared."""

ALIKE = 0.6
"""The share of them that two sentences have in common (Jaccard) where one repeats the other."""

ALIKE_MEANING = 0.9
"""The cosine of two sentences' vectors where one may repeat the other.

all-MiniLM gave 0.55 to 0.84 to paraphrases of our own, but 0.98 to "only after" beside "only before" and 0.87 to rules
for gold and for silver. So it finds few repetitions, and what bounds a rule (numbers, negations, before and after) has
to be the same too; people have to read what is found.
"""

MOST_COMPARED = 200
"""How many sentences are compared by meaning: the time grows with the square."""

SHOWN = 6


class Said(NamedTuple):
    """A sentence and where it stands.

    Args:
        where: Where, for people.
        place: The section of the system message, or the tool.
        text: The sentence.
    """

    where: str
    place: object
    text: str


class Pair(NamedTuple):
    """Two sentences that say the same.

    Args:
        first: The one that comes first.
        again: The one that repeats it.
        how: "here" where it is the same words in the same section, so that nothing is lost without it; "elsewhere"
            where it is much the same words; "meaning" where it may say the same in other words.
    """

    first: Said
    again: Said
    how: str


def check_duplicates(measure: Measure, embeddings: Embeddings | None = None) -> Iterator[Finding]:
    """Find instructions that are given twice, in the system message or in it and a tool's description.

    Args:
        measure: The subject.
        embeddings: Compares by meaning too, such as `caching.default_embeddings()` (MiniLM on this machine).
    """
    said = [Said(f"line {one.line}", one.section, one.text) for one in sentences(measure.subject.system)]
    for tool in measure.subject.tools:
        name, text = name_of(tool), inner_of(tool).get("description")
        said += [Said(f"tool {name}", name, one.text) for one in sentences(text if isinstance(text, str) else "")]
    pairs = repeated(said, embeddings)
    for how, title, fix in _FOUND:
        again = [pair for pair in pairs if pair.how == how]
        if again:
            tokens = sum(measure.count(pair.again.text) for pair in again)
            yield Finding(
                kind="duplicate_instructions",
                title=title,
                tokens=tokens,
                dollars=measure.fixed(tokens),
                cached=measure.cached,
                change=Change.SAME if how == "here" else Change.WORDING,
                evidence=tuple(
                    f"{one.again.where} repeats {one.first.where}: {one.again.text[:80]!r}" for one in again[:SHOWN]
                ),
                fix=fix,
            )


_FOUND = (
    ("here", "The same sentence is said again in its place", "Say it once: --fix proposes the text."),
    (
        "elsewhere",
        "A sentence says what was said elsewhere",
        "Where it holds for both, say it once: accept() tests it.",
    ),
    ("meaning", "A sentence may say in other words what was said", "Read both; say it once, and test it: accept()."),
)


def repeated(said: Sequence[Said], embeddings: Embeddings | None = None) -> list[Pair]:
    """Give the sentences that repeat an earlier one; each counts once.

    One repeats another where most of their words in a row are the same, and it has no word, no number and no negation
    that the other has not: "2 bags for gold" does not repeat "1 bag for silver".

    Args:
        said: The sentences, in their order.
        embeddings: Compares by meaning too.
    """
    found: dict[int, Pair] = {}
    tokens = [tuple(words(one.text)) for one in said]
    shingles = [{line[at : at + SHINGLE] for at in range(len(line) - SHINGLE + 1)} for line in tokens]
    having: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for at, own in enumerate(shingles):
        near: Counter[int] = Counter(other for shingle in own for other in having[shingle][-MOST_COMPARED:])
        for shingle in own:
            having[shingle].append(at)
        for other, common in near.most_common(SHOWN):
            alike = common >= ALIKE * len(own | shingles[other])
            if alike and not (set(tokens[at]) - set(tokens[other]) - _EMPTY):
                here = tokens[at] == tokens[other] and said[at].place == said[other].place
                found[at] = Pair(said[other], said[at], "here" if here else "elsewhere")
                break
    if embeddings is not None:
        _by_meaning(said, embeddings, found)
    return [found[at] for at in sorted(found)]


_EMPTY = frozenset(
    {"a", "an", "and", "are", "as", "at", "be", "by", "for", "from", "in", "is", "it", "its", "of", "on", "or", "so"}
    | {"that", "the", "then", "this", "to", "with"}
)
"""Words that say nothing by themselves."""


def _by_meaning(said: Sequence[Said], embeddings: Embeddings, found: dict[int, Pair]) -> None:
    compared = said[:MOST_COMPARED]
    bounds = [_bounds(one.text) for one in compared]
    vectors = [_unit(one) for one in embeddings.embed_documents([one.text for one in compared])]
    for at, vector in enumerate(vectors):
        if at in found:
            continue
        for other in range(at):
            row = compared[at].text[:1] in _BULLETS and compared[at].place == compared[other].place
            if not row and bounds[at] == bounds[other] and sum(map(mul, vector, vectors[other])) >= ALIKE_MEANING:
                found[at] = Pair(said[other], said[at], "meaning")
                break


def _bounds(text: str) -> list[str]:
    """What bounds a rule: its numbers, and the words that turn it round."""
    return sorted(word for word in words(text) if word in _TURNING or any(map(str.isdigit, word)))


_BULLETS = ("-", "*", "+", "•", "|")
"""What a row of a list begins with: rows of one list are alike on purpose."""

_TURNING = frozenset(
    {"not", "no", "never", "none", "without", "only", "unless", "except", "but", "before", "after", "until", "more"}
    | {"less", "most", "least", "first", "last", "one", "two", "three", "four", "five", "six", "ten", "all", "any"}
    | {"enable", "disable", "enables", "disables", "on", "off", "t"}
)
"""Words that turn a rule round; "t" is what is left of "don't"."""


def _unit(vector: Sequence[float]) -> list[float]:
    length = sqrt(sum(one * one for one in vector)) or 1.0
    return [one / length for one in vector]
