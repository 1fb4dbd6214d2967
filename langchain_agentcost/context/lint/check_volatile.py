"""What changes in the prefix, and makes the provider bill anew what stands behind it."""

from __future__ import annotations

from collections.abc import Iterator

from langchain_agentcost.context.lint.finding import Change, Finding
from langchain_agentcost.context.lint.measure import CALLS, Measure
from langchain_agentcost.context.lint.subject import Seen
from langchain_agentcost.context.lint.values import Value, templated
from langchain_agentcost.finops.amounts import written_usd

SHOWN = 8
"""How many items an evidence names."""

SHOWN_CHARS = 24
"""How much of an item is shown: a token that gives access is not printed whole."""

_FIX = (
    "Say it at the prompt's end: middleware=[*others, *cache_safe_layout()], or write the template that --fix proposes."
)


def check(measure: Measure) -> Iterator[Finding]:
    """Find values that change from call to call, by how they look and by what recorded prompts differ by."""
    seen = measure.subject.seen
    if seen is not None and len(seen.systems) > 1:
        yield _recorded(measure, seen)
        return
    made = templated(measure.subject.system)
    if made.values:
        yield _looks(measure, made.values, frozen=seen is not None and seen.runs > 1)
    if made.left:
        told = tuple(f"line {one.line}: {one.kind} {one.text[:SHOWN_CHARS]!r}: {one.why}" for one in made.left[:SHOWN])
        yield Finding(
            kind="volatile_prefix",
            title="Something in the system message looks as if it changed, and cannot be moved safely",
            tokens=0,
            dollars=measure.missed(0, share=0),
            cached=measure.cacheable,
            change=Change.SAME,
            evidence=told,
            fix="Look at it: a constant may stay; what changes from call to call belongs to the prompt's end.",
        )


def _recorded(measure: Measure, seen: Seen) -> Finding:
    """What recorded system messages differ by: within a run all that follows is billed anew, between runs the rest."""
    texts = seen.systems
    shared = _shared(min(texts), max(texts))
    behind = measure.count(texts[0][shared:])
    history = max(0.0, seen.prompt_tokens - measure.prefix_tokens)
    within = seen.switches / seen.calls if seen.calls else 0.0
    between = seen.run_switches / seen.calls if seen.calls else 0.0
    tokens = behind + (history if within else 0)
    share = within or between
    line = texts[0].count("\n", 0, shared) + 1
    differs = ", ".join(repr(text[shared : shared + 40]) for text in texts[:3])
    often = (
        f"in {seen.switches:,} of {seen.calls:,} calls" if within else f"in {seen.run_switches:,} of {seen.runs:,} runs"
    )
    return Finding(
        kind="volatile_prefix",
        title="The system message changes, and what stands behind the change is billed anew",
        tokens=round(tokens),
        dollars=measure.missed(tokens, share=share),
        cached=measure.cacheable,
        change=Change.SAME,
        evidence=(
            f"{len(texts):,} system messages differ from line {line} on, at {differs}",
            f"it is another one than before {often}; {tokens:,.0f} tokens of a prompt stand behind the change",
        ),
        fix=_FIX,
    )


def _looks(measure: Measure, values: tuple[Value, ...], *, frozen: bool) -> Finding:
    """What looks as if it changed: the dollars are what it costs if it does, as often as such a value changes."""
    system, seen = measure.subject.system, measure.subject.seen
    behind = measure.count(system[min(system.find(value.text) for value in values) :])
    if seen is not None:
        behind += round(max(0.0, seen.prompt_tokens - measure.prefix_tokens))
    daily = all(value.kind == "date" for value in values)
    share = 0.0 if frozen else 1 / CALLS if daily else 1.0
    told = [f"line {value.line}: {value.kind} {value.text[:SHOWN_CHARS]!r}" for value in values[:SHOWN]]
    told.append(f"{behind:,} tokens stand from there on" + ("" if seen is not None else ", and all of the history"))
    often = "once in 1,000 calls, as a date does" if daily else "at every call"
    if frozen:
        most = measure.missed(behind, share=1.0).cached
        told.append("it was the same in all recorded runs, so it cost nothing there: is it made anew in production?")
        told += (
            [f"were it another one at every call, it would cost {written_usd(most)} per 1,000 calls"] if most else []
        )
    else:
        told.append(f"priced as if it changed {often}")
    return Finding(
        kind="volatile_prefix",
        title="The system message says what is of the moment, before what stays the same",
        tokens=behind,
        dollars=measure.missed(behind, share=share),
        cached=measure.cacheable,
        change=Change.SAME,
        evidence=tuple(told),
        fix=_FIX,
    )


def _shared(first: str, last: str) -> int:
    """How many characters texts share from the first on: of sorted texts, the first and the last share the least."""
    pairs = enumerate(zip(first, last, strict=False))
    return next((at for at, (one, other) in pairs if one != other), min(len(first), len(last)))
