"""Draws that the same call gets again, so that a policy that draws stays pure and an experiment can be repeated."""

from __future__ import annotations

from langchain_agentcost.canonical import canonical, digest
from langchain_agentcost.routing.request import RouteRequest

_BYTES = 8


def drawn(request: RouteRequest, seed: str) -> float:
    """Give a number from 0 to below 1, evenly spread over calls and always the same for one.

    A call is known by its thread, its node, how many messages it has and the last of them. To another seed all numbers
    are others.

    Example:
        >>> drawn(RouteRequest.of("Hello"), "a") == drawn(RouteRequest.of("Hello"), "a")
        True
        >>> drawn(RouteRequest.of("Hello"), "a") == drawn(RouteRequest.of("Hello"), "b")
        False
    """
    last = canonical(request.messages[-1]) if request.messages else ""
    named = "\x1f".join((seed, request.thread or "", request.node or "", str(len(request.messages)), last))
    number = int.from_bytes(digest(named)[:_BYTES])
    return (number >> 11) / (1 << 53)  # as many bits as a float holds, so that it never rounds up to 1
