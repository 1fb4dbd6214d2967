"""What can go wrong, by what the caller can do about it.

```
AgentCostError
├── InvalidUsage          token counts that cannot be; give whole numbers >= 0
├── InvalidEntry          a ledger entry that cannot be kept: no time zone, or an amount beyond all sense
├── PriceFileError        a price file with a fault; the message names line and key
├── PriceNotFound         no price, and the caller asked for one strictly
├── QueryError            a column, operator or date that the ledger does not know
├── StoreUnavailable      a ledger or budget store that cannot be opened, read or written
├── BudgetError           a budget, breaker or webhook that cannot be; the message says what to change
├── PolicyError           a policy file with a fault; the message names the key
├── HoldConflict          a reservation's id was used before for another amount
├── CacheError            a cache that cannot be: a lifetime, scope or policy that makes no sense
│   ├── Unkeyable         a value that cannot be told from others of its kind: what depends on it is not cached
│   ├── Unstorable        a value that cannot be stored and read back as it was: it is not cached
│   └── Unreadable        stored bytes that are not what they should be: a miss
├── ContextError          a context policy or plan that cannot be; the message says what to change
├── RoutingError          no tier can take a call, or a router, policy or calibration that cannot be
├── ReplayError           traces, a strategy or a price that a replay cannot use; the message says which
│   └── ReplayMismatch    what would have been sent is not what was recorded, where it has to be
├── MissingExtra          an optional dependency; the message names the extra
└── LimitReached          a limit stopped a call; also a `GraphBubbleUp`, so that LangGraph lets it through (limits.py)
    ├── BudgetExceeded    a budget has no room for the call
    ├── BreakerTripped    a circuit breaker saw a run that gets nowhere
    └── LimitUnavailable  a limit could not be checked, or not acted on as it was asked to: the call is not made
AgentCostWarning (UserWarning)
├── CacheWarning          a cache failed or was passed by; the call was made
├── ContextWarning        a context could not be cut as planned; more was sent, and nothing is lost
├── MeteringWarning       the meter itself failed; the run went on, an event may be missing
├── PrefixUnstableWarning  prompts change where they were sent before: the provider's prompt cache is lost
├── PriceNotFoundWarning  a model without a price: its cost is None, never 0
├── UnenforcedBudgetWarning  a budget that cannot hold for a call, and why
├── RoutingWarning        a router that went back to its strongest tier, or does not do what it is for
└── UsageMissingWarning   a provider reported no usage: the counts are estimates
```
"""

from __future__ import annotations

import logging
import warnings
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from langchain_agentcost.errors.limits import BreakerTripped, BudgetExceeded, LimitReached, LimitUnavailable

__all__ = [
    "AgentCostError",
    "AgentCostWarning",
    "BreakerTripped",
    "BudgetError",
    "BudgetExceeded",
    "CacheError",
    "CacheWarning",
    "ContextError",
    "ContextWarning",
    "HoldConflict",
    "InvalidEntry",
    "InvalidUsage",
    "LimitReached",
    "LimitUnavailable",
    "MeteringWarning",
    "MissingExtra",
    "PolicyError",
    "PrefixUnstableWarning",
    "PriceFileError",
    "PriceNotFound",
    "PriceNotFoundWarning",
    "QueryError",
    "ReplayError",
    "ReplayMismatch",
    "RoutingError",
    "RoutingWarning",
    "StoreUnavailable",
    "UnenforcedBudgetWarning",
    "Unkeyable",
    "Unreadable",
    "Unstorable",
    "UsageMissingWarning",
    "give_warning",
]

logger = logging.getLogger(__name__)


class AgentCostError(Exception):
    """Base of every error that this package raises on purpose."""


class InvalidUsage(AgentCostError, ValueError):
    """Token counts that cannot be: negative, fractional, not numbers, or parts that exceed their whole."""


class InvalidEntry(AgentCostError, ValueError):
    """A ledger entry that cannot be kept: its instant has no time zone, or an amount is beyond all sense."""


class PriceFileError(AgentCostError, ValueError):
    """A price file, price mapping or rate that cannot be read; the message names where."""


class PriceNotFound(AgentCostError, LookupError):
    """No price is known for a model, and the caller asked for one strictly."""


class QueryError(AgentCostError, ValueError):
    """A ledger query names a column, operator or date that does not exist."""


class StoreUnavailable(AgentCostError, OSError):
    """A ledger or a budget store cannot be opened, read or written."""


class BudgetError(AgentCostError, ValueError):
    """A budget, breaker or webhook that cannot be: no limit, a unit or scope that does not exist, a negative amount."""


class PolicyError(AgentCostError, ValueError):
    """A policy file that cannot be used; the message names the file and the key."""


class HoldConflict(AgentCostError, ValueError):
    """A reservation's id was used before for other amounts: give every call an id of its own."""


class CacheError(AgentCostError, ValueError):
    """A cache that cannot be: a lifetime, scope or policy that makes no sense; the message says what to change."""


class Unkeyable(CacheError):
    """A value that cannot be told from others of its kind. What depends on it is not cached."""


class Unstorable(CacheError):
    """A value that cannot be stored and read back as it was. It is not cached."""


class Unreadable(CacheError):
    """Stored bytes that are not what they should be, damaged or put there by somebody else: a miss."""


class ContextError(AgentCostError, ValueError):
    """A context policy, plan or reference that cannot be; the message says what to change."""


class RoutingError(AgentCostError, ValueError):
    """No tier can take a call, or a router, policy or calibration cannot be; the message says why."""


class ReplayError(AgentCostError, ValueError):
    """Traces that cannot be read, a strategy that does not exist, or prices that are not known."""


class ReplayMismatch(ReplayError):
    """A replayed run sends a model something else than was recorded, where the two are claimed to be equal."""


class MissingExtra(AgentCostError, ImportError):
    """An optional dependency is not installed.

    Args:
        package: The distribution that could not be imported.
        extra: The extra of this package that installs it.
        what: What was asked for, as the start of a sentence.

    Example:
        >>> str(MissingExtra("rich", extra="cli", what="The command line"))
        "The command line needs rich. Install it with: pip install 'langchain-agentcost[cli]'"
    """

    def __init__(self, package: str, *, extra: str, what: str) -> None:
        super().__init__(f"{what} needs {package}. Install it with: pip install 'langchain-agentcost[{extra}]'")


class AgentCostWarning(UserWarning):
    """Base of every warning that this package gives."""


class CacheWarning(AgentCostWarning):
    """A cache failed, or cannot be used where it is; the user's call was made as if there were none."""


class ContextWarning(AgentCostWarning):
    """A context could not be cut as planned: more was sent than meant, and nothing is lost."""


class MeteringWarning(AgentCostWarning):
    """The meter itself failed; the user's run went on and an event may be missing from the ledger."""


class PrefixUnstableWarning(AgentCostWarning):
    """A conversation's prompts change where they were sent before, so that the provider bills them anew; see where."""


class PriceNotFoundWarning(AgentCostWarning):
    """No price is known for a model: the cost of its calls is None, never 0."""


class UnenforcedBudgetWarning(AgentCostWarning):
    """A budget does not hold for a call, or not as it was asked to; the message says why and what to do."""


class RoutingWarning(AgentCostWarning):
    """A router that went back to its strongest tier, or does not do what it is for."""


class UsageMissingWarning(AgentCostWarning):
    """A provider reported no usage: token counts are estimates and marked as such."""


def give_warning(warning: AgentCostWarning) -> None:
    """Give a warning; where warnings are errors, log it: nothing that is merely said breaks the user's run."""
    try:
        warnings.warn(warning, stacklevel=4)
    except Warning:
        logger.warning("%s", warning)


def __getattr__(name: str) -> Any:
    """Import the limit errors when they are first used: their base is LangGraph's, which takes a second to import."""
    if name not in ("LimitReached", "BudgetExceeded", "BreakerTripped", "LimitUnavailable"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from langchain_agentcost.errors import limits  # noqa: PLC0415  # only where limits are held

    return getattr(limits, name)
