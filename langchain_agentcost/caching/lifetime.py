"""How long an entry is served."""

from __future__ import annotations

from dataclasses import dataclass
from random import uniform
from typing import NamedTuple

from langchain_agentcost.errors import CacheError
from langchain_agentcost.recent import Recent


class Terms(NamedTuple):
    """From when on an entry is renewed, and from when on it is gone, in seconds since 1970; None is never."""

    stale_s: float | None
    expires_s: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Lifetime:
    """A time to live that ends when it ends: reading an entry does not prolong it.

    Args:
        ttl_s: How long an entry is served, in seconds; None is for ever.
        soft_ttl_s: After how long it is still served, but renewed for the next one; None never renews.
        jitter: By which share both vary at random, up and down, so that what was filled together does not end together.

    Raises:
        CacheError: If a time is not above 0, the soft one is not below the hard one, or jitter is not in [0, 1).

    Example:
        >>> Lifetime(ttl_s=60, soft_ttl_s=30, jitter=0).terms(now_s=1000)
        Terms(stale_s=1030, expires_s=1060)
    """

    ttl_s: float | None = None
    soft_ttl_s: float | None = None
    jitter: float = 0.1

    def __post_init__(self) -> None:
        for name in ("ttl_s", "soft_ttl_s"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise CacheError(f"{name} is a number of seconds above 0, or None for ever, not {value!r}.")
        if self.soft_ttl_s is not None and self.ttl_s is not None and self.soft_ttl_s >= self.ttl_s:
            raise CacheError(f"soft_ttl_s ({self.soft_ttl_s}) must be below ttl_s ({self.ttl_s}).")
        if not 0 <= self.jitter < 1:
            raise CacheError(f"jitter is a share from 0 to below 1, not {self.jitter!r}.")

    def terms(self, now_s: float) -> Terms:
        """Give when an entry that is put now ends: one draw for both, so that the soft end comes first."""
        factor = 1 + uniform(-self.jitter, self.jitter) if self.jitter else 1  # noqa: S311  # no secret
        soft, hard = self.soft_ttl_s, self.ttl_s
        return Terms(
            None if soft is None else now_s + soft * factor,
            None if hard is None else now_s + hard * factor,
        )


class Renewals:
    """Sees to it that one caller renews what is past its soft end, while the others are served what there is."""

    def __init__(self) -> None:
        self._claimed: Recent[str, float] = Recent()

    def claim(self, key: str, now_s: float) -> bool:
        """Take it upon oneself to renew an entry; whoever does not come back loses it after a minute."""
        since = self._claimed.get(key)
        if since is not None and now_s - since < _CLAIM_S:
            return False
        self._claimed.put(key, now_s)
        return True


_CLAIM_S = 60.0
