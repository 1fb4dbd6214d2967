"""A change of wording, tried on the user's own examples before it is accepted."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

from langchain_core.messages import BaseMessage
from langchain_core.runnables import Runnable, RunnableConfig, RunnableLambda

from langchain_agentcost.context.noninferiority import Verdict, noninferior
from langchain_agentcost.quality import QualityFloor
from langchain_agentcost.usage import Usage

Example = TypeVar("Example")
Way = Runnable[Any, Any] | Callable[[Any], Any]
"""What answers an example: a model, chain or agent, or a function of an example."""

FLOOR = QualityFloor("right answers kept", min=0.95)
"""95 % of the right answers are kept, surely: 59 examples, all of them kept, prove it."""

TRIAL: RunnableConfig = {"metadata": {"agentcost_purpose": "evaluation"}}
"""By this the meter books the calls of a trial as overhead."""


@dataclass(frozen=True, slots=True)
class Trial:
    """What came of a trial. It is true where the change may be accepted.

    An example that either way ended in an error proves nothing about the wording: it is no lost answer and no kept one,
    and its tokens are left out on both sides. A change that ends in more errors than before is not accepted, though.

    Args:
        verdict: Whether what was right is kept, of the examples that both ways answered.
        before: What their answers took as it is; None where a provider reported nothing, or no messages were answered.
        after: What they took with the change.
        errors_before: How many examples ended in an error as it is.
        errors_after: How many did with the change.
        first_error: The first error, as text.
    """

    verdict: Verdict
    before: Usage | None
    after: Usage | None
    errors_before: int = 0
    errors_after: int = 0
    first_error: str | None = None

    def __bool__(self) -> bool:
        """Whether the change is proven to be no worse."""
        return self.verdict.proven and self.errors_after <= self.errors_before

    def __str__(self) -> str:
        """Say it in a sentence or two."""
        if self.first_error is None:
            return str(self.verdict)
        counts = f"{self.errors_before} before and {self.errors_after} after"
        return f"{self.verdict} Errors, counted apart: {counts}; the first: {self.first_error}"

    @property
    def output_saved_pct(self) -> float | None:
        """How much shorter the answers are on these examples, from 100 downwards; below 0 where they are longer."""
        if self.before is None or self.after is None or not self.before.output_tokens:
            return None
        return 100 * (1 - self.after.output_tokens / self.before.output_tokens)


def accept(
    examples: Iterable[Example],
    before: Way,
    after: Way,
    *,
    right: Callable[[Example, Any], bool],
    floor: QualityFloor = FLOOR,
) -> Trial:
    """Ask both ways, judge both, and tell whether the change is no worse.

    Each example is asked once each way, one after the other. Keep some of your examples for this alone: a wording that
    was chosen on them looks better on them than it is. `noninferior` tells how it is counted, and what to mind
    (temperature 0, each set looked at once).

    Args:
        examples: What is asked, as both ways take it.
        before: The model, chain or agent as it is: a Runnable, or a function of an example.
        after: The same with the change, such as `model_with_controls(model, OutputControls(CONCISE))`.
        right: Whether an answer to an example is right. A rule or a person; a model that judges is itself uncertain.
        floor: How much of what was right must be kept, and how sure that must be.

    Returns:
        The trial: its verdict, what both ways took, and the errors, which are counted apart.

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
    ways = [way if isinstance(way, Runnable) else RunnableLambda(way) for way in (before, after)]
    pairs: list[tuple[bool, bool]] = []
    taken: list[list[Usage | None]] = [[], []]
    errors, first_error = [0, 0], None
    for example in examples:
        answers = [_asked(way, example) for way in ways]
        failed = [isinstance(answer, _Failed) for answer in answers]
        if any(failed):
            errors = [count + one for count, one in zip(errors, failed, strict=True)]
            first_error = first_error or next(one.told for one in answers if isinstance(one, _Failed))
            continue
        for usages, answer in zip(taken, answers, strict=True):
            usages.append(Usage.from_message(answer) if isinstance(answer, BaseMessage) else None)
        pairs.append((bool(right(example, answers[0])), bool(right(example, answers[1]))))
    verdict = noninferior(pairs, floor)
    return Trial(verdict, _sum(taken[0]), _sum(taken[1]), errors[0], errors[1], first_error)


@dataclass(frozen=True, slots=True)
class _Failed:
    """Stands for an answer that never came."""

    told: str


def _asked(way: Runnable[Any, Any], example: Any) -> Any:
    try:
        return way.invoke(example, TRIAL)
    except Exception as error:  # noqa: BLE001  # whatever an agent raises is told, and the other examples are tried
        return _Failed(f"{type(error).__name__}: {error}")


def _sum(usages: list[Usage | None]) -> Usage | None:
    known = [usage for usage in usages if usage is not None]
    return sum(known, Usage()) if known and len(known) == len(usages) else None
