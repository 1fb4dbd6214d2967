"""The parts of a text that answer a question, verbatim and in their order, in as many tokens as there is room for."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from langchain_agentcost.context.compress.fitting import Fit, Place
from langchain_agentcost.context.compress.json_units import JsonLayout
from langchain_agentcost.context.compress.lossless import Count, Kind, kind_of
from langchain_agentcost.context.compress.units import Layout, TextLayout, Unit
from langchain_agentcost.context.ranking import Ranker, words

NEIGHBOURS = 0.5
"""How much the mean score of a unit's two neighbours counts beside its own: what follows an answer explains it."""

SECTION = 1.0
"""How much the mean score of its section counts: a sentence is worth more in a text that is about the question."""


@dataclass(frozen=True, slots=True)
class Source:
    """A text to be extracted from.

    Args:
        text: The text.
        title: What it is headed by. It ranks, and is not part of the extract.
    """

    text: str
    title: str = ""


@dataclass(frozen=True, slots=True)
class Extract:
    """What was taken from some texts.

    Args:
        texts: One for each source; empty where nothing of it was taken.
        dropped: What was not taken, verbatim.
        tokens: Of all texts.
    """

    texts: tuple[str, ...]
    dropped: tuple[str, ...]
    tokens: int


def extract(
    sources: Sequence[Source], query: str, *, target_tokens: int, ranker: Ranker, count: Count, omission: str = ""
) -> Extract:
    """Take from texts what answers a question.

    Units are sentences, lines, or records of JSON, of all texts together. A unit counts by its own score, its
    neighbours' and its section's, with its title before it. Where nothing is asked, or no word of the question is
    found, prose counts by how central it is (by the centroid of Radev et al. 2004), while of logs and records the first
    and the last come first.

    Args:
        sources: The texts.
        query: The question; empty where there is none.
        target_tokens: The most tokens of the extract; met within 2 % where units or parts of them allow it.
        ranker: Scores units against the question.
        count: Counts tokens.
        omission: Stands wherever something was left out of a text that is not JSON.

    Example:
        >>> from langchain_agentcost.context.ranking import Bm25
        >>> text = "The pier was built in 1899. It is open daily. Tickets cost two euro."
        >>> extract(
        ...     [Source(text)],
        ...     "When was the pier built?",
        ...     target_tokens=8,
        ...     ranker=Bm25(),
        ...     count=lambda text: len(text.split()),
        ... ).texts
        ('The pier was built in 1899. It is',)
    """
    layouts = [_layout(source, omission) for source in sources]
    fit = Fit(layouts, count)
    fit.fill(_ranked(layouts, query, ranker), target_tokens)
    return Extract(tuple(fit.texts()), tuple(fit.dropped()), fit.tokens)


_RECORD_CHARS = (120, 2000)
_RECORD_SHARE = 0.1
"""A part of a JSON text is taken apart where it is more than this share of it, within these bounds."""


def _layout(source: Source, omission: str) -> Layout:
    """A text in units; JSON too deep for its parts to be found is text."""
    if kind_of(source.text) is Kind.JSON:
        least, most = _RECORD_CHARS
        share = int(len(source.text) * _RECORD_SHARE)
        try:
            return JsonLayout(source.text, most_chars=min(max(share, least), most))
        except RecursionError:
            pass
    return TextLayout(source.text, title=source.title, omission=omission)


def _ranked(layouts: Sequence[Layout], query: str, ranker: Ranker) -> list[Place]:
    """All units, the best first; of equals the first."""
    places = [(text, number) for text, layout in enumerate(layouts) for number in range(len(layout.units))]
    said = [_said(layouts[text], layouts[text].units[number]) for text, number in places]
    scores = ranker.scores(query, said) if query.strip() else []
    if any(scores):
        scores = _smoothed(scores, [(text, layouts[text].units[number].section) for text, number in places])
    else:
        scores = _unasked(layouts, said)
    order = sorted(range(len(places)), key=lambda at: -scores[at])
    return [places[at] for at in order]


def _said(layout: Layout, unit: Unit) -> str:
    text = layout.text[unit.start : unit.end]
    return f"{unit.title}: {text}" if unit.title else text


def _smoothed(scores: Sequence[float], sections: Sequence[tuple[int, int]]) -> list[float]:
    """Scores with their neighbours' and their section's."""
    members = defaultdict(list)
    for score, section in zip(scores, sections, strict=True):
        members[section].append(score)
    means = {section: sum(own) / len(own) for section, own in members.items()}
    made = []
    for at, (score, section) in enumerate(zip(scores, sections, strict=True)):
        near = [scores[to] for to in (at - 1, at + 1) if 0 <= to < len(scores) and sections[to] == section]
        beside = sum(near) / len(near) if near else 0.0
        made.append(score + NEIGHBOURS * beside + SECTION * means[section])
    return made


def _unasked(layouts: Sequence[Layout], said: Sequence[str]) -> list[float]:
    """Scores where nothing is asked: by place, or by how much of what all say a unit says."""
    central = _central(said)
    scores: list[float] = []
    at = 0
    for layout in layouts:
        size = len(layout.units)
        by_place = (1 / (1 + min(number, size - 1 - number)) for number in range(size))
        scores += by_place if layout.ordered else central[at : at + size]
        at += size
    return scores


def _central(said: Sequence[str]) -> list[float]:
    """The mean weight of a unit's words in the centroid of all units."""
    each = [set(words(text)) for text in said]
    common = Counter(word for own in each for word in own)
    weight = {word: (n - 1) * math.log(len(said) / n) for word, n in common.items()}
    return [sum([weight[word] for word in own]) / (len(own) + 5) for own in each]
