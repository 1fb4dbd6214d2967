from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from threading import Barrier, Event
from time import time
from typing import Any

import pytest
from langchain_core.messages import ToolMessage
from langchain_core.tools import BaseTool, tool
from langgraph.types import Command

from langchain_agentcost.caching.keys import function_value
from langchain_agentcost.caching.scope import Caller
from langchain_agentcost.caching.shelf import Shelf
from langchain_agentcost.caching.store import Cached
from langchain_agentcost.caching.stores import MemoryStore
from langchain_agentcost.caching.tool_cache import ToolCache
from langchain_agentcost.caching.tool_inputs import ToolInputs
from langchain_agentcost.caching.tools import ToolCachePolicy
from langchain_agentcost.errors import CacheError, StoreUnavailable
from tests.caching.tool_shop import ANN, BOB, EVE, OF_TENANT, PURE, READ, WRITE, Shop, ask, looked, wrote


def test_an_equal_read_is_served() -> None:
    """The second call is not made."""
    cache, shop = ToolCache(), Shop()
    assert [looked(cache, shop, ask()) for _ in range(3)] == ["7 left"] * 3
    assert shop.calls == 1
    assert cache.counts == {"misses": 1, "hits": 2}


def test_a_served_message_answers_the_current_call() -> None:
    """It carries the new call's id and says that it was served."""
    cache, shop = ToolCache(), Shop()
    first, second = ask(call_id="c1"), ask(call_id="c2")
    cache.call(first, shop.answering(first), policy=READ)
    served = cache.call(second, shop.answering(second), policy=READ)
    assert (served.tool_call_id, served.name, served.id) == ("c2", "stock", None)
    assert served.response_metadata["agentcost_cache"]["cache"] == "tool"
    assert served.response_metadata["agentcost_cache"]["age_s"] >= 0


def test_without_a_policy_a_tool_writes() -> None:
    """Nothing known is the worst: every call is made, and reads of the run end."""
    cache, shop = ToolCache({"stock": READ}), Shop()
    for _ in range(2):
        cache.call(ask(), shop.answering(ask()))
    cache.call(ask("think"), lambda: None)
    cache.call(ask(), shop.answering(ask()))
    assert shop.calls == 2
    assert cache.counts["writes"] == 1


def test_in_run_reads_end_at_the_first_unknown_write() -> None:
    """From then on they are neither served nor kept."""
    cache, shop = ToolCache(), Shop()
    looked(cache, shop, ask())
    wrote(cache)
    assert [looked(cache, shop, ask()) for _ in range(2)] == ["7 left"] * 2
    assert shop.calls == 3
    assert cache.counts["after_write"] == 2


def test_a_pure_tool_does_not_care_about_writes() -> None:
    """What depends on nothing is served whatever is written."""
    cache, shop = ToolCache(), Shop()
    looked(cache, shop, ask(), PURE)
    wrote(cache)
    wrote(cache, ToolCachePolicy("write", tags=("orders",)))
    looked(cache, shop, ask(), PURE)
    assert shop.calls == 1


def test_an_unknown_write_ends_what_its_caller_could_be_served() -> None:
    """The next run of another user of the tenant does not see what was read before it."""
    cache, shop = ToolCache(), Shop()
    looked(cache, shop, ask(), OF_TENANT)
    wrote(cache, by=BOB)
    looked(cache, shop, ask(by=replace(ANN, run="later")), OF_TENANT)
    assert shop.calls == 2


def test_an_unknown_write_ends_nothing_of_another_tenant() -> None:
    """What a stranger writes is no reason to ask again."""
    cache, shop = ToolCache(), Shop()
    looked(cache, shop, ask(), OF_TENANT)
    wrote(cache, by=EVE)
    looked(cache, shop, ask(), OF_TENANT)
    assert shop.calls == 1


def test_a_write_may_say_that_it_is_of_its_run_alone() -> None:
    """Its own run reads past the cache, and others are still served what was read before."""
    cache, shop = ToolCache(), Shop()
    looked(cache, shop, ask(), OF_TENANT)
    wrote(cache, ToolCachePolicy("write", scope="run"))
    looked(cache, shop, ask(by=BOB), OF_TENANT)
    assert shop.calls == 1
    looked(cache, shop, ask(), OF_TENANT)
    assert shop.calls == 2


@pytest.mark.parametrize("by", [Caller(session="s1"), Caller(tenant="acme", user="ann")])
@pytest.mark.parametrize("scope", [None, "run"])
def test_without_a_run_an_unknown_write_ends_what_its_caller_sees(by: Caller, scope: Any) -> None:
    """Outside of LangGraph no run can be told from another, so nothing less is safe."""
    cache, shop, policy = ToolCache(), Shop(), ToolCachePolicy("read", scope="user")
    looked(cache, shop, ask(by=by), policy)
    wrote(cache, ToolCachePolicy("write", scope=scope), by=by)
    looked(cache, shop, ask(by=by), policy)
    looked(cache, shop, ask(by=by), policy)
    assert shop.calls == 2


TAGGED = ToolCachePolicy("read", scope="tenant", tags=("stock:{item}",))
SELLS = ToolCachePolicy("write", tags=("stock:{item}",))


def test_a_tagged_write_ends_what_it_names() -> None:
    """The lamp is asked for again, for everybody in the tenant; the chair is not."""
    cache, shop = ToolCache(), Shop()
    lamp, chair = ask(by=ANN), ask(args={"item": "chair"}, by=ANN)
    for asked in (lamp, chair):
        looked(cache, shop, asked, TAGGED)
    wrote(cache, SELLS, by=BOB, item="lamp")
    looked(cache, shop, chair, TAGGED)
    assert shop.calls == 2
    looked(cache, shop, lamp, TAGGED)
    looked(cache, shop, lamp, TAGGED)
    assert shop.calls == 3


def test_a_tag_that_lacks_its_argument_makes_an_unknown_write() -> None:
    """Nobody knows then what was written."""
    cache, shop = ToolCache(), Shop()
    looked(cache, shop, ask(), TAGGED)
    wrote(cache, SELLS)
    looked(cache, shop, ask(), TAGGED)
    assert shop.calls == 2


def test_a_read_whose_tag_lacks_its_argument_is_not_cached() -> None:
    """Nothing could end it."""
    cache, shop = ToolCache(), Shop()
    for _ in range(2):
        looked(cache, shop, ask(args={}), TAGGED)
    assert shop.calls == 2
    assert cache.counts["unkeyable"] == 2


def test_tags_see_normalised_arguments() -> None:
    """A write and a read that name the same thing otherwise meet."""
    upper: dict[str, Any] = {"normalise": {"item": str.upper}, "tags": ("stock:{item}",)}
    cache, shop = ToolCache(), Shop()
    looked(cache, shop, ask(), ToolCachePolicy("read", **upper))
    looked(cache, shop, ask(args={"item": "LAMP"}), ToolCachePolicy("read", **upper))
    assert shop.calls == 1
    wrote(cache, ToolCachePolicy("write", **upper), item="Lamp")
    looked(cache, shop, ask(), ToolCachePolicy("read", **upper))
    assert shop.calls == 2


class Broken(Exception):
    """A tool failed."""


@pytest.mark.parametrize("error", [Broken(), KeyboardInterrupt(), asyncio.CancelledError(), TimeoutError()])
def test_a_write_that_fails_ends_reads_all_the_same(error: BaseException) -> None:
    """It may have written before it failed."""
    cache, shop = ToolCache(), Shop()

    def fail() -> None:
        raise error

    looked(cache, shop, ask(), TAGGED)
    with suppress(type(error)):
        cache.call(ask("sell"), fail, policy=SELLS)
    looked(cache, shop, ask(), TAGGED)
    assert shop.calls == 2


async def test_a_cancelled_async_write_ends_reads_all_the_same() -> None:
    """A timeout around it does not keep what was read before."""
    cache, shop = ToolCache(), Shop()
    looked(cache, shop, ask(), TAGGED)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(cache.acall(ask("sell"), asyncio.Event().wait, policy=SELLS), 0.01)
    looked(cache, shop, ask(), TAGGED)
    assert shop.calls == 2


def test_errors_are_not_cached() -> None:
    """A message that says it is an error, and an exception, are given once; the next call is made."""
    cache, shop = ToolCache(), Shop(ToolMessage("503", tool_call_id="c1", status="error"))
    assert looked(cache, shop, ask()) == "503"

    def fail() -> None:
        raise Broken

    with pytest.raises(Broken):
        cache.call(ask(), fail, policy=replace(READ, negative_ttl_s=60))
    shop.says = "7 left"
    assert looked(cache, shop, ask()) == "7 left"
    assert cache.counts["errors"] == 1


@pytest.mark.parametrize("write", [WRITE, ToolCachePolicy("write", tags=("other",))])
@pytest.mark.parametrize("effect", ["read", "pure"])
def test_errors_are_cached_where_asked_until_any_write(write: ToolCachePolicy, effect: Any) -> None:
    """What failed may work after something was written, whatever that was."""
    policy = ToolCachePolicy(effect, negative_ttl_s=60)
    cache, shop = ToolCache(), Shop(ToolMessage("no such item", tool_call_id="c1", status="error"))
    for _ in range(2):
        looked(cache, shop, ask(), policy)
    assert shop.calls == 1
    wrote(cache, write)
    looked(cache, shop, ask(), policy)
    assert shop.calls == 2


def test_a_cached_error_ends_by_its_own_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not by that of results."""
    cache, shop = ToolCache(), Shop(ToolMessage("no", tool_call_id="c1", status="error"))
    policy = ToolCachePolicy("read", ttl_s=1000, negative_ttl_s=1)
    looked(cache, shop, ask(), policy)
    _later(monkeypatch, 2)
    looked(cache, shop, ask(), policy)
    assert shop.calls == 2


def _later(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    now = time() + seconds
    for module in ("shelf", "tool_steps"):
        monkeypatch.setattr(f"langchain_agentcost.caching.{module}.time", lambda: now)


def test_results_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """After its time to live a call is made again, however often it was served."""
    cache, shop, policy = ToolCache(), Shop(), ToolCachePolicy("read", ttl_s=10)
    for _ in range(2):
        looked(cache, shop, ask(), policy)
    _later(monkeypatch, 12)
    looked(cache, shop, ask(), policy)
    assert shop.calls == 2


def test_past_the_soft_end_one_renews_and_the_others_are_served(monkeypatch: pytest.MonkeyPatch) -> None:
    """While the call is made anew, equal ones get what there is; after it, what is new."""
    cache, shop, policy = ToolCache(), Shop(), ToolCachePolicy("read", ttl_s=100, soft_ttl_s=10)
    looked(cache, shop, ask(), policy)
    _later(monkeypatch, 20)
    shop.says = "6 left"
    seen: list[str] = []

    def slow() -> ToolMessage:
        seen.append(looked(cache, shop, ask(), policy))
        made: ToolMessage = shop.answering(ask())()
        return made

    assert cache.call(ask(), slow, policy=policy).content == "6 left"
    assert seen == ["7 left"]
    assert looked(cache, shop, ask(), policy) == "6 left"
    assert shop.calls == 2


def test_a_renewal_that_fails_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own caller gets the error, and the next one renews."""
    cache, shop, policy = ToolCache(), Shop(), ToolCachePolicy("read", ttl_s=100, soft_ttl_s=10)
    looked(cache, shop, ask(), policy)
    _later(monkeypatch, 20)

    def fail() -> None:
        raise Broken

    with pytest.raises(Broken):
        cache.call(ask(), fail, policy=policy)
    shop.says = "6 left"
    assert looked(cache, shop, ask(), policy) == "6 left"


def test_equal_calls_at_the_same_time_are_one() -> None:
    """Of 8 threads one asks, and each gets a message with its own call's id."""
    cache, shop, together = ToolCache(), Shop(), Barrier(8)
    entered = Event()

    def one(number: int) -> str:
        asked = ask(call_id=f"c{number}", by=replace(ANN, session=f"s{number}"))

        def make() -> Any:
            entered.wait(5)
            return shop.answering(asked)()

        together.wait(5)
        found: ToolMessage = cache.call(asked, make, policy=OF_TENANT)
        return found.tool_call_id

    with ThreadPoolExecutor(8) as pool:
        asking = [pool.submit(one, number) for number in range(8)]
        entered.set()
        assert [asked.result() for asked in asking] == [f"c{number}" for number in range(8)]
    assert shop.calls == 1
    assert cache.counts["hits"] == 7


async def test_equal_async_calls_at_the_same_time_are_one() -> None:
    """The same in one event loop; those that waited are counted as coalesced."""
    cache, shop = ToolCache(), Shop()

    async def one(number: int) -> str:
        asked = ask(call_id=f"c{number}")

        async def make() -> Any:
            await asyncio.sleep(0.01)
            return shop.answering(asked)()

        found: ToolMessage = await cache.acall(asked, make, policy=READ)
        return found.tool_call_id

    assert await asyncio.gather(*map(one, range(8))) == [f"c{number}" for number in range(8)]
    assert shop.calls == 1
    assert (cache.counts["hits"], cache.counts["coalesced"]) == (7, 7)


async def test_what_cannot_be_stored_is_not_shared_either() -> None:
    """A command carries its own call's id: those that waited make their own calls."""
    cache = ToolCache()

    async def one(number: int) -> Any:
        asked = ask(call_id=f"c{number}")

        async def make() -> Any:
            await asyncio.sleep(0)
            return Command(update={"messages": [ToolMessage("7", tool_call_id=asked.call_id)]})

        return (await cache.acall(asked, make, policy=READ)).update["messages"][0].tool_call_id

    assert await asyncio.gather(*map(one, range(4))) == [f"c{number}" for number in range(4)]


def test_a_tool_that_asks_itself_does_not_wait_for_itself() -> None:
    """An equal call within a call is made."""
    cache, shop = ToolCache(), Shop()

    def outer() -> Any:
        looked(cache, shop, ask(call_id="c2"))
        return shop.answering(ask())()

    cache.call(ask(), outer, policy=READ)
    assert shop.calls == 2


@pytest.mark.parametrize(
    "caller", [Caller(), Caller(tenant="acme"), Caller(user="ann"), Caller(tenant="acme", user="ann", session="s")]
)
def test_outside_of_a_run_reads_of_a_run_are_not_cached(caller: Caller) -> None:
    """The usual scope is the run: where there is none, nothing is kept."""
    cache, shop = ToolCache(), Shop()
    for _ in range(2):
        looked(cache, shop, ask(by=caller))
    assert shop.calls == 2
    assert cache.counts["refused_unscoped"] == 2


def test_invalidate_ends_by_tag_and_by_owner() -> None:
    """From outside of any tool: what a webhook knows of, or a user who leaves."""
    cache, shop = ToolCache(), Shop()

    def again() -> int:
        before = shop.calls
        looked(cache, shop, ask(), TAGGED)
        return shop.calls - before

    again()
    cache.invalidate(["stock:lamp"], tenant="other")
    cache.invalidate(["stock:chair"], tenant="acme")
    cache.invalidate(tenant="other", user="ann")
    assert again() == 0
    cache.invalidate(["stock:lamp"], tenant="acme")
    assert again() == 1
    for owner in ({"tenant": "acme"}, {"tenant": "acme", "user": "ann"}, {"tenant": "acme", "session": "s1"}):
        cache.invalidate(**owner)
        assert again() == 1
    with pytest.raises(CacheError, match="Say what has changed"):
        cache.invalidate()


def test_clear_forgets_what_this_cache_kept() -> None:
    """Another cache in the same store keeps its own."""
    shelf, shop = Shelf(), Shop()
    caches = [ToolCache(store=shelf, name=name) for name in ("one", "other")]
    for cache in caches:
        looked(cache, shop, ask())
    assert shelf.store.room().entries == 2
    caches[0].clear()
    assert shelf.store.room().entries == 1
    looked(caches[1], shop, ask())
    assert shop.calls == 2


class Faulty(MemoryStore):
    """A store that may be out of reach."""

    reachable = True

    def _check(self) -> None:
        if not self.reachable:
            raise StoreUnavailable("It is gone.")

    def epoch(self) -> int:
        """As ever, or not at all."""
        self._check()
        return super().epoch()

    def invalidate(self, tags: Any) -> None:
        """As ever, or not at all."""
        self._check()
        super().invalidate(tags)

    def get(self, partition: str, key: str, *, now_s: float) -> Cached | None:
        """As ever, or not at all."""
        self._check()
        return super().get(partition, key, now_s=now_s)


@pytest.fixture
def faulty() -> Faulty:
    """A store that works until it is told not to."""
    return Faulty()


def test_a_store_that_is_gone_breaks_no_call(faulty: Faulty) -> None:
    """Reads and writes are made."""
    cache, shop = ToolCache(store=faulty), Shop()
    faulty.reachable = False
    for _ in range(2):
        assert looked(cache, shop, ask(), TAGGED) == "7 left"
    wrote(cache, SELLS, item="lamp")
    assert shop.calls == 2
    assert cache.counts["faults"] >= 3


def test_what_a_write_could_not_end_is_not_served_when_the_store_is_back(faulty: Faulty) -> None:
    """It is ended before anything is looked up again."""
    cache, shop = ToolCache(store=faulty), Shop()
    looked(cache, shop, ask(), TAGGED)
    faulty.reachable = False
    wrote(cache, SELLS, item="lamp")
    faulty.reachable = True
    shop.says = "6 left"
    assert looked(cache, shop, ask(), TAGGED) == "6 left"
    assert looked(cache, shop, ask(), TAGGED) == "6 left"
    assert shop.calls == 2


def test_a_shelf_has_its_own_secret() -> None:
    """Saying it twice is refused."""
    with pytest.raises(CacheError, match="A shelf has its own"):
        ToolCache(store=Shelf(), secret=b"0123456789abcdef")


class Remote(MemoryStore):
    """A store that async callers ask in a thread."""

    waits = True


async def test_a_remote_store_is_asked_off_the_event_loop() -> None:
    """Reads are served and writes end them, as with one in memory."""
    cache, shop = ToolCache(store=Remote()), Shop()

    async def looks() -> str:
        async def make() -> Any:
            return shop.answering(ask())()

        return str((await cache.acall(ask(), make, policy=TAGGED)).content)

    async def sells() -> None:
        shop.says = "6 left"

    assert [await looks(), await looks()] == ["7 left", "7 left"]
    await cache.acall(ask("sell"), sells, policy=SELLS)
    assert [await looks(), await looks()] == ["6 left", "6 left"]
    assert shop.calls == 2


def test_an_unknown_write_ends_what_others_of_its_tenant_have_read() -> None:
    """Nobody knows what it changed: another user's reads, in another session, are made again."""
    cache, shop = ToolCache(), Shop()
    of_user = replace(READ, scope="user")
    other = Caller(tenant=ANN.tenant, user="somebody", session="elsewhere", run="another")
    looked(cache, shop, ask(by=other), of_user)
    wrote(cache)
    looked(cache, shop, ask(by=other), of_user)
    assert shop.calls == 2


@pytest.mark.parametrize(
    "says",
    [
        "Error: no such table",
        "Error - timed out",
        "503 Service Unavailable",
        "HTTP/1.1 503",
        "HTTP 429 Rate limit exceeded",
    ],
)
def test_what_says_that_it_is_an_error_is_not_kept(says: str) -> None:
    """A tool that returns an error as text has failed all the same; a text about errors is none."""
    cache = ToolCache()
    for text, made in ((says, 2), ("Error handling is in chapter 5.", 1), ("500 servers in stock", 1)):
        calls: list[str] = []

        def tell(text: str = text, calls: list[str] = calls) -> ToolMessage:
            calls.append(text)
            return ToolMessage(text, tool_call_id="c1", name="stock")

        for _ in range(2):
            cache.call(ask(args={"text": text}), tell, policy=READ)
        assert len(calls) == made


def test_two_tools_of_one_name_that_compute_otherwise_share_nothing() -> None:
    """Their code differs in a constant, or in what they have captured; one that is made anew is the same."""

    def times(number: int) -> BaseTool:
        @tool
        def scale(x: int) -> int:
            """Scale a number."""
            return x * number

        return scale

    @tool
    def double(x: int) -> int:
        """Scale a number."""
        return x * 2

    @tool
    def triple(x: int) -> int:
        """Scale a number."""
        return x * 3

    def holds(box: list[int]) -> BaseTool:
        @tool
        def scale(x: int) -> int:
            """Scale a number."""
            return x * box[0]

        return scale

    boxes, inputs = ([2], [3]), ToolInputs()
    ones = [times(2), times(3), holds(boxes[0]), holds(boxes[1])]
    written = [inputs.of(ask("scale", {"x": 1}, tool=one), PURE).written for one in ones]
    assert len(set(written)) == len(ones)
    assert inputs.of(ask("scale", {"x": 1}, tool=holds(boxes[0])), PURE).written == written[2]
    made: list[Any] = [double, triple]
    assert function_value(made[0].func)[2] != function_value(made[1].func)[2]
