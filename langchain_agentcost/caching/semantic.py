"""A cache of model answers that serves a similar question only where it is proven how often that is wrong."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime
from time import time
from typing import Literal

from langchain_core.embeddings import Embeddings
from langchain_core.messages import AIMessage
from langchain_core.runnables import RunnableConfig

from langchain_agentcost.attribution import AttributionMap
from langchain_agentcost.caching.answer import StoredAnswer, complete
from langchain_agentcost.caching.ask import Ask
from langchain_agentcost.caching.auditor import Auditor
from langchain_agentcost.caching.billed_now import LastAsked, billed_now
from langchain_agentcost.caching.equivalence import Judge
from langchain_agentcost.caching.error_budget import ErrorBudget, Evidence
from langchain_agentcost.caching.keys import PromptKey, keyed, prompt_key
from langchain_agentcost.caching.lifetime import Lifetime, Renewals
from langchain_agentcost.caching.likeness import NEIGHBOURS, Candidate, Likeness, Scorer
from langchain_agentcost.caching.reporting import new_hit_id
from langchain_agentcost.caching.scope import Namespace, Scope, checked_scope
from langchain_agentcost.caching.shelf import Shelf
from langchain_agentcost.caching.singleflight import SingleFlight
from langchain_agentcost.caching.store import Cached, CacheStore
from langchain_agentcost.caching.tags import model_tag, owner_tags
from langchain_agentcost.caching.turn import Caution, Served, Turn, checked_cautions, refusal
from langchain_agentcost.errors import Unkeyable, Unstorable
from langchain_agentcost.saving import CacheHit, SparedCall
from langchain_agentcost.tokens import estimate_text

DAY_S = 86_400.0


class SemanticCache:
    """Answers a prompt that was answered before, to the letter or, where that is proven to be right, in other words.

    Similar questions are only looked for among prompts that are equal in everything else: tenant, model, parameters,
    tools, system prompt, history. What the guard's rules and the verifier let through is at first only watched (shadow
    mode): the model is asked, the two answers are compared, and an `ErrorBudget` decides from when on, and from which
    score on, they are served.

    Similar questions are looked for only among texts that seem to be English and have at most 800 characters; texts
    recognised as another language match their equal only. A model that states no temperature counts as not sampled.
    Wrap paid embeddings, `metered_embeddings(embeddings, purpose="cache")`, so that reports set them against savings.

    Give it to a `CachedRunnable` or a `ModelCacheMiddleware`; one cache may serve many of them, threads and tasks.

    Args:
        store: Where entries are kept: a store or its URL, "memory://" or "sqlite:///answers.db". None is memory.
        embeddings: What makes vectors of texts: any of LangChain's. None takes MiniLM, which the extra "semantic"
            brings. False looks for equal prompts only.
        verifier: What tells whether two questions have the same answer; None takes the one that comes with the package.
        budget: How often a served answer may be wrong; None is `ErrorBudget()`.
        judge: What compares two answers that are not literally equal: a function, or `ModelJudge(model)`. Without one
            only equal answers count as right, and traffic whose answers are worded anew is never served.
        scope: Who shares answers. Without a tenant in the run's metadata, it is the session whatever is said here.
        ttl_s: How long an answer is served, in seconds; None for ever. Reading does not prolong it.
        soft_ttl_s: After how long the next one to ask renews it.
        allow: What is cached although it is not by default; see `Caution`.
        version: Your own version of what answers depend on, such as that of an index: another one is another cache.
        name: The cache's name in ledger and reports.
        secret: Makes stored hashes unguessable.
        attribution: Which metadata names tenant, user and session: the same that the meter has.

    Raises:
        CacheError: If an argument cannot be; the message says what to change.
        StoreUnavailable: If the store cannot be opened.

    Example:
        >>> from langchain_agentcost.caching.cached_runnable import CachedRunnable
        >>> from langchain_agentcost.testing import FakeMeteredChatModel
        >>> model = CachedRunnable(FakeMeteredChatModel(), SemanticCache(embeddings=False, scope="global"))
        >>> answers = [model.invoke("What is a refund?") for _ in range(2)]
        >>> len(model.model.prompts), answers[1].response_metadata["agentcost_cache"]["cache"]
        (1, 'exact')
    """

    def __init__(  # noqa: PLR0913  # the one object that holds the configuration; every argument has a default
        self,
        store: CacheStore | Shelf | str | None = None,
        *,
        embeddings: Embeddings | Literal[False] | None = None,
        verifier: Scorer | None = None,
        budget: ErrorBudget | None = None,
        judge: Judge | None = None,
        scope: Scope = "user",
        ttl_s: float | None = DAY_S,
        soft_ttl_s: float | None = None,
        allow: Collection[Caution] = (),
        version: str = "",
        name: str = "semantic",
        secret: bytes | None = None,
        attribution: AttributionMap | None = None,
    ) -> None:
        self.shelf = Shelf.of(store, secret=secret, attribution=attribution)
        self.scope = checked_scope(scope)
        self.name = name
        self.flights = SingleFlight()
        self._lifetime = Lifetime(ttl_s=ttl_s, soft_ttl_s=soft_ttl_s)
        self._allowed = checked_cautions(allow)
        self._version = version
        self._renewals = Renewals()
        self._asked = LastAsked()
        self._likeness = None if embeddings is False else Likeness(embeddings, verifier, on_fault=self._passed_by)
        self._auditor = Auditor(self.shelf, budget or ErrorBudget(), judge)

    @property
    def evidence(self) -> Evidence:
        """What is known of how often similar questions have the same answer."""
        return self._auditor.evidence

    def begin(self, ask: Ask, config: RunnableConfig | None = None) -> Turn:
        """Look a call up before it is made. Never raises for what is wrong with the cache.

        Args:
            ask: The call.
            config: Its config; None takes that of the run that this code is in.
        """
        turn = self._exact(self._opened(ask, config))
        text = self._comparable(turn)
        vector = self._likeness.vector(text) if text is not None and self._likeness is not None else None
        return turn if vector is None else self._similar(replace(turn, vector=vector))

    async def abegin(self, ask: Ask, config: RunnableConfig | None = None) -> Turn:
        """Look a call up from async code; see `begin`."""
        turn = await self.shelf.off_loop(self._exact, self._opened(ask, config))
        text = self._comparable(turn)
        vector = await self._likeness.avector(text) if text is not None and self._likeness is not None else None
        return turn if vector is None else await self.shelf.off_loop(self._similar, replace(turn, vector=vector))

    def again(self, turn: Turn) -> Served | None:
        """Look once more for the very same prompt: another call may have answered it since."""
        return None if turn.renews else self._exact(turn).served

    def finish(self, turn: Turn, message: AIMessage, pieces: Sequence[int] = ()) -> StoredAnswer:
        """Learn from the model's answer, and keep it. Never raises for what is wrong with the cache.

        Args:
            turn: The call.
            message: What the model said.
            pieces: How many characters each streamed piece had.

        Returns:
            The answer as others may be served it.
        """
        answer = StoredAnswer(message, turn.ask.call_of(message), tuple(pieces))
        known = False
        if turn.candidate is not None and turn.key is not None:
            known = self._auditor.audit(turn.candidate, message, turn.key.text or "")
        self._keep(turn, answer, findable=not known)
        return answer

    async def afinish(self, turn: Turn, message: AIMessage, pieces: Sequence[int] = ()) -> StoredAnswer:
        """Learn from the model's answer, and keep it, in async code; see `finish`."""
        answer = StoredAnswer(message, turn.ask.call_of(message), tuple(pieces))
        known = False
        if turn.candidate is not None and turn.key is not None:
            known = await self._auditor.aaudit(turn.candidate, message, turn.key.text or "")
        await self.shelf.off_loop(self._keep, turn, answer, findable=not known)
        return answer

    def shared(self, answer: StoredAnswer) -> Served:
        """Give the answer of an equal call that was under way."""
        self.shelf.count("coalesced")
        return Served(answer=answer, hit=_hit("coalesced", billed_now(answer.call, shared_share=1, idle_s=0), age_s=0))

    def forget(
        self,
        *,
        tenant: str | None = None,
        user: str | None = None,
        session: str | None = None,
        model: str | None = None,
        before: datetime | None = None,
    ) -> int:
        """Delete answers for good; see `Shelf.forget`."""
        return self.shelf.forget(tenant=tenant, user=user, session=session, model=model, before=before)

    @property
    def counts(self) -> dict[str, int]:
        """What happened so far, by name: "exact", "semantic" and "coalesced" hits, "misses", "audits", "wrong", …."""
        return self.shelf.counts

    def close(self) -> None:
        """Close the store."""
        self.shelf.close()

    def _opened(self, ask: Ask, config: RunnableConfig | None) -> Turn:
        """Say where the answer belongs; nowhere, where it is not to be cached, which is counted with the reason."""
        caller = self.shelf.caller(config)
        namespace = caller.namespace(self.scope)
        if namespace is None:
            self.shelf.unscoped()
            return Turn(ask=ask)
        reason = refusal(ask, self._allowed)
        key = None if reason is not None else self._key(ask, namespace)
        if key is None:
            self.shelf.count(f"refused_{reason or 'unkeyable'}")
            return Turn(ask=ask)
        now = time()
        tags = owner_tags(caller, self.scope, secret=self.shelf.secret)
        return Turn(
            ask=ask,
            key=key,
            tags=(*tags, model_tag(ask.model or "", secret=self.shelf.secret)),
            exact_idle_s=self._asked.idle_s(key.exact, now),
            partition_idle_s=self._asked.idle_s(key.partition, now),
        )

    def _key(self, ask: Ask, namespace: Namespace) -> PromptKey | None:
        try:
            return prompt_key(
                ask.messages,
                model=ask.fingerprint or "",
                namespace=namespace,
                version=self._version if self._likeness is None else keyed(self._version, self._likeness.name),
                secret=self.shelf.secret,
            )
        except Unkeyable:
            return None
        except Exception as error:  # noqa: BLE001  # a missing package, an encoder or a verifier that cannot be read
            self._likeness = None  # from now on only equal prompts are served
            self._passed_by("the embeddings", error)
            return self._key(ask, namespace)

    def _exact(self, turn: Turn) -> Turn:
        """Look for the very same prompt; one that is past its soft end is not served to whoever renews it."""
        if turn.key is None:
            return turn
        now = time()
        found = self.shelf.get(turn.key.partition, turn.key.exact, StoredAnswer.from_bytes)
        renews = found is not None and self._renews(found.entry, now)
        if found is None or renews:
            return replace(turn, renews=renews, epoch=self.shelf.epoch())
        self.shelf.count("exact")
        call = billed_now(found.value.call, shared_share=1, idle_s=turn.exact_idle_s)
        hit = _hit("exact", call, age_s=now - found.entry.created_s)
        return replace(turn, served=Served(answer=found.value, hit=hit))

    def _comparable(self, turn: Turn) -> str | None:
        """The text to look for similar ones of; None where only equal prompts may be served."""
        key = turn.key
        if self._likeness is None or key is None or turn.served is not None or turn.epoch is None:
            return None
        return key.text if key.first_turn or "later_turns" in self._allowed else None

    def _similar(self, turn: Turn) -> Turn:
        """Look for a similar question, and decide whether its answer is served, compared, or left alone."""
        key, likeness, vector = turn.key, self._likeness, turn.vector
        if key is None or key.text is None or likeness is None or vector is None:
            return turn
        near = self.shelf.nearest(key.partition, vector, most=NEIGHBOURS)
        candidate = likeness.best(key.text, near, self._may_be_served) if near else None
        if candidate is None:
            return turn
        decision = self._auditor.decide(candidate, keyed("series", self.name, likeness.name))
        if decision == "serve":
            return replace(turn, served=self._similar_served(turn, candidate))
        return replace(turn, candidate=candidate) if decision == "audit" else turn

    def _similar_served(self, turn: Turn, candidate: Candidate) -> Served:
        """Serve a similar question's answer: what stands before the question would have been sent before."""
        now = time()
        self.shelf.count("semantic")
        share = _shared_share(candidate)
        call = billed_now(candidate.answer.call, shared_share=share, idle_s=turn.partition_idle_s)
        hit = _hit(self.name, call, age_s=now - candidate.entry.created_s, similarity=candidate.similarity)
        return Served(answer=candidate.answer, hit=hit)

    def _may_be_served(self, entry: Cached) -> StoredAnswer | None:
        """Read a similar question's answer; None where it calls tools, or another caller should renew it."""
        found = self.shelf.opened(entry, StoredAnswer.from_bytes)
        if found is None or self._renews(entry, time()):
            return None
        calls_tools = bool(found.value.message.tool_calls)
        return None if calls_tools and "tool_calls" not in self._allowed else found.value

    def _renews(self, entry: Cached, now: float) -> bool:
        """Whether an entry is past its soft end, and this caller is the one to renew it."""
        return entry.stale_s is not None and now >= entry.stale_s and self._renewals.claim(entry.key, now)

    def _keep(self, turn: Turn, answer: StoredAnswer, *, findable: bool) -> None:
        """Keep an answer, if it is one to be served again.

        Args:
            turn: The call.
            answer: Its answer.
            findable: Whether similar questions shall find it: not where one that has the same answer is there already.
        """
        key = turn.key
        if key is None or turn.epoch is None:
            return
        self.shelf.count("misses")
        if not complete(answer.message):
            self.shelf.count("refused_incomplete")
            return
        now = time()
        stale_s, expires_s = self._lifetime.terms(now)
        try:
            value = answer.to_bytes()
        except Unstorable:
            self.shelf.count("refused_unstorable")
            return
        self.shelf.put(
            Cached(
                partition=key.partition,
                key=key.exact,
                value=value,
                epoch=turn.epoch,
                created_s=now,
                expires_s=expires_s,
                stale_s=stale_s,
                tags=turn.tags,
                text=key.text if findable and turn.vector is not None else None,
                vector=turn.vector if findable else None,
            )
        )

    def _passed_by(self, what: str, error: Exception) -> None:
        """Say once that similar questions cannot be served."""
        self.shelf.fault(f"{what} failed, similar questions are not served", error)


def _hit(cache: str, call: SparedCall, *, age_s: float, similarity: float | None = None) -> CacheHit:
    return CacheHit(id=new_hit_id(), cache=cache, spared=(call,), age_s=age_s, similarity=similarity)


def _shared_share(candidate: Candidate) -> float:
    """Which share of a similar prompt stands before its question, by our count of the question."""
    usage = candidate.answer.call.usage
    if usage is None or not usage.input_tokens:
        return 0.0
    return max(0.0, 1 - estimate_text(candidate.entry.text or "") / usage.input_tokens)
