"""How a part of the package speaks up where it fails: the first fault is a warning."""

from __future__ import annotations

import logging
from threading import Lock

from langchain_agentcost.errors import AgentCostError, AgentCostWarning, give_warning

logger = logging.getLogger(__name__)


class Complaint:
    """Warns of the first fault, and logs the others at DEBUG.

    An error's text may quote a prompt, so only its type is named; what this package says itself, it says in full.

    Args:
        said: What failed, and what is done in its place.
        warning: What kind of warning it is.

    Example:
        >>> import warnings
        >>> with warnings.catch_warnings(record=True) as given:
        ...     warnings.simplefilter("always")
        ...     Complaint("A store failed").about(ValueError("a secret"))
        >>> str(given[0].message)
        'A store failed: ValueError'
    """

    def __init__(self, said: str, warning: type[AgentCostWarning] = AgentCostWarning) -> None:
        self._said = said
        self._warning = warning
        self._told = False
        self._lock = Lock()

    def about(self, error: Exception) -> None:
        """Tell of a fault."""
        with self._lock:
            told, self._told = self._told, True
        if told:
            logger.debug("again: %s: %s", self._said, _named(error))
            return
        give_warning(self._warning(f"{self._said}: {_named(error)}"))


def _named(error: Exception) -> str:
    own = isinstance(error, AgentCostError) and error.__cause__ is None
    return f"{type(error).__name__}: {error}" if own else type(error).__name__
