"""Lint: every check over one subject, what it found by dollars."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from langchain_core.embeddings import Embeddings

from langchain_agentcost.context.lint.check_duplicates import check_duplicates
from langchain_agentcost.context.lint.check_prefix import check_markup, check_minimum
from langchain_agentcost.context.lint.check_tools import check_order, check_unused, check_verbose
from langchain_agentcost.context.lint.check_volatile import check as check_volatile
from langchain_agentcost.context.lint.finding import Finding
from langchain_agentcost.context.lint.measure import Measure, Tariff
from langchain_agentcost.context.lint.subject import Subject
from langchain_agentcost.pricing import PriceBook
from langchain_agentcost.tokens import TokenCounter

CHECKS = (check_volatile, check_unused, check_verbose, check_order, check_minimum, check_markup)
"""Every check that needs nothing but the subject."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Linted:
    """What lint found in a subject.

    Args:
        subject: The subject, with the model that prices it.
        tools_tokens: The size of the tools.
        system_tokens: The size of the system message.
        cached: Whether the provider's cache is taken to serve them.
        cost_nano: What they cost in 1,000 calls, in nano-USD; None where no price is known.
        findings: What was found, the dearest first.
        notes: What could not be seen, or rests on an assumption.
    """

    subject: Subject
    tools_tokens: int
    system_tokens: int
    cached: bool
    cost_nano: int | None
    findings: tuple[Finding, ...]
    notes: tuple[str, ...] = ()


def lint(
    subject: Subject,
    *,
    prices: PriceBook | None = None,
    model: str | None = None,
    counter: TokenCounter | None = None,
    embeddings: Embeddings | None = None,
) -> Linted:
    """Find what a prompt's fixed part wastes.

    Args:
        subject: The fixed part: `Subject(...)`, or from `of_graph`, or `replay.linting.subjects`.
        prices: Where prices come from.
        model: The model that reads it, in place of the subject's own.
        counter: What counts tokens.
        embeddings: Finds instructions that are repeated in other words too.

    Returns:
        The findings, by dollars; where no price is known, by tokens.

    Example:
        >>> made = lint(Subject(name="shop", system="It is now 2026-11-30 10:15. Be kind.", model="gpt-4.1"))
        >>> [one.kind for one in made.findings]
        ['volatile_prefix']
    """
    subject = replace(subject, model=model, provider=None) if model is not None else subject
    tariff = Tariff.of(subject.model, subject.provider, prices or PriceBook())
    measure = Measure(subject, counter=counter or TokenCounter(), tariff=tariff)
    found = [finding for check in CHECKS for finding in check(measure)]
    found += check_duplicates(measure, embeddings)
    cost = measure.fixed(measure.prefix_tokens)
    return Linted(
        subject=subject,
        tools_tokens=measure.tools_tokens,
        system_tokens=measure.system_tokens,
        cached=measure.cached,
        cost_nano=cost.cached if measure.cached else cost.uncached,
        findings=tuple(sorted(found, key=lambda one: (-(one.nano or 0), -one.tokens, one.kind))),
        notes=(*subject.unseen, *_assumptions(measure)),
    )


def _assumptions(measure: Measure) -> Iterator[str]:
    subject, terms = measure.subject, measure.terms
    if measure.tariff is None:
        named = f"of {subject.model}" if subject.model else "without a model"
        yield f"No price is known {named}: name a model with --model, or state its price in a file."
    elif terms is None:
        yield f"No prompt cache is known of {subject.model}: all tokens are priced as input."
    elif not terms.automatic and (subject.seen is None or subject.seen.cached is None):
        yield f"{terms.family} caches only what is marked; it is taken to be, as by cache_safe_layout()."
    if subject.seen is None and subject.tools:
        yield "Which tools are used is only seen in recorded runs."
