"""Meters that are there without being passed: for a block, or for the whole process."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from contextvars import ContextVar
from decimal import Decimal
from typing import ClassVar, TypedDict, Unpack

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.runnables.config import ensure_config, get_callback_manager_for_config
from langchain_core.tracers.context import register_configure_hook

from langchain_agentcost.attribution import AttributionMap
from langchain_agentcost.ledger import Ledger
from langchain_agentcost.limits.budget import Budget
from langchain_agentcost.meter.block import BudgetBlock, within
from langchain_agentcost.meter.handler import CostMeter
from langchain_agentcost.pricing import PriceBook, PriceOverrides
from langchain_agentcost.pricing.overrides import Given

GLOBAL_VARIABLE = "AGENTCOST_GLOBAL"
"""The environment variable by which LangChain learns that a process-wide meter is installed."""

_block_meter: ContextVar[CostMeter | None] = ContextVar("langchain_agentcost_meter", default=None)
"""The meter of the innermost `meter_costs` block of this thread or task. It is the package's one ContextVar: LangChain
reads it whenever a run starts, and a ContextVar is how tasks and copied contexts each see their own."""

register_configure_hook(_block_meter, inheritable=True)


@contextmanager
def meter_costs(
    ledger: CostMeter | Ledger | str | None = None,
    *,
    prices: PriceBook | PriceOverrides | Given | None = None,
    attribution: AttributionMap | Mapping[str, Sequence[str]] | None = None,
) -> Iterator[CostMeter]:
    """Meter everything that runs in a block, without passing callbacks.

    Works for sync and async code, and for the tasks and `ContextThreadPoolExecutor` threads that the block starts. Raw
    threads start with an empty context and are not seen (`install_global` sees them). The LangSmith tracer with costs
    is not added: for costs in LangSmith pass `meter.callbacks`. Blocks nest, and the innermost one meters.

    Args:
        ledger: As for `CostMeter`; or a meter of your own, one with budgets for example, which stays open.
        prices: As for `CostMeter`.
        attribution: As for `CostMeter`.

    Yields:
        The meter. A ledger in memory can be read after the block; a file that the block opened is closed.

    Example:
        >>> from langchain_agentcost.testing import FakeMeteredChatModel
        >>> with meter_costs() as meter:
        ...     answer = FakeMeteredChatModel().invoke("Hi")
        >>> meter.report(by="model").total.llm_calls
        1
    """
    given = isinstance(ledger, CostMeter)
    meter = ledger if isinstance(ledger, CostMeter) else CostMeter(ledger, prices=prices, attribution=attribution)
    token = _block_meter.set(meter)
    try:
        yield meter
    finally:
        with suppress(ValueError):  # a generator that is closed from another context has left this one already
            _block_meter.reset(token)
        if not given:
            meter.close()


class Limits(TypedDict, total=False):
    """The limits that a block may state; see `Budget`."""

    usd: Decimal | int | float | str
    input_tokens: int
    output_tokens: int
    total_tokens: int
    steps: int
    llm_calls: int
    tool_calls: int
    wall_time_s: float


@contextmanager
def budget(limits: Budget | None = None, **stated: Unpack[Limits]) -> Iterator[BudgetBlock]:
    """Hold everything that runs in a block to a budget of its own.

    Blocks nest: a call has to have room in each that it is in, and in the budgets of its meter. Tasks and copied
    contexts that the block starts are in it too. Where no meter is at hand, the block brings one.

    Args:
        limits: A budget; whose it is per does not matter, it is the block's.
        **stated: Or the limits of one, as `Budget` takes them: `budget(usd=0.5, steps=20)`.

    Yields:
        The block: what is spent and what is left of it.

    Raises:
        BudgetError: If the limits cannot be.
        LimitReached: From the call that the block has no room for.

    Example:
        >>> from langchain_agentcost.testing import FakeMeteredChatModel
        >>> with budget(llm_calls=2) as block:
        ...     answer = FakeMeteredChatModel().invoke("Hi")
        ...     str(block.remaining[0])
        '1 of 2 model calls left (block budget)'
    """
    block = BudgetBlock(limits if limits is not None else Budget(**stated))
    with ExitStack() as stack:
        if not active_meters():
            meter = stack.enter_context(meter_costs())
            meter.hold_blocks()
            block.brought = meter.enforcer
        stack.enter_context(within(block))
        yield block


def install_global(
    ledger: CostMeter | Ledger | str | None = None,
    *,
    prices: PriceBook | PriceOverrides | Given | None = None,
    attribution: AttributionMap | Mapping[str, Sequence[str]] | None = None,
) -> CostMeter:
    """Meter every LangChain call of this process, raw threads and nested `callbacks=[…]` included.

    It holds until `uninstall_global()`, and in forked children; a process that is spawned installs its own. Passing the
    returned meter as a callback as well is harmless. The LangSmith tracer with costs is not added: for costs in
    LangSmith pass `meter.callbacks`.

    Args:
        ledger: As for `CostMeter`; or a meter of your own: raw threads too are then held to its budgets.
        prices: As for `CostMeter`.
        attribution: As for `CostMeter`.

    Returns:
        The meter. Installing again replaces it; the one before stays open.

    Example:
        >>> from langchain_agentcost.testing import FakeMeteredChatModel
        >>> meter = install_global()
        >>> answer = FakeMeteredChatModel().invoke("Hi")
        >>> uninstall_global()
        >>> meter.report(by="model").total.llm_calls
        1
    """
    meter = ledger if isinstance(ledger, CostMeter) else CostMeter(ledger, prices=prices, attribution=attribution)
    _GlobalMeter.installed = meter
    os.environ[GLOBAL_VARIABLE] = "true"
    return meter


def uninstall_global() -> None:
    """End what `install_global` began. The meter stays usable, and its ledger open."""
    _GlobalMeter.installed = None
    os.environ.pop(GLOBAL_VARIABLE, None)


def active_meters() -> list[CostMeter]:
    """The meters that see calls made here: passed as callbacks, of the block, and of the process."""
    manager = get_callback_manager_for_config(ensure_config())
    return [handler for handler in manager.handlers if isinstance(handler, CostMeter)]


class _GlobalMeter(BaseCallbackHandler):
    """What LangChain makes an instance of for each root run; it is given the installed meter instead.

    LangChain offers no other way that reaches raw threads: a ContextVar starts empty there, and an environment variable
    does not. A process that has the variable but installed no meter gets this handler, which does nothing.
    """

    installed: ClassVar[CostMeter | None] = None

    def __new__(cls) -> BaseCallbackHandler:  # type: ignore[misc]  # on purpose: see the docstring
        return cls.installed or super().__new__(cls)


register_configure_hook(
    ContextVar("langchain_agentcost_global", default=None), inheritable=True,
    handle_class=_GlobalMeter, env_var=GLOBAL_VARIABLE,
)  # fmt: skip
