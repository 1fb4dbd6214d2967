"""Who answered a run: a replay bills a run at one model's prices."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from langchain_agentcost.replay.episode import Recorded


def most_used(calls: Iterable[tuple[Recorded, str | None]]) -> tuple[str | None, str | None]:
    """Give the model that read most of a run's tokens, and who served it; None where no call says.

    Args:
        calls: What was recorded of each call, and its provider.

    Example:
        >>> most_used([(Recorded(model="gpt-4o"), "openai"), (Recorded(), None)])
        ('gpt-4o', 'openai')
    """
    tokens: Counter[tuple[str, str | None]] = Counter()
    for recorded, provider in calls:
        if recorded.model is not None:
            tokens[recorded.model, provider] += 1 + (recorded.usage.input_tokens if recorded.usage is not None else 0)
    return tokens.most_common(1)[0][0] if tokens else (None, None)
