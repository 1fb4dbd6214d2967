"""What a compression made of a text, and what it cost it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Compressed:
    """A text with fewer tokens, or the text itself.

    Args:
        text: What is left, to be sent.
        tokens_before: Of the text as it was given.
        tokens_after: Of what is left: never more.
        steps: What was done, in order; empty where nothing helped.
        lost: What the text no longer says, in words; empty where every word and number of the content is still there.
        dropped: The pieces that were left out, verbatim, in the order in which they stood in the text (as the lossless
            steps had written it).

    Example:
        >>> Compressed("7 left", tokens_before=10, tokens_after=3, steps=("html",), lost=("markup",)).ratio
        0.3
    """

    text: str
    tokens_before: int
    tokens_after: int
    steps: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()

    @property
    def ratio(self) -> float:
        """The share of the tokens that is left; 1.0 of an empty text."""
        return self.tokens_after / self.tokens_before if self.tokens_before else 1.0

    @property
    def same_information(self) -> bool:
        """Whether the text still says all that it said."""
        return not self.lost and not self.dropped
