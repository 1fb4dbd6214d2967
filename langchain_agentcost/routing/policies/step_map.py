"""What a step asks for by the words in its name: data in one place, and how a name is read.

Words that say nothing of how hard a step is ("agent", "model", "answer") are not here: such a step is not decided.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from types import MappingProxyType

from langchain_agentcost.routing.tier import LEVELS, Level, placed_levels

STEPS: Mapping[Level, tuple[str, ...]] = MappingProxyType(
    {
        "small": (
            *("categor", "classif", "clean", "convert", "dedup", "deduplicat", "detect", "extract", "filter", "format"),
            *("greet", "intent", "keyword", "label", "moderat", "normal", "pars", "redact", "reformat", "rephras"),
            *("sentiment", "sort", "tag", "titl", "triag"),
        ),
        "mid": (
            *(
                "assess",
                "check",
                "compar",
                "critic",
                "critiqu",
                "evaluat",
                "grad",
                "judg",
                "rank",
                "rerank",
                "review",
                "rout",
            ),
            *("scor", "summar", "test", "translat", "validat", "verif"),
        ),
        "frontier": (
            *(
                "analys",
                "analyz",
                "architect",
                "cod",
                "debug",
                "decid",
                "decision",
                "decompos",
                "design",
                "diagnos",
                "fix",
                "implement",
            ),
            *("investigat", "negotiat", "orchestrat", "plan", "program", "reason", "recover", "refactor", "reflect"),
            *("repair", "replan", "research", "solv", "strateg", "supervis", "synthes", "troubleshoot"),
        ),
    }
)
"""Stems of words, by the level that a step of that name asks for. A name with words of several levels asks for the
highest: a step that is answered too well costs money, one that is answered too badly costs the run."""

PRIOR_LOSS = (0.0, 0.1, 0.25)
"""What a tier is expected to lose in quality where nothing is learnt, by how many levels it is below what is asked for.
Recorded agents lose 8 to 29 points of success where steps are sent to a small model blindly."""

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_ENDING = (
    "(?:|s|e|es|ed|er|ers|or|ors|ing|ion|ions|ation|ment|al|y|ys|ies|ied|ier|iers|ying|ication|is|ic|sis|ery|ry|egy"
    "|(?:es|i[sz])(?:e|es|ed|er|ers|ing|ation))"
)
_STEMS: tuple[tuple[Level, re.Pattern[str]], ...] = tuple(
    (level, re.compile("|".join(f"{stem}(?:{stem[-1]})?{_ENDING}" for stem in STEPS[level]))) for level in LEVELS[::-1]
)


@lru_cache(maxsize=1024)
def level_named(name: str | None) -> Level | None:
    """Tell what a step asks for by its name; None where the name does not say.

    Args:
        name: A node's or a schema's name, in words of any case.

    Example:
        >>> [level_named(name) for name in ("extract_totals", "ClassifyIntent", "verify-answer", "planner", "agent")]
        ['small', 'small', 'mid', 'frontier', None]
    """
    words = [word.lower() for word in _WORD.findall(name or "")]
    return next((level for level, stems in _STEMS if any(stems.fullmatch(word) for word in words)), None)


def level_above(level: Level) -> Level:
    """Give the next level, for a step that failed or gets nowhere; the highest stays.

    Example:
        >>> level_above("small"), level_above("frontier")
        ('mid', 'frontier')
    """
    return LEVELS[min(LEVELS.index(level) + 1, len(LEVELS) - 1)]


def levels_by_place(names: Sequence[str]) -> dict[str, Level]:
    """Give the levels of tiers, weakest first: a tier that is called as a level is that level, else its place says.

    Example:
        >>> levels_by_place(["haiku", "sonnet", "opus"]), levels_by_place(["mid", "opus"])
        ({'haiku': 'small', 'sonnet': 'mid', 'opus': 'frontier'}, {'mid': 'mid', 'opus': 'frontier'})
    """
    named: dict[str, Level] = {level: level for level in LEVELS}
    return {name: named.get(name, level) for name, level in zip(names, placed_levels(len(names)), strict=True)}
