"""Budgets that hold for a block of code."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace
from uuid import uuid4

from langchain_agentcost.limits.budget import Budget
from langchain_agentcost.limits.limiter import Limiter
from langchain_agentcost.limits.memory import MemoryBudgetStore
from langchain_agentcost.limits.remaining import Remaining


class BudgetBlock:
    """A budget that holds for a block.

    Args:
        limits: Its limits.
    """

    def __init__(self, limits: Budget) -> None:
        named = replace(limits, per="run", window="total", where={}, name=limits.name or "block budget")
        store = MemoryBudgetStore(clock=lambda: 0.0)  # its holds die with the process, so none of them expires
        self.limiter = Limiter([named], store, subject=str(uuid4()))
        self.brought: object = None
        """What holds calls to the block where no other meter is at hand; None where one is."""
        self.others = False
        """Whether another meter holds calls to it."""

    @property
    def remaining(self) -> tuple[Remaining, ...]:
        """What is left of each of its limits."""
        return self.limiter.remaining({})


_blocks: ContextVar[tuple[BudgetBlock, ...]] = ContextVar("langchain_agentcost_blocks", default=())
"""The blocks that this thread or task is in, outermost first: tasks and copied contexts each see their own, which is
what a tree of budgets needs."""


@contextmanager
def within(block: BudgetBlock) -> Iterator[None]:
    """Hold every call of a `with` block to a budget block."""
    token = _blocks.set((*_blocks.get(), block))
    try:
        yield
    finally:
        _blocks.reset(token)


def in_a_block() -> bool:
    """Whether this code is in a block."""
    return bool(_blocks.get())


def seen_by(holder: object) -> None:
    """Note that a meter sees what runs in these blocks: the meter that a block brought along then stands back."""
    for block in _blocks.get():
        block.others = block.others or block.brought is not holder


def around_here() -> list[Limiter]:
    """The limits of the blocks that this code is in, outermost first, whoever holds calls to them."""
    return [block.limiter for block in _blocks.get()]


def held_by(holder: object) -> list[Limiter]:
    """What a meter has to hold calls here to, outermost first: each block is held by one kind of meter."""
    seen_by(holder)
    return [block.limiter for block in _blocks.get() if not (block.others and block.brought is holder)]
