"""Fingerprints: what was sent can be recognised when it is sent again, and not be read."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b

from langchain_core.messages import BaseMessage

from langchain_agentcost.canonical import canonical, digest
from langchain_agentcost.tokens import estimate_message

MIN_KEY_BYTES = 16
"""A shorter key could be guessed, and with it short messages."""


class Fingerprinter:
    """Gives each message of a prompt a salted hash and its size.

    The hash is BLAKE2b with the key as its key (RFC 7693): equal messages have equal fingerprints under one key, and
    nothing can be learned from them without it. Ids and metadata, which change from call to call, are left out.

    Args:
        key: The secret, 16 to 64 bytes. Keep it as long as fingerprints are to be compared.

    Raises:
        ValueError: If the key is too short or too long.

    Example:
        >>> from langchain_core.messages import HumanMessage
        >>> [(fingerprint, tokens)] = Fingerprinter(b"sixteen bytes or more").of([HumanMessage("Hi")])
        >>> len(fingerprint), tokens > 0
        (32, True)
    """

    def __init__(self, key: bytes) -> None:
        if not MIN_KEY_BYTES <= len(key) <= blake2b.MAX_KEY_SIZE:
            raise ValueError(
                f"A fingerprint key has {MIN_KEY_BYTES} to {blake2b.MAX_KEY_SIZE} bytes, got {len(key)}; "
                "secrets.token_bytes(32) makes one."
            )
        self._key = key

    def of(self, prompt: Iterable[BaseMessage]) -> tuple[tuple[str, int], ...]:
        """Fingerprint the messages of a prompt.

        Returns:
            For each message its hash, 32 hexadecimal digits, and its estimated size in tokens.
        """
        return tuple((digest(canonical(message), key=self._key).hex(), estimate_message(message)) for message in prompt)
