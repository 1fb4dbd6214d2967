"""A cache for `set_llm_cache`, whose keys do not change from call to call."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Sequence
from threading import get_ident
from time import time
from typing import Any
from uuid import uuid4

from langchain_core.caches import RETURN_VAL_TYPE, BaseCache
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration, Generation

from langchain_agentcost.attribution import AttributionMap
from langchain_agentcost.caching.answer import complete
from langchain_agentcost.caching.ask import usage_of
from langchain_agentcost.caching.billed_now import LastAsked, billed_now
from langchain_agentcost.caching.codec import dump_json, load_json, message_data, message_of
from langchain_agentcost.caching.keys import canonical_messages, keyed
from langchain_agentcost.caching.lifetime import Lifetime
from langchain_agentcost.caching.plain import plain_json
from langchain_agentcost.caching.scope import Scope, checked_scope
from langchain_agentcost.caching.shelf import Shelf
from langchain_agentcost.caching.store import Cached, CacheStore
from langchain_agentcost.caching.tags import model_tag, owner_tags
from langchain_agentcost.errors import Unkeyable, Unreadable, Unstorable
from langchain_agentcost.recent import Recent
from langchain_agentcost.saving import SparedCall


class AgentCostLLMCache(BaseCache):
    """Answers equal prompts, for applications that use `set_llm_cache`.

    LangChain hands a cache the dump of the messages, with their ids and, after a hit, a changed `usage_metadata`: an
    agent that is run again misses from its second step on. Here the key is what the messages say. A prompt that is no
    dump of messages is its own key.

    LangChain does not ask caches on `stream()`, and makes each of equal calls at the same time: `CachedRunnable` does
    better. Whose the answers are is read from the run that the model is called in. Metadata of the model call itself,
    `model.invoke(…, {"metadata": {"tenant": …}})`, is not seen here: where tenants are told apart that way, take a
    `CachedRunnable`. A hit's usage is what the provider would have counted now, its own prompt cache included, so that
    meters book no larger saving. `shelf.forget(model=…)` takes the name by which the model answered, with its date.

    Args:
        store: Where entries are kept: a store or its URL. None is memory.
        scope: Who shares answers. Without a tenant in the run's metadata it is the session whatever is said here, and
            outside of both nothing is cached, unless it is "global".
        ttl_s: How long an answer is served, in seconds; None for ever.
        version: Your own version of what answers depend on.
        secret: Makes stored hashes unguessable.
        attribution: Which metadata names tenant, user and session.

    Example:
        >>> from langchain_agentcost.testing import FakeMeteredChatModel
        >>> model = FakeMeteredChatModel(cache=AgentCostLLMCache(scope="global"))
        >>> answers = [model.invoke("Hi") for _ in range(2)]
        >>> len(model.prompts)
        1
    """

    def __init__(
        self,
        store: CacheStore | Shelf | str | None = None,
        *,
        scope: Scope = "session",
        ttl_s: float | None = None,
        version: str = "",
        secret: bytes | None = None,
        attribution: AttributionMap | None = None,
    ) -> None:
        self.shelf = Shelf.of(store, secret=secret, attribution=attribution)
        self._scope = checked_scope(scope)
        self._lifetime = Lifetime(ttl_s=ttl_s)
        self._version = version
        self._asked = LastAsked()
        self._epochs: Recent[tuple[_Code, str], int | None] = Recent()
        """The store's, from before the call: what is forgotten while it is under way is not put back."""

    def lookup(self, prompt: str, llm_string: str) -> RETURN_VAL_TYPE | None:
        """Give what this prompt was answered by this model; None where that is not known."""
        return self._looked_up(prompt, llm_string, _here())

    def update(self, prompt: str, llm_string: str, return_val: RETURN_VAL_TYPE) -> None:
        """Keep an answer, unless it was cut short or refused."""
        self._update(prompt, llm_string, return_val, _here())

    def clear(self, **kwargs: Any) -> None:
        """Delete everything in the store."""
        self.shelf.delete_all()

    async def alookup(self, prompt: str, llm_string: str) -> RETURN_VAL_TYPE | None:
        """Give what this prompt was answered by this model; None where that is not known."""
        return await self.shelf.off_loop(self._looked_up, prompt, llm_string, _here())

    async def aupdate(self, prompt: str, llm_string: str, return_val: RETURN_VAL_TYPE) -> None:
        """Keep an answer, unless it was cut short or refused."""
        await self.shelf.off_loop(self._update, prompt, llm_string, return_val, _here())

    async def aclear(self, **kwargs: Any) -> None:
        """Delete everything in the store."""
        await self.shelf.off_loop(self.clear)

    def _looked_up(self, prompt: str, llm_string: str, code: _Code) -> RETURN_VAL_TYPE | None:
        partition = self._partition(llm_string)
        if partition is None:
            return None
        key = self._key(prompt)
        idle_s = self._asked.idle_s(partition + key, time())
        found = self.shelf.get(partition, key, _generations)
        self.shelf.count("misses" if found is None else "exact")
        if found is not None:
            return [_as_now(generation, idle_s) for generation in found.value]
        self._epochs.put((code, partition + key), self.shelf.epoch())
        return None

    def _update(self, prompt: str, llm_string: str, answers: RETURN_VAL_TYPE, code: _Code) -> None:
        partition, key = self._partition(llm_string), self._key(prompt)
        if partition is None:
            return
        epoch = self._epochs.pop((code, partition + key))
        epoch = self.shelf.epoch() if epoch is None else epoch
        value = self._written(answers)
        if epoch is None or value is None:
            return
        now = time()
        stale_s, expires_s = self._lifetime.terms(now)
        self.shelf.put(
            Cached(
                partition=partition,
                key=key,
                value=value,
                epoch=epoch,
                created_s=now,
                expires_s=expires_s,
                stale_s=stale_s,
                tags=(
                    *owner_tags(self.shelf.caller(), self._scope, secret=self.shelf.secret),
                    *(model_tag(model, secret=self.shelf.secret) for model in _models(answers)),
                ),
            )
        )

    def _written(self, answers: RETURN_VAL_TYPE) -> bytes | None:
        """Write an answer; None where it is not one to be served again."""
        if not all(_complete(generation) for generation in answers):
            self.shelf.count("refused_incomplete")
            return None
        try:
            return dump_json([_data(generation) for generation in answers])
        except Unstorable:
            self.shelf.count("refused_unstorable")
            return None

    def _partition(self, llm_string: str) -> str | None:
        namespace = self.shelf.caller().namespace(self._scope)
        if namespace is None:
            self.shelf.unscoped()
            return None
        return keyed("llm", *namespace, self._version, llm_string, secret=self.shelf.secret)

    def _key(self, prompt: str) -> str:
        return keyed(_canonical(prompt), secret=self.shelf.secret)


_Code = tuple[int, int | None]
"""A thread and a task: LangChain looks up and updates in the same ones."""


def _here() -> _Code:
    try:
        return get_ident(), id(asyncio.current_task())
    except RuntimeError:  # no event loop
        return get_ident(), None


def _complete(generation: Generation) -> bool:
    message = generation.message if isinstance(generation, ChatGeneration) else None
    if not isinstance(message, AIMessage):
        message = AIMessage("", response_metadata=generation.generation_info or {})
    return complete(message)


_DUMPED = {"lc", "type", "id", "kwargs"}
"""What langchain-core writes of an object."""


def _canonical(prompt: str) -> str:
    """What the dumped messages say; the prompt itself where it is no dump of messages."""
    try:
        dumped = json.loads(prompt)
        if any(one.keys() != _DUMPED for one in dumped):  # what else it says would be lost
            return "text" + prompt
        messages = [message_of({"type": one["kwargs"]["type"], "data": one["kwargs"]}) for one in dumped]
        return "messages" + plain_json(canonical_messages(messages)) if messages else "text" + prompt
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, Unreadable, Unkeyable):
        return "text" + prompt


def _models(answers: Iterable[Generation]) -> set[str]:
    """Which models answered, as they name themselves."""
    messages = (generation.message for generation in answers if isinstance(generation, ChatGeneration))
    return {str(name) for message in messages if (name := message.response_metadata.get("model_name"))}


def _data(generation: Generation) -> dict[str, Any]:
    if isinstance(generation, ChatGeneration):
        return {"message": message_data(generation.message), "info": generation.generation_info}
    return {"text": generation.text, "info": generation.generation_info}


def _generations(data: bytes) -> Sequence[Generation]:
    try:
        return [_generation(one) for one in load_json(data)]
    except (TypeError, KeyError, ValueError) as error:
        raise Unreadable(f"It is no list of generations: {type(error).__name__}") from error


def _generation(data: dict[str, Any]) -> Generation:
    if "message" not in data:
        return Generation(text=data["text"], generation_info=data["info"])
    return ChatGeneration(message=message_of(data["message"]), generation_info=data["info"])


def _as_now(generation: Generation, idle_s: float) -> Generation:
    """A generation with the usage that it would have now, and a new id: a history would take it for the first."""
    message = generation.message if isinstance(generation, ChatGeneration) else None
    if not isinstance(message, AIMessage):
        return generation
    said = message.response_metadata
    call = SparedCall(model=said.get("model_name"), provider=said.get("model_provider"), usage=usage_of(message))
    usage = billed_now(call, shared_share=1, idle_s=idle_s).usage
    update: dict[str, Any] = {"id": str(uuid4())}
    if usage is not None and message.usage_metadata is not None:
        details = {**message.usage_metadata.get("input_token_details", {}), "cache_read": usage.cache_read_tokens}
        update["usage_metadata"] = {**message.usage_metadata, "input_token_details": details}
    return ChatGeneration(message=message.model_copy(update=update), generation_info=generation.generation_info)
