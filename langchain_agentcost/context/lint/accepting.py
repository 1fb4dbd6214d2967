"""Whether another wording is accepted: by a paired test on the user's own examples, and by nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

from langchain_core.runnables import Runnable

from langchain_agentcost.context.noninferiority import Verdict, noninferior
from langchain_agentcost.quality import QualityFloor

Example = TypeVar("Example")
Answer = TypeVar("Answer")
Answering = Runnable[Example, Answer] | Callable[[Example], Answer]

FLOOR = QualityFloor("right answers kept", min=0.95)
"""95 % of the right answers are kept, surely: 59 examples, all of them kept, prove it."""


def accept(
    before: Answering[Example, Answer],
    after: Answering[Example, Answer],
    examples: Iterable[Example],
    grade: Callable[[Answer, Example], bool],
    *,
    floor: QualityFloor = FLOOR,
) -> Verdict:
    """Decide whether a changed prompt may take the place of another one.

    Each example is answered by both. The trials are the examples that were right before: `noninferior` tells how it is
    counted, and what to mind (temperature 0, each set looked at once). An error of either counts as a wrong answer.

    Args:
        before: The agent or chain as it is: a Runnable, or a function of an example.
        after: The same with the change.
        examples: Your own cases, as they come in production.
        grade: Tells whether an answer is right for its example.
        floor: The least share of right answers that must be kept, and how sure one must be.

    Returns:
        The verdict: true where it is proven; `missing` tells how many more examples it takes.

    Example:
        >>> shout, speak = str.upper, str.title
        >>> made = accept(shout, speak, ["ab", "cd"], lambda answer, example: answer.lower() == example)
        >>> bool(made), made.kept, made.missing
        (False, 2, 57)
    """
    pairs = [(_right(before, one, grade), _right(after, one, grade)) for one in examples]
    return noninferior(pairs, floor)


def _right(answering: Answering[Example, Answer], example: Example, grade: Callable[[Answer, Example], bool]) -> bool:
    try:
        answer = answering.invoke(example) if isinstance(answering, Runnable) else answering(example)
    except Exception:  # noqa: BLE001  # whatever an agent raises, its user had no answer
        return False
    return bool(grade(answer, example))
