"""What can go wrong, by what the caller can do about it.

```
AgentCostError
├── InvalidUsage          token counts that cannot be; give whole numbers >= 0
├── InvalidEntry          a ledger entry that cannot be kept: no time zone, or an amount beyond all sense
├── PriceFileError        a price file with a fault; the message names line and key
├── PriceNotFound         no price, and the caller asked for one strictly
├── QueryError            a column, operator or date that the ledger does not know
├── StoreUnavailable      a ledger that cannot be opened, read or written
└── MissingExtra          an optional dependency; the message names the extra
AgentCostWarning (UserWarning)
├── MeteringWarning       the meter itself failed; the run went on, an event may be missing
├── PriceNotFoundWarning  a model without a price: its cost is None, never 0
└── UsageMissingWarning   a provider reported no usage: the counts are estimates
```
"""

from __future__ import annotations


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
    """A ledger cannot be opened, read or written."""


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


class MeteringWarning(AgentCostWarning):
    """The meter itself failed; the user's run went on and an event may be missing from the ledger."""


class PriceNotFoundWarning(AgentCostWarning):
    """No price is known for a model: the cost of its calls is None, never 0."""


class UsageMissingWarning(AgentCostWarning):
    """A provider reported no usage: token counts are estimates and marked as such."""
