"""Similar questions: never across a partition, never before it is proven, and never where it is not asked for."""

from __future__ import annotations

import sqlite3
import sys
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage

from langchain_agentcost import CostMeter
from langchain_agentcost.attribution import AttributionMap
from langchain_agentcost.caching import semantic
from langchain_agentcost.caching.answer import MARK
from langchain_agentcost.caching.cached_runnable import CachedRunnable
from langchain_agentcost.caching.semantic import SemanticCache
from langchain_agentcost.caching.shelf import Shelf
from langchain_agentcost.caching.stores import MemoryStore, SQLiteStore
from langchain_agentcost.errors import CacheError, CacheWarning
from tests.caching.desk import (
    EAGER,
    AllAlike,
    Sure,
    Words,
    alike_cache,
    booked,
    caller,
    calls,
    cancel,
    desk_model,
    echo,
    exact_cache,
    prepared,
    saved_nano,
    track,
    trusting,
)

WARMED = ("Could parcels be tracked?", "Might parcels be traced?")
"""What `prepared` has asked."""

ALIKE = "Are parcels traceable?"
"""What is like it, by every embedding and verifier of this file."""

ANY_TEXT = st.text(st.characters(codec=None, exclude_categories=()), max_size=12) | st.sampled_from(
    ["", "\0", "a\0b", ":", "1:a", "\ud800", "é", "e\u0301", "-", "a|b", '"', "}"]
)


def similar(**options: Any) -> tuple[CachedRunnable, CachedRunnable]:
    """A model behind a cache that serves everything that is alike, and an untouched one like it."""
    asked = CachedRunnable(desk_model(echo), alike_cache(**options))
    prepared(asked.cache, asked.model)
    return asked, CachedRunnable(desk_model(echo), alike_cache(**options))


class TestASimilarQuestion:
    """What happens to it."""

    @pytest.mark.parametrize("how", ["invoke", "stream", "ainvoke", "astream"])
    async def test_it_is_served_where_that_is_proven(self, how: str) -> None:
        """The stored answer, marked as similar, without a call, in every way of calling; one hit is booked."""
        asked, _ = similar()
        meter = CostMeter()
        config: Any = caller() | {"callbacks": meter.callbacks}
        if how == "invoke":
            said = asked.invoke(ALIKE, config)
        elif how == "ainvoke":
            said = await asked.ainvoke(ALIKE, config)
        elif how == "stream":
            *_, said = asked.stream(ALIKE, config)
        else:
            *_, said = [piece async for piece in asked.astream(ALIKE, config)]
        assert (calls(asked), said.text.startswith("You asked: ")) == (2, True)
        assert said.response_metadata[MARK]["cache"] == "semantic"
        assert said.response_metadata[MARK]["similarity"] == pytest.approx(1)
        [hit] = booked(meter, "cache_hit")
        assert (hit.name, booked(meter, "llm")) == ("semantic", [])
        assert saved_nano(hit) > 0

    def test_it_is_only_watched_before_that(self) -> None:
        """In shadow mode each is asked, compared and learned from, and equal ones are served meanwhile."""
        asked = CachedRunnable(desk_model(), alike_cache())
        texts = [f"Can parcel{letter} be tracked?" for letter in "abcdefgh"]
        for text in texts:
            assert MARK not in asked.invoke(text).response_metadata
        counts = asked.cache.counts
        assert (calls(asked), counts["audits"], counts["misses"]) == (8, 7, 8)
        assert [asked.invoke(text).response_metadata[MARK]["cache"] for text in texts] == ["exact"] * 8
        assert calls(asked) == 8

    def test_it_is_served_from_the_moment_that_enough_were_right(self) -> None:
        """The evidence says how many more it takes, and that many later nothing similar is asked any more."""
        asked = CachedRunnable(desk_model(), alike_cache())
        asked.invoke(WARMED[0])
        needed = asked.cache.evidence.needed()
        letters = [f"{a}{b}" for a in "abcdefghij" for b in "klmnopqrst"]
        for letter in letters[:needed]:
            asked.invoke(f"Can parcel{letter} be tracked?")
        assert (calls(asked), asked.cache.evidence.needed()) == (1 + needed, 0)
        served = [asked.invoke(f"Can parcel{letter} be tracked?") for letter in letters[needed : needed + 20]]
        assert sum(MARK in said.response_metadata for said in served) >= 18  # one in a thousand is audited

    def test_a_rule_forbids_it_whatever_the_verifier_says(self) -> None:
        """A number, a name, a negation: another question."""
        asked = CachedRunnable(desk_model(echo), alike_cache(allow=["tool_calls"]))
        prepared(asked.cache, asked.model)
        asked.invoke("Cancel order 12")
        for trap in ("Cancel order 13", "Do not cancel order 12"):
            assert asked.invoke(trap).text == f"You asked: {trap}"

    def test_it_is_found_by_other_words_of_its_own(self) -> None:
        """With a real verifier's kind of score the nearest in words is the one that is served."""

        class ByNearness(Sure):
            def score(self, a: str, b: str, similarity: float) -> float:
                return similarity

        cache = alike_cache(embeddings=Words(), verifier=ByNearness())
        asked = CachedRunnable(desk_model(echo), cache)
        for text in ("how can parcels be tracked online", "how can shoes be cleaned well"):
            asked.invoke(text)
        trusting(cache)
        assert asked.invoke("how can parcels be tracked online please").text == (
            "You asked: how can parcels be tracked online"
        )


class TestPartitions:
    """An embedding that maps everything to one vector and a verifier that is sure of everything find no way across."""

    @settings(max_examples=60, deadline=None)
    @given(ANY_TEXT, ANY_TEXT)
    @example("a", "a\0")
    @example("\ud800", "\ud801")
    @example("", "\0")
    def test_no_two_tenants_users_or_sessions_share(self, one: str, other: str) -> None:
        """Neither exactly nor by likeness, whatever they are called."""
        cache = trusting(alike_cache(scope="user"))
        asked = CachedRunnable(desk_model(echo), cache)
        callers = [
            caller(tenant, user) for tenant, user in {("t" + one, "u"), ("t" + other, "u"), ("t", "u" + one + other)}
        ]
        callers += [caller(None, None, session=name) for name in {"s" + one, "s" + other}]
        for config in callers:
            for text in (WARMED[0], ALIKE):
                asked.invoke(text, config)
        before = calls(asked)
        assert before >= len(callers)
        for number, config in enumerate(callers):
            said = asked.invoke(WARMED[0], config)
            assert said.response_metadata[MARK]["cache"] == "exact", number
        fresh = caller("t" + one + other + "x", "u")
        assert MARK not in asked.invoke(WARMED[0], fresh).response_metadata

    @settings(max_examples=60, deadline=None)
    @given(ANY_TEXT, ANY_TEXT)
    def test_no_two_system_prompts_share(self, one: str, other: str) -> None:
        """What is alike is served for the same system prompt, and asked for another one."""
        if one == other:
            return
        cache = alike_cache()
        asked = CachedRunnable(desk_model(echo), cache)
        for text in WARMED:
            asked.invoke([SystemMessage(one), HumanMessage(text)])
        trusting(cache)
        assert MARK in asked.invoke([SystemMessage(one), HumanMessage(ALIKE)]).response_metadata
        assert MARK not in asked.invoke([SystemMessage(other), HumanMessage(ALIKE)]).response_metadata

    @pytest.mark.parametrize(
        "changed",
        [
            lambda asked: CachedRunnable(desk_model(echo, model="gpt-5"), asked.cache),
            lambda asked: asked.bind_tools([track]),
            lambda asked: asked.bind_tools([track, cancel]),
            lambda asked: asked.bind(stop=["."]),
            lambda asked: asked.bind(response_format={"type": "json_object"}),
        ],
        ids=["model", "tool", "tools", "stop", "format"],
    )
    def test_no_two_models_tools_or_parameters_share(self, changed: Any) -> None:
        """The first question of another kind is asked."""
        asked, _ = similar()
        assert MARK in asked.invoke(ALIKE).response_metadata
        assert MARK not in changed(asked).invoke(ALIKE).response_metadata

    def test_no_two_versions_share(self) -> None:
        """A new version of what answers depend on is a new cache in the same store."""
        store = MemoryStore()
        for count in (1, 2):
            asked = CachedRunnable(desk_model(), exact_cache(store=store, version=str(count)))
            asked.invoke(ALIKE)
            assert calls(asked) == 1


class TestCautions:
    """What is not served by likeness unless that is allowed."""

    @pytest.mark.parametrize(("allow", "served"), [((), False), (("later_turns",), True)])
    def test_a_later_turn(self, allow: Any, served: bool) -> None:  # a parameter of the test
        """With the same history: exact matches only, by default."""
        history = [HumanMessage("Hello"), AIMessage("Hello, what is it?")]
        cache = alike_cache(allow=allow)
        asked = CachedRunnable(desk_model(echo), cache)
        for text in WARMED:
            asked.invoke([*history, HumanMessage(text)])
        prepared(cache, asked.model)
        assert (MARK in asked.invoke([*history, HumanMessage(ALIKE)]).response_metadata) == served
        assert MARK in asked.invoke([*history, HumanMessage(WARMED[0])]).response_metadata

    @pytest.mark.parametrize(("allow", "served"), [((), False), (("tool_calls",), True)])
    def test_an_answer_that_calls_tools(self, allow: Any, served: bool) -> None:  # same
        """Acting on another question is worse than saying something."""
        call = AIMessage("", tool_calls=[{"name": "cancel", "args": {"order": "1"}, "id": "1"}])
        cache = alike_cache(allow=allow)
        asked = CachedRunnable(desk_model((call,)), cache)
        prepared(cache, asked.model)
        assert (MARK in asked.invoke(ALIKE).response_metadata) == served
        assert MARK in asked.invoke(WARMED[0]).response_metadata

    def test_a_text_that_is_too_long_is_only_found_exactly(self) -> None:
        """Encoders cut it, and the end may be what differs."""
        asked, _ = similar()
        long = "word " * 500
        assert MARK not in asked.invoke(long + "a").response_metadata
        assert MARK not in asked.invoke(long + "b").response_metadata
        assert MARK in asked.invoke(long + "b").response_metadata

    def test_what_cannot_be_allowed_is_refused_with_what_can(self) -> None:
        """A string in place of a list is a mistake as well."""
        for allow in (["everything"], "timely"):
            with pytest.raises(CacheError, match="later_turns"):
                alike_cache(allow=allow)


class TestLifetimes:
    """How long answers live."""

    def test_an_answer_ends_when_it_ends(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Reading does not prolong it."""
        now = [1_000.0]
        monkeypatch.setattr(semantic, "time", lambda: now[0])
        monkeypatch.setattr("langchain_agentcost.caching.shelf.time", lambda: now[0])
        asked = CachedRunnable(desk_model(), exact_cache(ttl_s=100))
        made = []
        for after in (0, 40, 49, 25):  # 89 s is within any jitter, 114 s beyond
            now[0] += after
            asked.invoke(ALIKE)
            made.append(calls(asked))
        assert made == [1, 1, 1, 2]

    def test_one_caller_renews_what_is_stale(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The first to ask after the soft end asks the model, the others are served; then the new answer is there."""
        now = [1_000.0]
        monkeypatch.setattr(semantic, "time", lambda: now[0])
        monkeypatch.setattr("langchain_agentcost.caching.shelf.time", lambda: now[0])
        inner: list[str] = []

        def answers(messages: Any) -> str:
            if len(inner) < 1 and calls(asked) == 2:
                inner.append(CachedRunnable(asked.model, other).invoke(messages).text)
            return f"answer {calls(asked)}"

        store = MemoryStore()
        asked = CachedRunnable(desk_model(answers), exact_cache(store=store, ttl_s=1_000, soft_ttl_s=100))
        other = asked.cache
        first = asked.invoke(ALIKE).text
        now[0] += 200
        renewed = asked.invoke(ALIKE).text
        assert (first, inner, renewed) == ("answer 1", ["answer 1"], "answer 2")
        assert asked.invoke(ALIKE).text == "answer 2"
        assert calls(asked) == 2


class TestForgetting:
    """Deleting for good."""

    @pytest.mark.parametrize("names", [{"tenant": "acme"}, {"tenant": "acme", "user": "ann"}, {"model": "gpt-4.1"}])
    def test_no_byte_of_it_stays_in_the_file(self, tmp_path: Any, names: dict[str, str]) -> None:
        """Question and answer are gone from the database, its log and its index; others' stay."""
        path = tmp_path / "cache.db"
        asked = CachedRunnable(desk_model(echo), alike_cache(store=f"sqlite:///{path}", scope="user"))
        asked.invoke("canaryquestion about parcels", caller())
        other = CachedRunnable(desk_model(echo, model="gpt-5"), asked.cache)
        other.invoke("sparrowquestion about parcels", caller("other", "ann"))
        assert b"canaryquestion" in everything(tmp_path)
        assert asked.cache.forget(**names) == 1  # type: ignore[arg-type]
        left = everything(tmp_path)
        assert b"canaryquestion" not in left
        assert b"sparrowquestion" in left
        asked.invoke("canaryquestion about parcels", caller())
        assert calls(asked) == 2

    def test_what_is_under_way_is_not_kept(self) -> None:
        """An answer that was begun before its owner was forgotten is given, and forgotten."""

        def answers(messages: Any) -> str:
            asked.cache.forget(tenant="acme", user="ann")
            return "In Lyon."

        asked = CachedRunnable(desk_model(answers), alike_cache(scope="user"))
        assert asked.invoke(ALIKE, caller()).text == "In Lyon."
        assert asked.cache.shelf.store.room().entries == 0

    def test_a_session_and_what_is_old_can_be_forgotten_too(self) -> None:
        """Each by its name; nothing at all is a mistake."""
        asked = CachedRunnable(desk_model(), exact_cache(scope="session"))
        asked.invoke(ALIKE, caller(session="1"))
        asked.invoke(ALIKE, caller(session="2"))
        assert asked.cache.forget(tenant="acme", session="1") == 1
        assert asked.cache.forget(before=datetime(2000, 1, 1, tzinfo=UTC)) == 0
        assert asked.cache.forget(before=datetime(2100, 1, 1, tzinfo=UTC)) == 1
        with pytest.raises(CacheError, match="Name what to forget"):
            asked.cache.forget()


def everything(folder: Any) -> bytes:
    """The bytes of all files of a folder."""
    return b"".join(path.read_bytes() for path in folder.iterdir())


class TestFaults:
    """Whatever is wrong with the cache, the model answers."""

    @pytest.mark.parametrize("how", ["invoke", "stream", "ainvoke", "astream"])
    async def test_a_store_that_cannot_be_reached(self, how: str) -> None:
        """Every call goes through; one warning."""
        store = MemoryStore()
        store.close()
        asked = CachedRunnable(desk_model(), alike_cache(store=store))
        with pytest.warns(CacheWarning, match="store failed"):
            asked.invoke(ALIKE)
        for _ in range(2):
            if how.startswith("a"):
                _ = [piece async for piece in asked.astream(ALIKE)] if how == "astream" else await asked.ainvoke(ALIKE)
            else:
                _ = list(asked.stream(ALIKE)) if how == "stream" else asked.invoke(ALIKE)
        assert calls(asked) == 3
        assert asked.cache.counts["faults"] >= 3

    @pytest.mark.parametrize("value", [b"", b"\x80\x04]q\x00.", b"{}", b'{"m":{"lc":1},"c":{},"p":[]}', b"null"])
    def test_bytes_that_are_no_answer(self, tmp_path: Any, value: bytes) -> None:
        """They are a miss, are counted, and are replaced."""
        path = tmp_path / "cache.db"
        asked = CachedRunnable(desk_model(), alike_cache(store=f"sqlite:///{path}"))
        asked.invoke(ALIKE)
        poison(path, value)
        asked.invoke(WARMED[0])  # found by likeness
        assert asked.cache.counts["poisoned"] == 1
        poison(path, value)
        assert asked.invoke(WARMED[0]).text == "Within 30 days."
        assert (calls(asked), asked.cache.counts["poisoned"]) == (3, 2)

    @pytest.mark.parametrize("how", ["sync", "async"])
    async def test_embeddings_that_raise(self, how: str) -> None:
        """Equal prompts are still served; one warning."""

        class Down(AllAlike):
            def embed_query(self, text: str) -> list[float]:
                raise ConnectionError("down")

        asked = CachedRunnable(desk_model(), alike_cache(embeddings=Down()))
        with pytest.warns(CacheWarning, match=r"embeddings failed.*down"):
            asked.invoke(ALIKE)
        for text in (WARMED[0], ALIKE, WARMED[0]):
            _ = asked.invoke(text) if how == "sync" else await asked.ainvoke(text)
        assert calls(asked) == 2

    @pytest.mark.parametrize("vector", [[0.0, 0.0], [float("nan"), 1.0], [float("inf"), 1.0], []], ids=str)
    @pytest.mark.filterwarnings("ignore:invalid value")
    def test_vectors_that_are_none(self, vector: list[float]) -> None:
        """They are near to nothing."""

        class Odd(AllAlike):
            def embed_query(self, text: str) -> list[float]:
                return vector

        asked = CachedRunnable(desk_model(), trusting(alike_cache(embeddings=Odd())))
        for text in WARMED:
            assert MARK not in asked.invoke(text).response_metadata
        assert MARK in asked.invoke(WARMED[0]).response_metadata

    def test_a_verifier_that_raises(self) -> None:
        """The model answers; one warning."""

        class Broken(Sure):
            def score(self, a: str, b: str, similarity: float) -> float:
                raise ZeroDivisionError

        asked = CachedRunnable(desk_model(), alike_cache(verifier=Broken()))
        asked.invoke(WARMED[0])
        with pytest.warns(CacheWarning, match="verifier failed"):
            asked.invoke(WARMED[1])
        asked.invoke(ALIKE)
        assert calls(asked) == 3

    def test_a_package_that_is_missing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Without faiss nothing similar is found, and the warning names the extra."""
        monkeypatch.setitem(sys.modules, "faiss", None)
        asked = CachedRunnable(desk_model(), alike_cache())
        with pytest.warns(CacheWarning, match="semantic"):
            asked.invoke(WARMED[0])
        assert asked.invoke(WARMED[1]).text == "Within 30 days."


def poison(path: Any, value: bytes) -> None:
    """Write other bytes where the answers are."""
    with sqlite3.connect(path) as db:
        db.execute("UPDATE entry SET value = ?", (value,))
    db.close()


def test_a_store_may_be_given_open(tmp_path: Any) -> None:
    """One store serves caches with other names and settings."""
    with SQLiteStore(tmp_path / "cache.db") as store:
        for _ in range(2):
            asked = CachedRunnable(desk_model(), exact_cache(store=store))
            asked.invoke(ALIKE)
        assert calls(asked) == 0


def test_the_package_as_it_comes_serves_a_paraphrase_and_no_trap() -> None:
    """With the embeddings and the verifier that are there by default, once the evidence is there."""
    cache = SemanticCache(scope="global", budget=EAGER)
    asked = CachedRunnable(desk_model(echo), cache)
    asked.invoke("How do I return a parcel that was damaged?")
    asked.invoke("Why is the sky blue?")
    asked.invoke("How can I return a parcel that was damaged?")
    trusting(cache, score=0.6)
    assert asked.invoke("How do I send back a parcel that was damaged?").text.endswith(
        "return a parcel that was damaged?"
    )
    for trap in ("How do I return a parcel that was not damaged?", "How do I return 2 parcels that were damaged?"):
        assert asked.invoke(trap).text == f"You asked: {trap}"


class TestWhatIsRefused:
    """Arguments that would be ignored, or fail later."""

    def test_a_shelf_has_its_own_secret_and_attribution(self) -> None:
        """What would be ignored is refused."""
        for other in ({"secret": bytes(16)}, {"attribution": AttributionMap()}):
            with pytest.raises(CacheError, match="own attribution and secret"):
                SemanticCache(Shelf(), **other)

    def test_a_secret_that_can_be_guessed_is_none(self) -> None:
        """Sixteen bytes are the least."""
        with pytest.raises(CacheError, match="can be guessed"):
            SemanticCache(secret=b"short")

    def test_a_verifier_without_a_name_is_refused_at_once(self) -> None:
        """Its evidence could not be told from that of another one."""
        nameless: Any = object()
        with pytest.raises(CacheError, match="verifier"):
            SemanticCache(verifier=nameless)


class AlikeToo(AllAlike):
    """Another encoder, whose vectors have the same size."""

    model = "all alike too"


def test_another_encoder_finds_nothing_of_the_first_one() -> None:
    """Vectors of two encoders say nothing of each other, even where they have the same size."""
    store = MemoryStore()
    found: list[int] = []
    for embeddings in (AllAlike(), AllAlike(), AlikeToo()):
        cache = alike_cache(store=store, embeddings=embeddings)
        CachedRunnable(desk_model(), cache).invoke(
            f"How do {('refunds', 'returns', 'swaps')[len(found)]} work?", caller()
        )
        found.append(cache.counts.get("audits", 0))
    assert found == [0, 1, 0]
