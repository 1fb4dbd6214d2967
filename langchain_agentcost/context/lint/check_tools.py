"""What tools cost beside what they say: those that nobody calls, noise in schemas, and an order that changes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from langchain_agentcost.context.lint.finding import Change, Finding
from langchain_agentcost.context.lint.measure import Measure
from langchain_agentcost.context.lint.schema_walk import inside
from langchain_agentcost.context.lint.schemas import lean_tools
from langchain_agentcost.context.lint.tool_parts import name_of, parameters_of

LEAST_RUNS = 5
"""In fewer runs, a tool that was not called was not needed by chance."""

NAMED = 8
"""How many tools an evidence names."""


def check_unused(measure: Measure) -> Iterator[Finding]:
    """Find tools that no recorded run called."""
    subject, seen = measure.subject, measure.subject.seen
    if seen is None or seen.runs < LEAST_RUNS or not seen.calls:
        return
    unused = [tool for tool in subject.tools if not seen.used.get(name_of(tool))]
    if not unused:
        return
    tokens = measure.count_tools(unused)
    sizes = sorted(((measure.count_tools([tool]), name_of(tool)) for tool in unused), reverse=True)
    names = ", ".join(f"{name} ({size:,})" for size, name in sizes[:NAMED])
    more = f" and {len(sizes) - NAMED} more" if len(sizes) > NAMED else ""
    yield Finding(
        kind="unused_tools",
        title="Tools are described in every call and never called",
        tokens=tokens,
        dollars=measure.fixed(tokens),
        cached=measure.cached,
        change=Change.DESIGN,
        evidence=(
            f"{len(unused)} of {len(subject.tools)} tools were called in none of {seen.runs:,} runs "
            f"({seen.calls:,} calls): {names}{more}",
        ),
        fix="Leave them out of this agent, or give them to a sub-agent. A rare request may need one: look first.",
    )


def check_verbose(measure: Measure) -> Iterator[Finding]:
    """Find what schemas say without saying anything."""
    subject = measure.subject
    lean = lean_tools(subject.tools, portable=measure.portable)
    tokens = measure.tools_tokens - measure.count_tools(lean)
    if tokens <= 0:
        return
    gone = _noise(subject.tools)
    gone.subtract(_noise(lean))
    parts = ", ".join(f"{count} {what}" for what, count in gone.most_common() if count > 0)
    examples = sum(len(one.get("examples") or ()) for one in _schemas(lean) if isinstance(one.get("examples"), list))
    told = [
        f"{measure.tools_tokens:,} tokens of {len(subject.tools)} tools could be "
        f"{measure.tools_tokens - tokens:,} ({tokens / measure.tools_tokens:.1%} less): without {parts or 'blanks'}"
    ]
    if examples:
        told.append(f"{examples} examples stay: the model reads them")
    yield Finding(
        kind="verbose_tools",
        title="Tool schemas say things that say nothing",
        tokens=tokens,
        dollars=measure.fixed(tokens),
        cached=measure.cached,
        change=Change.SAME,
        evidence=tuple(told),
        fix="middleware=[*others, *cache_safe_layout()] does it, or lean_schema(tool) where you bind tools yourself.",
    )


def check_order(measure: Measure) -> Iterator[Finding]:
    """Find tools that come in another order from run to run: they are the beginning of the prompt."""
    seen = measure.subject.seen
    if seen is None or not seen.reordered or not seen.calls:
        return
    yield Finding(
        kind="unstable_order",
        title="The tools, or the keys of their schemas, come in another order from run to run",
        tokens=measure.prefix_tokens,
        dollars=measure.missed(measure.prefix_tokens, share=seen.reordered / seen.calls),
        cached=measure.cacheable,
        change=Change.SAME,
        evidence=(
            f"in {seen.reordered:,} of {seen.runs:,} runs the tools were written otherwise than in the run before: "
            f"all {measure.prefix_tokens:,} tokens of tools and system message were another prefix",
        ),
        fix="Bind tools sorted by name, not from a set; cache_safe_layout() and stable_tools(tools) do it.",
    )


def _schemas(tools: tuple[Mapping[str, Any], ...]) -> Iterator[Mapping[str, Any]]:
    for tool in tools:
        yield from inside(parameters_of(tool))


def _noise(tools: tuple[Mapping[str, Any], ...]) -> Counter[str]:
    found: Counter[str] = Counter()
    for one in _schemas(tools):
        found["titles"] += isinstance(one.get("title"), str)
        found["descriptions"] += isinstance(one.get("description"), str)
        found["null defaults"] += "default" in one and one["default"] is None
        found["alternatives with null"] += isinstance(one.get("anyOf"), list) and {"type": "null"} in one["anyOf"]
        found["references"] += "$ref" in one
        found["additionalProperties"] += one.get("additionalProperties") in (True, {})
    return found
