"""Fitted caps, as data that a person reviews before anything is capped."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

from langchain_agentcost.quality import QualityFloor


@dataclass(frozen=True, slots=True)
class Cap:
    """What the ledger says of the answers of one model in one place.

    Args:
        place: The node, or whatever was grouped by; None where calls did not state one.
        model: The model that was asked for.
        calls: How many answers the provider counted, reasoning included, whole or cut.
        cut: How many of them were cut, or look like it: their whole length is not known.
        longest_tokens: The longest answer that was counted.
        bound_tokens: What the stated share of answers is within; None where that cannot be said.
        max_tokens: The cap: the bound times the headroom. None is no cap.
        missing_calls: How many more calls it takes to say it.
        reason: Why there is no cap; empty where there is one.
    """

    place: str | int | None
    model: str | None
    calls: int
    cut: int
    longest_tokens: int
    bound_tokens: int | None = None
    max_tokens: int | None = None
    missing_calls: int = 0
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Fitted:
    """Caps that were fitted, and to what.

    A cap makes no answer shorter. It cuts the few that run away, and it makes what budgets reserve for a call smaller:
    without one they must reserve the longest answer that the model can write.

    Args:
        by: What calls were grouped by, beside the model.
        floor: The share of answers that stays within the bounds, and how sure that is.
        headroom: What bounds were multiplied by.
        caps: The groups, those with the most calls first.

    Example:
        >>> one = Fitted("node", QualityFloor("answers whole", min=0.99), 2.0, (Cap("plan", "m", 500, 0, 90, 80, 160),))
        >>> one.max_tokens("plan"), one.max_tokens("write"), Fitted.from_dict(one.as_dict()) == one
        (160, None, True)
    """

    by: str
    floor: QualityFloor
    headroom: float
    caps: tuple[Cap, ...] = ()

    def max_tokens(self, place: str | int | None, model: str | None = None) -> int | None:
        """Give the cap of a place.

        Args:
            place: The node, or what was grouped by.
            model: The model that is asked for; None is whichever, so the highest of them, and only where all have one.

        Returns:
            The cap in tokens; None where none was fitted.
        """
        found = [cap.max_tokens for cap in self.caps if cap.place == place and model in (None, cap.model)]
        known = [tokens for tokens in found if tokens is not None]
        return max(known) if known and len(known) == len(found) else None

    def as_dict(self) -> dict[str, Any]:
        """Give it as JSON takes it."""
        return {
            "by": self.by,
            "floor": asdict(self.floor),
            "headroom": self.headroom,
            "caps": [asdict(cap) for cap in self.caps],
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Read what `as_dict` gave.

        Raises:
            ValueError: If something is missing or cannot be.
        """
        try:
            caps = tuple(Cap(**cap) for cap in data["caps"])
            return cls(str(data["by"]), QualityFloor(**data["floor"]), float(data["headroom"]), caps)
        except (KeyError, TypeError) as error:
            raise ValueError(f"These are no fitted caps: {type(error).__name__}: {error}.") from error
