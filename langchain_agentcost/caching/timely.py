"""Questions whose answer depends on when they are asked."""

from __future__ import annotations

import re

_WHEN = re.compile(
    r"\b(today|tonight|tomorrow|yesterday|now|currently|current|latest|newest|recent|recently|nowadays|at the moment"
    r"|at present|up[- ]to[- ]date|as of|so far|(this|last|next|past) "
    r"(second|minute|hour|day|night|morning|afternoon|evening|week|weekend|month|quarter|year)"
    r"|what time|what day|how long ago|weather|forecast|breaking|live)\b",
    re.IGNORECASE,
)


def timely(text: str) -> bool:
    """Tell whether a question speaks of the time at which it is asked. English only.

    Example:
        >>> timely("What is the latest release?"), timely("What is a release?")
        (True, False)
    """
    return _WHEN.search(text) is not None
