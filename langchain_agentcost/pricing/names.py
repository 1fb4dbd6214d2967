"""Model and provider names as they come, and the names under which a price list may know them.

Nothing here looks at a price. `refer` turns what a run reports into a short list of attempts: whose list to look in,
and for which name. A provider that is known is only ever priced by its own list, except where the model's name itself
says who serves it, and then the cost is flagged.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

MAX_NAME_CHARS = 300
"""Longer names are nobody's model: they are not looked up, so that they cost no time and no memory."""

PROVIDERS: dict[str, str] = {
    "anthropic_bedrock": "aws",
    "amazon": "aws",
    "amazon_bedrock": "aws",
    "bedrock": "aws",
    "bedrock_converse": "aws",
    "bedrock_mantle_anthropic": "aws",
    "bedrock_mantle_openai": "aws",
    "azure_ai": "azure",
    "azure_openai": "azure",
    "azure-openai": "azure",
    "fireworks_ai": "fireworks",
    "gemini": "google",
    "google_anthropic_vertex": "google",
    "google_genai": "google",
    "google_vertexai": "google",
    "google-gla": "google",
    "google-vertex": "google",
    "vertex_ai": "google",
    "vertex_ai_beta": "google",
    "vertexai": "google",
    "mistralai": "mistral",
    "openai-codex": "openai",
    "text-completion-openai": "openai",
    "azure_text": "azure",
    "together_ai": "together",
    "togetherai": "together",
    "voyage": "voyageai",
    "xai": "x-ai",
    "moonshot": "moonshotai",
    "z-ai": "zai",
    "cohere_chat": "cohere",
    "github_copilot": "github-copilot",
}
"""What LangChain, LiteLLM and others call a provider, and its id in genai-prices. Ids that are equal are not listed."""

LOCAL = frozenset(
    {
        "ollama",
        "llamacpp",
        "llama_cpp",
        "llama-cpp",
        "llamafile",
        "lmstudio",
        "lm_studio",
        "vllm",
        "mlx",
        "gpt4all",
        "xllamacpp",
        "sglang",
        "tgi",
        "local",
    }
)
"""Servers that people run themselves: only a hosted rate or an override prices them."""

UNLISTED = frozenset(
    {
        "ibm",
        "watsonx",
        "nvidia",
        "huggingface",
        "upstage",
        "snowflake",
        "sambanova",
        "sagemaker",
        "oci",
        "writer",
        "ai21",
        "replicate",
    }
)
"""Providers that LangChain knows and that genai-prices has no list for."""

ROUTERS = frozenset({"litellm", "litellm_proxy", "langsmith"})
"""Gateways: who serves the model stands in its name."""

_GENERIC_CLIENTS = frozenset({"openai"})
"""Clients that people point at other providers, with the provider's name in front of the model's."""

_PATHS = re.compile(r"^(?:models|tunedmodels|publishers/[^/]+/models|projects/.+/models|deployments)/")
_ARN = re.compile(r"^arn:aws[\w-]*:bedrock:.*/")
_BEDROCK = re.compile(
    r"^(?:(?:us|eu|apac|au|jp|in|ca|sa|me|af|global|us-gov)\.)?"
    r"(?:ai21|amazon|anthropic|cohere|deepseek|meta|mistral|minimax|moonshot|openai|qwen|writer)\.[a-z]"
)
_PREFIXED = re.compile(r"(?P<head>[^/:]+)(?P<mark>[/:])(?P<rest>.+)", re.DOTALL)
_SIZE_TAG = re.compile(r"(?:latest|\d+(?:\.\d+)?[bm])\b")
_SNAPSHOT = re.compile(r"(?P<base>.+?)[-@]20\d\d-?(?:0[1-9]|1[0-2])-?(?:0[1-9]|[12]\d|3[01])(?:-v\d+(?::\d+)?)?")
_FINE_TUNED = re.compile(r"^ft:(?P<base>[^:]+)|^(?P<azure>[^:/]+)\.ft-")

_FIRST_LETTERS: tuple[tuple[str, str], ...] = (
    ("text-embedding-", "openai"),
    ("chatgpt-", "openai"),
    ("codex-", "openai"),
    ("omni-moderation", "openai"),
    ("embed-", "cohere"),
    ("command", "cohere"),
    ("rerank-", "cohere"),
    ("sonar", "perplexity"),
)
"""Whose models start like this, where genai-prices' own clauses do not say."""

NO_FINE_TUNED_PRICE = "no price for the fine-tuned model; its base model's is used"


@dataclass(frozen=True, slots=True)
class Attempt:
    """One look into one price list.

    Args:
        provider: The provider as genai-prices or an override knows it; None asks the list to tell by the model's name.
        name: The model's name, in lower case.
        flags: What the cost must say where this attempt finds the price.
    """

    provider: str | None
    name: str
    flags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Reference:
    """What a run says about its model.

    Args:
        provider: Who serves it, by `provider_id`; None where the run does not say.
        providers: Whose lines of a price file may be for it; None for anybody's.
        names: The names it may have in a user's price file, the most literal first.
        attempts: Where to look in the bundled list, in order; empty for servers that no list covers.
        bases: The names of what it is a snapshot of, for a user's price file.
    """

    provider: str | None
    providers: frozenset[str] | None
    names: tuple[str, ...]
    attempts: tuple[Attempt, ...]
    bases: tuple[str, ...] = ()


def provider_id(provider: str | None) -> str | None:
    """Give the id that price lists use for a provider; one that is not in the table stays as it is.

    Example:
        >>> provider_id("google_genai"), provider_id("OpenAI"), provider_id(None)
        ('google', 'openai', None)
    """
    key = provider.strip().lower()[:MAX_NAME_CHARS] if provider else None
    return PROVIDERS.get(key, key) if key else None


def refer(model: str, provider: str | None, *, known: frozenset[str]) -> Reference | None:
    """Work out where a model's price may stand.

    Args:
        model: The model's name as the provider or LangChain gives it.
        provider: The provider as LangChain names it; None or an unknown name leaves the model's name to tell.
        known: The provider ids that a price list exists for.

    Returns:
        The reference, or None for a name that cannot be a model's.

    Example:
        >>> refer("Azure/GPT-4o", None, known=frozenset({"azure"})).attempts
        (Attempt(provider='azure', name='gpt-4o', flags=()),)
    """
    if not model or len(model) > MAX_NAME_CHARS:
        return None
    literal = model.strip().lower()
    name = _ARN.sub("", _PATHS.sub("", literal))
    served_by = provider_id(provider)
    prefix, rest = _prefixed(name, known)
    names = tuple(dict.fromkeys((literal, name, rest or name)))
    if served_by in LOCAL or served_by in UNLISTED:
        return Reference(served_by, frozenset({served_by}), names, ())
    if served_by in known:
        own = (Attempt(served_by, name), *_through_generic_client(served_by, prefix, rest))
        return Reference(served_by, frozenset({served_by}), names, _with_bases(own))
    if prefix:
        named = (Attempt(prefix, rest),) if prefix in known else ()
        return Reference(prefix, frozenset({prefix, served_by or prefix}), names, _with_bases(named))
    # A provider that nobody knows may be anybody's, but not another one that only the user knows.
    providers = known | {served_by} if served_by else None
    return Reference(served_by, providers, names, _with_bases((Attempt(_guessed(name), name),)))


def with_bases(reference: Reference, *, listed: str | None) -> Reference:
    """Add what a model is a snapshot of: its name without the date, and the name that the list has for both.

    A fine-tuned model is no snapshot: what is stated for its base does not price it.

    Args:
        reference: The model.
        listed: The list's name for it, None where it has none.

    Example:
        >>> with_bases(refer("gpt-5-mini-2025-08-07", None, known=frozenset()), listed=None).bases
        ('gpt-5-mini',)
    """
    if any(_FINE_TUNED.match(name) for name in reference.names):
        return reference
    undated = (found["base"] for name in reference.names if (found := _SNAPSHOT.fullmatch(name)))
    bases = dict.fromkeys((*undated, *([listed.lower()] if listed else ())))
    return replace(reference, bases=tuple(name for name in bases if name not in reference.names))


def _prefixed(name: str, known: frozenset[str]) -> tuple[str | None, str]:
    """Split "openai/gpt-4o", and `init_chat_model`'s "openai:gpt-4o", where the first part names a provider.

    A local server's "mistral:7b" is a model and a size: only its server is called like a provider.
    """
    found = _PREFIXED.match(name)
    prefix = provider_id(found["head"]) if found else None
    if found is None or prefix is None or (found["mark"] == ":" and _SIZE_TAG.match(found["rest"])):
        return None, ""
    if prefix in ROUTERS:
        return _prefixed(found["rest"], known)
    if prefix in known or prefix in LOCAL or prefix in UNLISTED:
        return prefix, _ARN.sub("", _PATHS.sub("", found["rest"]))
    return None, ""


def _through_generic_client(served_by: str | None, prefix: str | None, rest: str) -> tuple[Attempt, ...]:
    """The second look for "deepseek/deepseek-chat" sent with the OpenAI client."""
    if not prefix or prefix in LOCAL or prefix in UNLISTED:
        return ()
    if prefix == served_by:
        return (Attempt(prefix, rest),)
    if served_by not in _GENERIC_CLIENTS:
        return ()
    return (Attempt(prefix, rest, (f"{prefix}'s price, by the model's name; the client was {served_by}'s",)),)


def _guessed(name: str) -> str | None:
    if _BEDROCK.match(name):
        return "aws"
    return next((provider for start, provider in _FIRST_LETTERS if name.startswith(start)), None)


def _bases(name: str) -> tuple[str, ...]:
    found = _FINE_TUNED.match(name)
    return (found["base"] or found["azure"],) if found else ()


def _with_bases(attempts: tuple[Attempt, ...]) -> tuple[Attempt, ...]:
    """Look for the fine-tuned model itself first, then for the model that it was made from."""
    based = [
        Attempt(attempt.provider or "openai", base, (*attempt.flags, NO_FINE_TUNED_PRICE))
        for attempt in attempts
        for base in _bases(attempt.name)
    ]
    if not based:
        return attempts
    return (*(Attempt(a.provider or "openai", a.name, a.flags) for a in attempts), *based)
