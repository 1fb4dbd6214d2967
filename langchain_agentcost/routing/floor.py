"""Whether a quality floor is held, and by whom: nothing is claimed that a calibration has not proven."""

from __future__ import annotations

from typing import NamedTuple

from langchain_agentcost.errors import RoutingError, RoutingWarning, give_warning
from langchain_agentcost.quality import QualityFloor
from langchain_agentcost.routing.calibration import Calibration
from langchain_agentcost.routing.drift import DriftMonitor
from langchain_agentcost.routing.policies.within import keeps_threshold, parts_of
from langchain_agentcost.routing.policy import Policy
from langchain_agentcost.routing.request import RouteRequest

FLOOR = "router_quality_floor"
"""The key of `configurable` with the least share of the strongest tier's quality that is acceptable."""


class Held(NamedTuple):
    """What holds of a floor for a call.

    Args:
        by: The policy that may choose; None where nothing is proven and the strongest tier has to be asked.
        said: That in a sentence.
    """

    by: Policy | None
    said: str


class FloorGuard:
    """Lets only a policy choose that keeps what was proven.

    Args:
        usual: The floor of calls that ask for no other; None for none.
        calibration: What was proven; None for nothing.
        strongest: The tier that all is compared with.

    Attributes:
        drift: Whether the traffic is still that of the calibration; None where nothing is proven.
    """

    def __init__(self, usual: QualityFloor | None, calibration: Calibration | None, strongest: str) -> None:
        self.drift = DriftMonitor(calibration) if calibration is not None and calibration.proven else None
        self._usual = usual
        self._calibration = calibration
        self._strongest = strongest
        self._warned: set[str] = set()

    def wanted(self, request: RouteRequest) -> QualityFloor | None:
        """Give the floor of a call; None where none is asked for.

        Raises:
            RoutingError: If the call asks for one that is no share.
        """
        given = request.configurable.get(FLOOR)
        if given is None:
            return self._usual
        try:
            return QualityFloor("quality", min=float(given))
        except (TypeError, ValueError) as error:
            raise RoutingError(f"configurable[{FLOOR!r}] is a share such as 0.95, not {given!r}.") from error

    def held(self, wanted: QualityFloor, policy: Policy, *, another: bool) -> Held:
        """Say who may choose under a floor. Where nobody may, it is warned once.

        Args:
            wanted: The floor.
            policy: The router's policy, or the one that the call names. Of policies within one another the outermost
                may choose that never goes below the proven threshold.
            another: Whether the call names it: then it is not what was calibrated.
        """
        by = next((part for part in parts_of(policy) if keeps_threshold(part)), None)
        why = self._unproven(wanted, policy, by, another=another)
        if why is None:
            return Held(by, f"{wanted.min:.0%} of {self._strongest} is proven")
        if why not in self._warned:
            self._warned.add(why)
            give_warning(RoutingWarning(f"Calls go to {self._strongest}: {why}."))
        return Held(None, why)

    def _unproven(self, wanted: QualityFloor, policy: Policy, by: Policy | None, *, another: bool) -> str | None:
        calibration = self._calibration
        if another:
            return "the calibration is not of the policy that this call names"
        if by is None and (calibration is None or calibration.proven):
            return f"policy {policy.name} has no threshold that could be proven"
        if calibration is None:
            return "the quality floor is not proven: there is no calibration"
        if not calibration.proven:
            return f"the quality floor is not proven: {_missing(calibration.missing)}"
        if not calibration.holds(wanted):
            return f"calibration {calibration.id} does not prove {wanted.min:.0%} at {wanted.confidence:.0%} confidence"
        if self.drift is not None and self.drift.drifted:
            return f"the traffic is not what was calibrated: {self.drift.why}"
        return None


def _missing(examples: int | None) -> str:
    if examples is None:
        return "more examples of this kind would not prove it"
    return f"at least {examples:,} more examples are needed"
