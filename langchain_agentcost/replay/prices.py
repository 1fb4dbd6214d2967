"""The prices of a replay as a price book, for a real meter that books a replayed run."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from langchain_agentcost.pricing import PriceBook, PriceCard


class CardBook(PriceBook):
    """The price cards that it is given, whatever the instant, provider or tier; no other model has a price.

    Args:
        cards: The cards by the names of the models. More may come later.
    """

    def __init__(self, cards: Mapping[str, PriceCard]) -> None:
        super().__init__()
        self._cards = cards

    def card(
        self,
        model: str,
        *,
        provider: str | None = None,
        at: datetime | None = None,
        service_tier: str | None = None,
        asked: str | None = None,
    ) -> PriceCard | None:
        """Look a model's prices up.

        Example:
            >>> card = PriceBook().card("gpt-4o-mini")
            >>> CardBook({"mine": card}).card("mine") is card, CardBook({}).card("gpt-4o-mini")
            (True, None)
        """
        return self._cards.get(model)
