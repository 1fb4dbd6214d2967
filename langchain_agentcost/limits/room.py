"""Whether there is room for a call, and for how long an answer: one rule for every store."""

from __future__ import annotations

from collections.abc import Sequence

from langchain_agentcost.limits.holds import Line

MOST = 2**53
"""The most that one call may take from one account: 9 million dollars. Sums of such amounts fit into 64 bits."""


LONGEST_TTL_S = 366 * 86_400.0
"""The longest lease: whoever wants a year means something else."""


def check(hold_id: str, lines: Sequence[Line], tokens: tuple[int, int], ttl_s: float) -> None:
    """Refuse a reservation that no store can keep.

    Args:
        hold_id: The reservation's id.
        lines: Its lines.
        tokens: The longest answer that is asked for, and the shortest.
        ttl_s: How long the lease lasts, in seconds.

    Raises:
        ValueError: If there is no line, two are of one account, or an amount, a name or a time cannot be.
    """
    if not lines or len({(line.scope, line.window) for line in lines}) != len(lines):
        raise ValueError("A hold needs one line or more, each of an account of its own.")
    if not all(_is_amount(number) for number in tokens):
        raise ValueError(f"An answer cannot have {tokens} tokens at most and at least.")
    check_ttl(ttl_s)
    check_text(hold_id)
    for line in lines:
        check_text(line.scope)
        amounts = (line.fixed, line.per_output_token, line.lost)
        if not all(map(_is_amount, amounts)) or not _is_whole(line.limit) or abs(line.limit) > 2**62:
            raise ValueError(f"A line of {line.scope!r} has an amount that cannot be: {line}.")


def check_ttl(ttl_s: float) -> None:
    """Refuse a lease that ends at no time.

    Raises:
        ValueError: If it is negative, not a number, or beyond all sense.
    """
    if not 0 <= ttl_s <= LONGEST_TTL_S:
        raise ValueError(f"A lease cannot last {ttl_s} s: {LONGEST_TTL_S:.0f} s is the most.")


def check_text(text: str) -> None:
    """Refuse a name that has no UTF-8.

    Raises:
        ValueError: If it holds half a character.
    """
    if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
        raise ValueError(f"{text[:60]!r} holds half a character (a lone surrogate), which no store can keep.")


def check_taken(taken: Sequence[int], lines: int) -> None:
    """Refuse amounts that cannot be posted.

    Raises:
        ValueError: If they are not one for each line, or one cannot be.
    """
    if len(taken) != lines:
        raise ValueError(f"The hold has {lines} lines, not {len(taken)}.")
    if not all(map(_is_amount, taken)):
        raise ValueError(f"A call cannot have taken {tuple(taken)}.")


def check_raise(by: int) -> None:
    """Refuse a raise that no store can keep.

    Raises:
        ValueError: If it is beyond all sense.
    """
    if not _is_whole(by) or abs(by) > MOST:
        raise ValueError(f"A limit cannot be raised by {by}: {MOST} is the most.")


def longest_answer(lines: Sequence[Line], left: Sequence[int | None], *, at_most: int) -> tuple[int, int]:
    """The longest answer that every enforced line has room for, and the line that binds.

    Args:
        lines: The lines.
        left: What is left on each line's account; None where it is frozen.
        at_most: The longest answer that is asked for, in tokens.

    Returns:
        The tokens, -1 where not even an empty answer fits; the position of the first line that has room for no more,
        -1 where there is room for all that is asked for.

    Example:
        >>> longest_answer([Line("a", 100, 40, 2), Line("b", 100, 40, 3)], [100, 100], at_most=50)
        (20, 1)
    """
    longest, binding = at_most, -1
    for position, line in enumerate(lines):
        if line.enforced and (fits := _fits(line, left[position], at_most)) < longest:
            longest, binding = fits, position
    return longest, binding


def granted_amounts(lines: Sequence[Line], output_tokens: int) -> tuple[int, ...]:
    """What is reserved for an answer of that length, on each line.

    Raises:
        ValueError: If it is more than any call may take, which only an account without enforcement has room for.
    """
    amounts = tuple([line.fixed + line.per_output_token * output_tokens for line in lines])
    if max(amounts) > MOST:
        raise ValueError(f"No call may take {max(amounts)} of an account: {MOST} is the most.")
    return amounts


def _is_amount(number: float) -> bool:
    return _is_whole(number) and 0 <= number <= MOST


def _is_whole(number: float) -> bool:
    return isinstance(number, int)


def _fits(line: Line, left: int | None, at_most: int) -> int:
    if left is None or line.fixed > left:
        return -1
    return (left - line.fixed) // line.per_output_token if line.per_output_token else at_most
