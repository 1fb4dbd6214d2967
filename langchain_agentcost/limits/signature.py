"""The signature of a webhook, by Standard Webhooks 1.0.0 (standardwebhooks.com): its receivers' libraries verify it.

A message has three headers: `webhook-id` is the same for every attempt to deliver it, `webhook-timestamp` is the time
of the attempt in seconds since 1970, and `webhook-signature` is a list of "v1,SIGNATURE" separated by spaces, one for
each secret while secrets change. A signature is base64 of the HMAC-SHA256 of "ID.TIMESTAMP.BODY".
"""

from __future__ import annotations

import base64
import hmac
import time
from collections.abc import Mapping

from langchain_agentcost.errors import BudgetError

PREFIX = "whsec_"
"""What a secret starts with whose rest is base64."""

MIN_KEY_BYTES = 24
"""The standard's least length of a key."""

ID_HEADER, TIME_HEADER, SIGNATURE_HEADER = "webhook-id", "webhook-timestamp", "webhook-signature"


def key_of(secret: str) -> bytes:
    """Give the key that a secret stands for.

    Args:
        secret: "whsec_" and base64, as the standard writes secrets; any other text is the key itself.

    Raises:
        BudgetError: If it is too short to be secret, or not base64. The message does not show it.
    """
    if not isinstance(secret, str):
        raise BudgetError(f"A webhook's secret is text, not {type(secret).__name__}.")
    if secret.startswith(PREFIX):
        try:
            key = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
        except ValueError:
            raise BudgetError(f"A webhook's secret that starts with {PREFIX} goes on in base64.") from None
    else:
        key = secret.encode()
    if len(key) < MIN_KEY_BYTES:
        raise BudgetError(
            f"A webhook's secret has at least {MIN_KEY_BYTES} bytes. Make one: "
            f"python -c \"import base64, os; print('{PREFIX}' + base64.b64encode(os.urandom(32)).decode())\""
        )
    return key


def signed(key: bytes, body: bytes, *, message_id: str, at_s: int) -> dict[str, str]:
    """Give the headers of one attempt to deliver a message.

    Args:
        key: The key.
        body: The body, as it is sent.
        message_id: The message's id, without a full stop.
        at_s: The time of the attempt, in seconds since 1970.
    """
    return {
        ID_HEADER: message_id,
        TIME_HEADER: str(at_s),
        SIGNATURE_HEADER: f"v1,{_signature(key, message_id, str(at_s), body)}",
    }


def verify(
    secret: str, headers: Mapping[str, str], body: bytes, *, tolerance_s: float = 300.0, now_s: float | None = None
) -> bool:
    """Tell whether a message was signed with a secret, and lately. Refuse what was not: it is not ours.

    A receiver should also remember the `webhook-id` of what it took for as long: a message may come twice.

    Args:
        secret: The secret that the sender has.
        headers: The request's headers, in any case of letters.
        body: The request's body, byte for byte as it came.
        tolerance_s: How far the time of the attempt may be from now, in seconds.
        now_s: The time now, in seconds since 1970; None asks the clock.

    Raises:
        BudgetError: If the secret cannot be one.

    Example:
        >>> secret, body = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", b'{"test": 2432232314}'
        >>> headers = {
        ...     "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        ...     "webhook-timestamp": "1614265330",
        ...     "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
        ... }
        >>> verify(secret, headers, body, now_s=1614265400), verify(secret, headers, body + b" ", now_s=1614265400)
        (True, False)
    """
    key = key_of(secret)
    found = {name.lower(): value for name, value in headers.items()}
    message_id, at, signatures = (found.get(name, "") for name in (ID_HEADER, TIME_HEADER, SIGNATURE_HEADER))
    if not (message_id and at.isascii() and at.isdigit() and len(at) <= 12):
        return False
    if abs((time.time() if now_s is None else now_s) - int(at)) > tolerance_s:
        return False
    expected = f"v1,{_signature(key, message_id, at, body)}".encode()
    return any(hmac.compare_digest(expected, given.encode(errors="replace")) for given in signatures.split())


def _signature(key: bytes, message_id: str, at: str, body: bytes) -> str:
    digest = hmac.digest(key, f"{message_id}.{at}.".encode() + body, "sha256")
    return base64.b64encode(digest).decode()
