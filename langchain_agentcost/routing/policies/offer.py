"""Finding an offer by what a user calls it."""

from __future__ import annotations

from langchain_agentcost.routing.policies.step_map import levels_by_place
from langchain_agentcost.routing.policy import Offer, Offers
from langchain_agentcost.routing.tier import LEVELS


def offer_named(offers: Offers, wanted: str) -> Offer | None:
    """Give the offer of a tier's name; of a level the weakest that is at least so strong, else the strongest.

    Args:
        offers: The offers, weakest first.
        wanted: A tier's name, or "small", "mid" or "frontier".

    Returns:
        None where no tier on offer is called so.
    """
    named = next((offer for offer in offers if offer.name == wanted), None)
    if named is not None or wanted not in LEVELS:
        return named
    placed = levels_by_place([offer.name for offer in offers])
    least = LEVELS.index(wanted)
    strong = (offer for offer in offers if LEVELS.index(offer.tier.level or placed[offer.name]) >= least)
    return next(strong, offers[-1])
