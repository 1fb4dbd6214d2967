"""Token counts as providers report them through LangChain, read by table, with what is wrong about them noted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

INPUT_PARTS = ("cache_read_tokens", "cache_write_tokens", "cache_write_1h_tokens")
"""Disjoint parts of `input_tokens` by what happened to them in the provider's prompt cache."""

COUNTS = (
    "input_tokens",
    "output_tokens",
    *INPUT_PARTS,
    "input_audio_tokens",
    "reasoning_tokens",
    "output_audio_tokens",
)
"""The counts of a `Usage`, in the order of its fields."""

MAX_REPORTED_TOKENS = 10**12
"""A provider's count above this is a mistake: no call has a trillion tokens, and a ledger column holds 64 bits."""

TIER_PREFIXES = ("priority", "flex")
"""Tiers whose details langchain-openai writes with a prefix, and whose bare name counts the rest."""


class ReportedCounts:
    """One provider's report, read once.

    Args:
        reported: LangChain's `UsageMetadata`. Unknown keys, costs among them, are never summed.

    Attributes:
        counts: All `COUNTS` by name, in order; None where the input or the output is not known: it cannot be, and it
            does not follow from the total either.
        tier: The service tier that prefixed keys tell; None where none does.
        anomalies: What was wrong, each a short sentence.

    Example:
        >>> ReportedCounts({"input_tokens": float("nan"), "output_tokens": 2, "total_tokens": 5}).counts["input_tokens"]
        3
    """

    __slots__ = ("anomalies", "counts", "tier")

    def __init__(self, reported: Mapping[str, Any]) -> None:
        self.tier: str | None = None
        self.anomalies: list[str] = []
        self.counts = self._read(reported)

    def _read(self, reported: Mapping[str, Any]) -> dict[str, int] | None:
        given, made, total = reported.get("input_tokens"), reported.get("output_tokens"), reported.get("total_tokens")
        if not (type(given) is type(made) is int and 0 <= given <= MAX_REPORTED_TOKENS >= made >= 0):
            given, made = self._wholes(reported, total)
        if given is None or made is None:
            return None
        found = _NOTHING.copy()
        found["input_tokens"], found["output_tokens"] = given, made
        for details, table in _DETAIL_KEYS:
            parts = reported.get(details)
            if parts:
                self._add_parts(parts, table, found)
        if total != given + made and total is not None:
            self._reconcile(found, total)
        self._check_parts(found)
        return found

    def _count(self, counts: Mapping[Any, Any], key: str) -> int | None:
        """One count; None and an anomaly where it cannot be."""
        value = counts.get(key)
        if type(value) is int and 0 <= value <= MAX_REPORTED_TOKENS:
            return value
        if type(value) is float and value.is_integer() and 0 <= value <= MAX_REPORTED_TOKENS:
            self.anomalies.append(f"{key} was {value}, read as a whole number")
            return int(value)
        self.anomalies.append(f"{key} was {shown(value)}, not a whole number of tokens from 0 to 10**12")
        return None

    def _wholes(self, reported: Mapping[str, Any], total: object) -> tuple[int | None, int | None]:
        """Input and output where one of them cannot be: it is then what the other leaves of the stated total."""
        given, made = self._count(reported, "input_tokens"), self._count(reported, "output_tokens")
        known = made if given is None else given
        if known is None or (given is not None and made is not None):
            return given, made
        if type(total) is not int or not known <= total <= MAX_REPORTED_TOKENS:
            return None, None
        rest = total - known
        self.anomalies.append(f"{'input' if given is None else 'output'}_tokens ({rest}) follow from total_tokens")
        return (rest, known) if given is None else (known, rest)

    def _add_parts(self, details: object, table: _Table, found: dict[str, int]) -> None:
        """Add the known parts of a details mapping to their fields."""
        if type(details) is not dict and not isinstance(details, Mapping):
            self.anomalies.append(f"token details were {shown(details)}, not a mapping")
            return
        for key, value in details.items():
            if value == 0 or value is None or key not in table:
                continue
            name, tier = table[key]
            if tier and tier != self.tier:
                self._note_tier(tier)
            if name:
                counted = (
                    value if type(value) is int and 0 < value <= MAX_REPORTED_TOKENS else self._count(details, key) or 0
                )
                found[name] += counted
        if details.get("cache_creation"):
            split = sum(n for key in _TTL_KEYS if type(n := details.get(key)) is int)
            if split == details["cache_creation"]:
                found["cache_write_tokens"] -= split

    def _note_tier(self, tier: str) -> None:
        """Keep the tier that the keys tell; one answer has one."""
        if self.tier:
            self.anomalies.append(f"details of two service tiers, {self.tier} and {tier}")
        self.tier = tier

    def _reconcile(self, found: dict[str, int], total: object) -> None:
        """Explain a total that is not input plus output: by parts that were left out of them, else not at all."""
        added = found["input_tokens"] + found["output_tokens"]
        missing = total - added if type(total) is int else 0
        reasoning = found["reasoning_tokens"]
        cached = sum([found[name] for name in INPUT_PARTS])
        if reasoning and missing in (reasoning, reasoning + cached):
            found["output_tokens"] += reasoning
            self.anomalies.append(f"reasoning ({reasoning}) was reported beside output_tokens; added to it")
            missing -= reasoning
        if missing and missing == cached:
            found["input_tokens"] += cached
            self.anomalies.append(f"cached tokens ({cached}) were reported beside input_tokens; added to it")
            missing -= cached
        if missing or type(total) is not int:
            self.anomalies.append(f"total_tokens was {shown(total)}, but input + output is {added}")

    def _check_parts(self, found: dict[str, int]) -> None:
        """Compare the parts with their wholes."""
        given, made = found["input_tokens"], found["output_tokens"]
        cached = found["cache_read_tokens"] + found["cache_write_tokens"] + found["cache_write_1h_tokens"]
        if cached > given:
            self.anomalies.append(f"cached tokens ({cached}) exceed input_tokens ({given})")
        if found["input_audio_tokens"] > given:
            self.anomalies.append(f"input_audio_tokens ({found['input_audio_tokens']}) exceed input_tokens ({given})")
        for name in ("reasoning_tokens", "output_audio_tokens"):
            if found[name] > made:
                self.anomalies.append(f"{name} ({found[name]}) exceed output_tokens ({made})")


_NOTHING = dict.fromkeys(COUNTS, 0)

_Table = dict[str, tuple[str | None, str | None]]

_DETAILS: dict[str, dict[str, str]] = {
    "input_token_details": {
        "cache_read": "cache_read_tokens",
        "cache_creation": "cache_write_tokens",
        "ephemeral_5m_input_tokens": "cache_write_tokens",
        "ephemeral_1h_input_tokens": "cache_write_1h_tokens",
        "audio": "input_audio_tokens",
    },
    "output_token_details": {"reasoning": "reasoning_tokens", "audio": "output_audio_tokens"},
}
"""LangChain's detail keys and the field each is counted in. Keys that are not here are provider extras: not summed."""

_TTL_KEYS = ("ephemeral_5m_input_tokens", "ephemeral_1h_input_tokens")
"""Anthropic's split of `cache_creation`, which is then 0; older versions of langchain-anthropic reported it twice."""


def _detail_table(names: Mapping[str, str]) -> _Table:
    """Each key that a details mapping can have, with the field and the tier that it tells."""
    table: _Table = {key: (name, None) for key, name in names.items()}
    for tier in TIER_PREFIXES:
        table[tier] = (None, tier)
        table.update({f"{tier}_{key}": (name, tier) for key, name in names.items()})
    return table


_DETAIL_KEYS = tuple((details, _detail_table(names)) for details, names in _DETAILS.items())

_OLDER_NAMES = {
    "prompt_tokens": "input_tokens",
    "completion_tokens": "output_tokens",
    "input_tokens": "input_tokens",
    "output_tokens": "output_tokens",
    "total_tokens": "total_tokens",
}
"""The names that counts had before `usage_metadata`, and what they are now."""

_STANDARD_TIERS = frozenset({"default", "standard", "auto", "on_demand", "unspecified", ""})
"""What providers call the tier that has the list price."""

_TIER_KEYS = ("service_tier", "serviceTier")
"""Where a response's metadata states its tier: OpenAI's key and that of AWS."""


def older_counts(counts: object) -> dict[str, Any] | None:
    """Give token counts under the names they had before `usage_metadata` as such; None where there are none.

    Example:
        >>> older_counts({"prompt_tokens": 5, "completion_tokens": 1})
        {'input_tokens': 5, 'output_tokens': 1}
    """
    if not isinstance(counts, Mapping):
        return None
    found = {name: counts[key] for key, name in _OLDER_NAMES.items() if counts.get(key) is not None}
    if "input_tokens" not in found and "output_tokens" not in found:
        return None
    return found


def response_tier(metadata: Mapping[str, Any]) -> str | None:
    """Give the service tier that a response's metadata states; Anthropic keeps it, and its fast mode, in the usage.

    Example:
        >>> response_tier({"usage": {"service_tier": "batch"}})
        'batch'
    """
    for key in _TIER_KEYS:
        if key in metadata:
            return billed_tier(metadata[key])
    usage = metadata.get("usage")
    if type(usage) is not dict:
        return None
    return "fast" if usage.get("speed") == "fast" else billed_tier(usage.get("service_tier"))


def states_tier(metadata: Mapping[str, Any]) -> bool:
    """Tell whether a response's metadata names a service tier, the standard one included.

    Example:
        >>> states_tier({"service_tier": "default"}), states_tier({"model_name": "gpt-5"})
        (True, False)
    """
    usage = metadata.get("usage")
    return any(key in metadata for key in _TIER_KEYS) or (type(usage) is dict and "service_tier" in usage)


def billed_tier(tier: object) -> str | None:
    """Give a service tier as prices know it; None for the standard one.

    Example:
        >>> billed_tier("default"), billed_tier("Flex")
        (None, 'flex')
    """
    if type(tier) is dict:
        tier = tier.get("type")
    if not isinstance(tier, str) or tier in _STANDARD_TIERS:
        return None
    tier = tier.lower()
    return None if tier in _STANDARD_TIERS else tier


def shown(value: object) -> str:
    """Show a bad value in a message, cut to a length that a log line bears.

    Example:
        >>> len(shown("x" * 1_000_000))
        40
    """
    text = repr(value[:40] if isinstance(value, str | bytes) else value)
    return text if len(text) <= 40 else f"{text[:37]}..."
