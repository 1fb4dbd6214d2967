"""A prefix that is too short to be cached, and markup that nobody needs in one."""

from __future__ import annotations

from collections.abc import Iterator

from langchain_agentcost.context.lint.finding import Change, Finding
from langchain_agentcost.context.lint.measure import Dollars, Measure
from langchain_agentcost.context.lint.tidy import waste_of


def check_minimum(measure: Measure) -> Iterator[Finding]:
    """Find a prefix below the provider's minimum, where a longer one would cost less.

    A prefix of s tokens that is not cached costs s at the input rate; one that is filled up to the minimum m costs m at
    the read rate. With reads at a tenth of the price, a third of the minimum is already worth filling up. Calls whose
    whole prompt reaches the minimum are cached anyway, and not counted.
    """
    terms, tariff, seen = measure.terms, measure.tariff, measure.subject.seen
    prefix = measure.prefix_tokens
    if terms is None or tariff is None or not 0 < prefix < terms.min_tokens:
        return
    prompts = seen.prompts if seen is not None else ()
    short = 1 - measure.reaching
    saved = tariff.nano(short * prefix, "input") - tariff.nano(short * terms.min_tokens, "cache_read")
    if saved <= 0:
        return
    calls = f"{short:.0%} of the recorded calls" if prompts else "calls"
    yield Finding(
        kind="below_cache_minimum",
        title="The fixed part is too short for the provider's prompt cache",
        tokens=prefix,
        dollars=Dollars(saved, saved),
        cached=False,
        change=Change.DESIGN,
        evidence=(
            f"{prefix:,} tokens of tools and system message; {terms.family} caches from {terms.min_tokens:,} on, so "
            f"{calls} with a shorter prompt are billed in full",
            f"{terms.min_tokens:,} tokens that are read from the cache cost less than {prefix:,} that are not",
        ),
        fix=f"Fill it up with what helps, such as worked examples, to {terms.min_tokens:,} tokens; never with padding.",
    )


def check_markup(measure: Measure) -> Iterator[Finding]:
    """Find markup in the system message that says nothing."""
    text = measure.subject.system
    told: dict[bool, list[str]] = {True: [], False: []}
    saved = {True: 0, False: 0}
    before = measure.count(text)
    for waste, count, without in waste_of(text):
        after = measure.count(without)
        told[waste.safe].append(f"{count} {waste.name}: {before - after:,} tokens")
        saved[waste.safe] += before - after
        before = after
    for safe, title in ((True, "Markup that says nothing"), (False, "HTML that says little to a model")):
        if saved[safe] > 0:
            yield Finding(
                kind="markup_waste",
                title=title,
                tokens=saved[safe],
                dollars=measure.fixed(saved[safe]),
                cached=measure.cached,
                change=Change.SAME if safe else Change.WORDING,
                evidence=tuple(told[safe]),
                fix="--fix proposes the text without it." if safe else "Write plain text, and test it: accept().",
            )
