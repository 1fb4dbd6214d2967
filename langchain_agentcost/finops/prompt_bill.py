"""Which part of a prompt cost what: one call's bill for its input, cut along the prompt."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from langchain_agentcost.ledger.entry import InputSplit
from langchain_agentcost.pricing.cost import Cost
from langchain_agentcost.usage import Usage


class Segment(NamedTuple):
    """A part of one prompt and what it was billed.

    Args:
        tokens: Its tokens.
        cache_read_tokens: Those of them that the provider's prompt cache served.
        cache_read_nano: What reading those cost, in nano-USD.
        cache_write_nano: What writing others to the cache cost.
        input_nano: What the uncached ones cost.
    """

    tokens: int
    cache_read_tokens: int
    cache_read_nano: int = 0
    cache_write_nano: int = 0
    input_nano: int = 0

    @property
    def nano(self) -> int:
        """All that it cost, in nano-USD."""
        return self.cache_read_nano + self.cache_write_nano + self.input_nano


class Prompt(NamedTuple):
    """The four parts of a prompt, in the order in which they stand in it; the last two are mixed."""

    tool_schemas: Segment
    resent: Segment
    new: Segment
    tool_results: Segment


def divide(cost: Cost, usage: Usage, split: InputSplit) -> Prompt:
    """Divide what a call paid for its input among the parts of its prompt, exactly.

    The model: a prompt starts with the tool schemas, goes on with what earlier calls had already sent, and ends with
    what is new, tool results and the rest mixed evenly. A prompt cache works from the front, so the tokens that were
    read from it are the first ones, those that were written to it follow, and the uncached ones are last. Each of
    these three amounts is shared out among the parts that its tokens fall into, in proportion to the tokens and by
    largest remainder: the parts sum to the amount. An amount without tokens is shared over the whole prompt.

    Args:
        cost: What the call cost; only its input, cache_read and cache_write are divided.
        usage: Its tokens.
        split: What its input was made of; its parts have to sum to `usage.input_tokens`, which must not be 0.

    Returns:
        The parts.

    Example:
        >>> bill = divide(
        ...     Cost(130, cache_read_nano=30, input_nano=100),
        ...     Usage(input_tokens=40, cache_read_tokens=30),
        ...     InputSplit(tool_schema_tokens=20, resent_tokens=10, new_tokens=10),
        ... )
        >>> bill.tool_schemas.nano, bill.resent.nano, bill.new.nano
        (20, 10, 100)
    """
    whole = (split.tool_schema_tokens, split.resent_tokens, split.new_tokens, split.tool_result_tokens)
    written = usage.cache_write_tokens + usage.cache_write_1h_tokens
    read_end = usage.cache_read_tokens
    write_end = read_end + written
    read = _tokens(whole, 0, read_end)
    amounts = [
        share_out(amount, tokens if any(tokens) else whole) if amount else _NONE
        for amount, tokens in (
            (cost.cache_read_nano, read),
            (cost.cache_write_nano, _tokens(whole, read_end, write_end)),
            (cost.input_nano, _tokens(whole, write_end, max(usage.input_tokens, write_end))),
        )
    ]
    return Prompt(*map(Segment, whole, read, *amounts))


def share_out(amount: int, weights: Sequence[int]) -> tuple[int, ...]:
    """Divide a whole amount in proportion to weights by largest remainder, the earlier one where two are equal.

    Args:
        amount: The amount; it may be negative.
        weights: At least 0 each, not all of them 0.

    Returns:
        Whole amounts that sum to `amount`.

    Example:
        >>> share_out(100, (1, 1, 1)), share_out(-3, (1, 1))
        ((34, 33, 33), (-1, -2))
    """
    if not amount:
        return (0,) * len(weights)
    total = sum(weights)
    if max(weights) == total:  # most often one part has it all: a prompt cache ends within the re-sent context
        return tuple([amount if weight else 0 for weight in weights])
    cut = [divmod(amount * weight, total) for weight in weights]
    shares, remainders = [whole for whole, _ in cut], [rest for _, rest in cut]
    for _ in range(amount - sum(shares)):
        largest = remainders.index(max(remainders))
        shares[largest] += 1
        remainders[largest] = -1
    return tuple(shares)


def _tokens(whole: Sequence[int], start: int, end: int) -> Sequence[int]:
    """Count each part's tokens between two places of the prompt."""
    if start >= end:
        return _NONE
    schemas, resent, new, results = whole
    tail = schemas + resent
    of_schemas = (schemas if end > schemas else end) - start if start < schemas else 0
    of_resent = 0
    if start < tail and end > schemas:
        of_resent = (tail if end > tail else end) - (start if start > schemas else schemas)
    if end <= tail:
        return of_schemas, of_resent, 0, 0
    mixed = new + results
    last = min(end - tail, mixed) - min(max(start - tail, 0), mixed)
    of_new = last * new // (mixed or 1)
    return of_schemas, of_resent, of_new, last - of_new


_NONE = (0, 0, 0, 0)
