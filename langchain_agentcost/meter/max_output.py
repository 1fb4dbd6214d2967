"""The longest answer that a model call may get, before it is made."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from functools import lru_cache
from math import ceil
from typing import Any, NamedTuple

from langchain_agentcost.answer_caps import CAPS, NESTED
from langchain_agentcost.pricing.names import MAX_NAME_CHARS, refer, with_bases

LONGEST_ANSWER_TOKENS = 128_000
"""What is assumed where neither the request nor the model's profile says more: what the models of 2026 have at most,
but for two."""

MOST_TOKENS = 400_000
"""A stated cap beyond this is none: the longest answer in any bundled profile is 272,000 tokens."""

MOST_ANSWERS = 1_000_000
"""More answers than any provider gives to a request: a larger number would only overflow what stores count in."""

GOOGLE_CAPS = ("max_output_tokens",)
"""Google's client takes no notice of the other names."""

ANSWERS = ("n", "best_of", "candidate_count", "num_return_sequences")
"""How requests ask for several answers."""


class LongestAnswer(NamedTuple):
    """How long all answers of a call can be together.

    Args:
        tokens: The longest one times how many there are.
        source: Where the number comes from, for whoever reads a denial.
        answers: How many are asked for.
    """

    tokens: int
    source: str
    answers: int = 1


def longest_answer(
    model: str | None, provider: str | None, sent: Mapping[str, Any], metadata: Mapping[str, Any]
) -> LongestAnswer:
    """Give the longest answer that a call may get.

    The request's own cap counts, bounded by what the model can write at all, so that nobody reserves a whole budget
    with a cap beyond all sense. Reasoning and thinking are inside the cap for every provider.

    Args:
        model: The model that is asked for.
        provider: Its provider as LangChain names it.
        sent: The call's invocation parameters.
        metadata: Its metadata.

    Example:
        >>> longest_answer("gpt-x", "openai", {"max_tokens": 500, "n": 2}, {})
        LongestAnswer(tokens=1000, source='2 answers of at most 500: max_tokens of the request', answers=2)
    """
    # which of several places wins differs by provider: the longest counts
    caps = [cap for name in NESTED if name in sent and (cap := _cap(sent[name], provider))]
    cap = _cap(sent, provider)
    if caps:
        cap = max([*caps, cap] if cap else caps, key=lambda stated: stated[1])
    elif cap is None and (tokens := _count(metadata.get("ls_max_tokens"))):
        cap = ("ls_max_tokens", tokens)
    most, source = model_maximum(model, provider)
    if cap is not None and (cap[1] <= most or source == _ASSUMED):
        most, source = cap[1], f"{cap[0]} of the request"
    answers = _answers(sent)
    if answers == 1:
        return LongestAnswer(most, source)
    return LongestAnswer(most * answers, f"{answers} answers of at most {most}: {source}", answers)


_ASSUMED = "assumed, since neither the request nor a profile of the model states it"


@lru_cache(maxsize=1024)
def model_maximum(model: str | None, provider: str | None) -> tuple[int, str]:
    """Give the longest answer that a model can write, and where that is from.

    LangChain's provider packages bundle profiles of their models. Those of the packages that are imported are read, and
    none is imported: a model that is called has its package imported already.

    Args:
        model: Its name, dated or with a prefix.
        provider: Its provider as LangChain names it.
    """
    names = tuple(_names(model, provider))
    found = [profile for profiles in _imported_profiles() for name in names if (profile := profiles.get(name))]
    longest = max([_count(profile.get("max_output_tokens")) or 0 for profile in found], default=0)
    if longest:
        return longest, f"{found[0].get('name', model)}'s profile in LangChain"
    window = max([_count(profile.get("max_input_tokens")) or 0 for profile in found], default=0)
    if 0 < window < LONGEST_ANSWER_TOKENS:
        return window, f"the context window of {found[0].get('name', model)}"
    return LONGEST_ANSWER_TOKENS, _ASSUMED


_PROFILE_MODULE = re.compile(r"langchain_\w+\.data\._profiles")


def _imported_profiles() -> Iterator[Mapping[str, Any]]:
    for name, module in list(sys.modules.items()):
        if _PROFILE_MODULE.fullmatch(name):
            profiles = getattr(module, "_PROFILES", None)
            if isinstance(profiles, Mapping):
                yield profiles


def _names(model: str | None, provider: str | None) -> Iterator[str]:
    """The names under which a profile may be: as it is, without what stands before it, and what it is made from."""
    reference = refer(model, provider, known=frozenset()) if model and len(model) <= MAX_NAME_CHARS else None
    if model is None or reference is None:
        return
    yield model
    for name in (*with_bases(reference, listed=None).names, *(attempt.name for attempt in reference.attempts)):
        yield name
        yield name.rpartition("/")[2]
    for name in with_bases(reference, listed=None).bases:
        yield name
        yield name.rpartition("/")[2]


def _cap(place: object, provider: str | None) -> tuple[str, int] | None:
    """The cap that a part of a request states, by name."""
    if not place or not isinstance(place, Mapping):
        return None
    for name in GOOGLE_CAPS if provider and provider.startswith("google") else CAPS:
        if name in place and (tokens := _count(place[name])):
            return name, tokens
    return None


def _answers(sent: Mapping[str, Any]) -> int:
    """How many answers are asked for, wherever a request says it."""
    places = [sent, *(place for name in NESTED if isinstance(place := sent.get(name), Mapping))]
    return max((_times(place[name]) for place in places for name in ANSWERS if name in place), default=1)


def _times(stated: Any) -> int:
    """A number of answers as clients take it: an int, a float, or the text of one; what is no number is one."""
    try:
        number = float(stated)
    except OverflowError:
        return MOST_ANSWERS
    except (TypeError, ValueError):
        return 1
    return ceil(min(number, MOST_ANSWERS)) if number > 1 else 1


def _count(value: object) -> int | None:
    """A number of tokens that makes sense; None for all else."""
    return value if type(value) is int and 0 < value <= MOST_TOKENS else None
