"""Users under another name, so that traces can be grouped and filtered by user without saying who it is."""

from __future__ import annotations

import hmac
from collections.abc import Iterable
from hashlib import sha256
from typing import Any

from langchain_agentcost.attribution import label

PSEUDONYM_HEX = 16
"""64 bits: a collision among a million users has a chance of 3e-8."""


def pseudonym(user: object, *, key: str | bytes) -> str:
    """Give the name under which a user appears in LangSmith: a keyed hash (HMAC-SHA256, truncated to 64 bits).

    Whoever has the key can find a user's traces; without it nobody can test a guess. Change the key to cut the link.

    Args:
        user: The user, as the metadata states it.
        key: The secret.

    Returns:
        The pseudonym, the same for the same user and key.

    Example:
        >>> pseudonym("ada", key="s3cret") == pseudonym("ada", key=b"s3cret") != pseudonym("bob", key="s3cret")
        True
    """
    secret = key.encode() if isinstance(key, str) else key
    return f"user-{hmac.new(secret, label(user).encode(), sha256).hexdigest()[:PSEUDONYM_HEX]}"


class Mask:
    """Replaces users in metadata by their pseudonyms.

    Args:
        keys: The metadata keys that name a user.
        secret: The key of the pseudonyms; None leaves everything as it is.

    Raises:
        ValueError: If the secret is empty.

    Example:
        >>> sorted(Mask(("user_id",), "s3cret").hide({"user_id": "ada", "tenant": "acme"}))
        ['tenant', 'user_id']
    """

    def __init__(self, keys: Iterable[str], secret: str | bytes | None) -> None:
        if secret is not None and not secret:
            raise ValueError("The key of the pseudonyms is empty; give a secret, or None to show users as they are.")
        self._keys = tuple(keys)
        self._secret = secret

    def hide(self, metadata: dict[str, Any] | None) -> dict[str, Any] | None:
        """Give a copy of the metadata with every user replaced; without a secret, the metadata itself."""
        if metadata is None or self._secret is None:
            return metadata
        secret = self._secret
        hidden = {key: pseudonym(metadata[key], key=secret) for key in self._keys if metadata.get(key) is not None}
        return {**metadata, **hidden}
