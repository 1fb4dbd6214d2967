"""Shorter system prompts and tool schemas, as proposals: nothing of the user's is ever written to.

First what keeps the information: a template with its values at the prompt's end, no waste, lean schemas. Then, where a
model is given, another wording; that is not proven harmless by anything but the user's own examples (`accept`).
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from langchain_core.language_models import BaseChatModel

from langchain_agentcost.context.lint.finding import Change, shown
from langchain_agentcost.context.lint.measure import Dollars, Measure, Tariff
from langchain_agentcost.context.lint.rewriting import reworded
from langchain_agentcost.context.lint.schemas import lean_tools
from langchain_agentcost.context.lint.subject import Subject
from langchain_agentcost.context.lint.tidy import tidied
from langchain_agentcost.context.lint.values import note_of, templated
from langchain_agentcost.pricing import PriceBook
from langchain_agentcost.tokens import TokenCounter
from langchain_agentcost.tokens.estimate import MESSAGE_TOKENS

NOT_PROVEN = "proposed, not proven: a change of wording needs accept(examples, before, after, right=…, floor=…)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """A shorter system message, or shorter tools.

    Args:
        what: "system" or "tools".
        before: The text as it is.
        after: The text as it could be.
        tokens_before: Its size.
        tokens_after: The size that it would have.
        dollars: What 1,000 calls would cost less.
        change: What it does to what the model reads.
        notes: What belongs to it, as sentences: what to say at the prompt's end, what is not proven.
    """

    what: str
    before: str
    after: str
    tokens_before: int
    tokens_after: int
    dollars: Dollars
    change: Change
    notes: tuple[str, ...] = ()

    @property
    def diff(self) -> str:
        """The change as a unified diff."""
        lines = difflib.unified_diff(
            self.before.splitlines(), self.after.splitlines(), f"{self.what}/before", f"{self.what}/after", lineterm=""
        )
        return "\n".join(lines)

    def to_dict(self) -> dict[str, object]:
        """Give it for JSON, money as text."""
        return {
            "what": self.what,
            "change": self.change.value,
            "tokens_before": self.tokens_before,
            "tokens_after": self.tokens_after,
            "saved_usd_per_1000_calls_cached": shown(self.dollars.cached),
            "saved_usd_per_1000_calls_uncached": shown(self.dollars.uncached),
            "notes": list(self.notes),
            "diff": self.diff,
        }


def propose(
    subject: Subject,
    *,
    prices: PriceBook | None = None,
    counter: TokenCounter | None = None,
    rewriter: BaseChatModel | None = None,
) -> tuple[Proposal, ...]:
    r"""Propose a shorter system message and shorter tools.

    Args:
        subject: The fixed part of an agent's prompts.
        prices: Where prices come from.
        counter: What counts tokens.
        rewriter: A model that is asked for a shorter wording of the system message; its answer is refused where a name,
            a number or a literal is missing. The call is metered as overhead.

    Returns:
        The proposals: those with the same information first, another wording last and on top of them.

    Example:
        >>> [made] = propose(Subject(name="shop", system="Today is 2026-11-30.\n\n\n\nBe kind.", model="gpt-4.1"))
        >>> print(made.after)
        Today is {current_date}.
        <BLANKLINE>
        Be kind.
        >>> made.notes[0].splitlines()[-1]  # at the prompt's end
        '{current_date} = 2026-11-30'
    """
    tariff = Tariff.of(subject.model, subject.provider, prices or PriceBook())
    measure = Measure(subject, counter=counter or TokenCounter(), tariff=tariff)
    return tuple(_proposals(measure, rewriter))


def _proposals(measure: Measure, rewriter: BaseChatModel | None) -> Iterator[Proposal]:
    subject = measure.subject
    template = templated(subject.system)
    clean = tidied(template.text)
    if template.values or measure.count(clean) < measure.system_tokens:
        yield _of_template(measure, clean, note_of(template.values))
    lean = lean_tools(subject.tools, portable=measure.portable)
    saved = measure.tools_tokens - measure.count_tools(lean)
    if saved > 0:
        yield Proposal(
            what="tools",
            before=written_tools(subject.tools),
            after=written_tools(lean),
            tokens_before=measure.tools_tokens,
            tokens_after=measure.tools_tokens - saved,
            dollars=measure.fixed(saved),
            change=Change.SAME,
        )
    if rewriter is not None and clean:
        made = reworded(clean, rewriter)
        if made.text is not None and measure.count(made.text) < measure.count(clean):
            yield _of_system(measure, clean, made.text, Change.WORDING, (NOT_PROVEN,))
        else:
            refused = made.refused or "it is not shorter"
            yield _of_system(measure, clean, clean, Change.WORDING, (f"The model's wording was refused: {refused}.",))


def _of_template(measure: Measure, after: str, note: str) -> Proposal:
    """A template. What it says at the prompt's end is never read from a cache, and counts against it."""
    made = _of_system(measure, measure.subject.system, after, Change.SAME, ())
    if not note:
        return made
    tail = measure.count(note) + MESSAGE_TOKENS
    anew = measure.fixed(tail).uncached or 0
    return replace(
        made,
        tokens_after=made.tokens_after + tail,
        dollars=Dollars(*(None if nano is None else nano - anew for nano in made.dollars)),
        notes=(
            f"Say at the prompt's end, in a message of its own (cache_safe_layout() does):\n{note}",
            f"Its {tail} tokens are counted, and billed in full. What the stable prefix saves is the finding "
            "volatile_prefix.",
        ),
    )


def _of_system(measure: Measure, before: str, after: str, change: Change, notes: Sequence[str]) -> Proposal:
    one, other = measure.count(before), measure.count(after)
    return Proposal(
        what="system",
        before=before,
        after=after,
        tokens_before=one,
        tokens_after=other,
        dollars=measure.fixed(one - other),
        change=change,
        notes=tuple(notes),
    )


def written_tools(tools: Sequence[Mapping[str, Any]]) -> str:
    """Write tools for people: JSON, a keyword a line."""
    return json.dumps(list(tools), indent=1, ensure_ascii=False, default=str)
