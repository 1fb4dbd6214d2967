"""A change of wording, tried on the user's own examples before it is accepted."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

from langchain_core.messages import BaseMessage
from langchain_core.runnables import Runnable, RunnableConfig

from langchain_agentcost.context.noninferiority import Verdict, noninferior
from langchain_agentcost.quality import QualityFloor
from langchain_agentcost.usage import Usage

Example = TypeVar("Example")

TRIAL: RunnableConfig = {"metadata": {"agentcost_purpose": "evaluation"}}
"""By this the meter books the calls of a trial as overhead."""


@dataclass(frozen=True, slots=True)
class Trial:
    """What came of a trial. It is true where the change may be accepted.

    Args:
        verdict: Whether what was right is kept.
        before: What all answers took as it is; None where a provider reported nothing, or no messages were answered.
        after: What they took with the change.
    """

    verdict: Verdict
    before: Usage | None
    after: Usage | None

    def __bool__(self) -> bool:
        """Whether the change is proven to be no worse."""
        return self.verdict.proven

    @property
    def output_saved_pct(self) -> float | None:
        """How much shorter the answers are on these examples, from 100 downwards; below 0 where they are longer."""
        if self.before is None or self.after is None or not self.before.output_tokens:
            return None
        return 100 * (1 - self.after.output_tokens / self.before.output_tokens)


def accept(
    examples: Iterable[Example],
    before: Runnable[Any, Any],
    after: Runnable[Any, Any],
    *,
    right: Callable[[Example, Any], bool],
    floor: QualityFloor,
) -> Trial:
    """Ask both ways, judge both, and tell whether the change is no worse.

    Each example is asked once each way, one after the other. Keep some of your examples for this alone: a wording that
    was chosen on them looks better on them than it is.

    Args:
        examples: What is asked, as both runnables take it.
        before: The model or chain as it is.
        after: The same with the change, such as `model_with_controls(model, OutputControls(CONCISE))`.
        right: Whether an answer to an example is right. A rule or a person; a model that judges is itself uncertain.
        floor: How much of what was right must be kept, and how sure that must be.

    Returns:
        The trial: its verdict, and what both ways took.

    Example:
        >>> from langchain_agentcost.context.output.controls import CONCISE, OutputControls
        >>> from langchain_agentcost.context.output.model import model_with_controls
        >>> from langchain_agentcost.testing import FakeMeteredChatModel
        >>> model = FakeMeteredChatModel(answers=["Yes."])
        >>> short = model_with_controls(model, OutputControls(CONCISE))
        >>> floor = QualityFloor("answers right", min=0.9)
        >>> tried = accept(
        ...     ["Is it here?"] * 20, model, short, right=lambda asked, said: "Yes" in said.text, floor=floor
        ... )
        >>> bool(tried), tried.verdict.missing
        (False, 9)
    """
    pairs: list[tuple[bool, bool]] = []
    taken: list[list[Usage | None]] = [[], []]
    for example in examples:
        answers = [way.invoke(example, TRIAL) for way in (before, after)]
        for usages, answer in zip(taken, answers, strict=True):
            usages.append(Usage.from_message(answer) if isinstance(answer, BaseMessage) else None)
        pairs.append((right(example, answers[0]), right(example, answers[1])))
    return Trial(noninferior(pairs, floor), *map(_sum, taken))


def _sum(usages: list[Usage | None]) -> Usage | None:
    known = [usage for usage in usages if usage is not None]
    return sum(known, Usage()) if known and len(known) == len(usages) else None
