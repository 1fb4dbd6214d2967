"""A webhook that is told of alerts: posted in the background, signed, tried again."""

from __future__ import annotations

import atexit
import json
import random
import ssl
import time
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import fields
from datetime import datetime
from http.client import HTTPException
from ipaddress import ip_address
from math import isfinite
from typing import IO, Any, NamedTuple
from urllib.error import HTTPError
from urllib.parse import SplitResult, unquote, urlsplit
from urllib.request import HTTPRedirectHandler, ProxyHandler, Request, build_opener
from uuid import uuid4
from weakref import WeakSet

from langchain_agentcost.errors import BudgetError
from langchain_agentcost.limits.alerts import Alert
from langchain_agentcost.limits.dispatch import logger
from langchain_agentcost.limits.outbox import Outbox
from langchain_agentcost.limits.signature import key_of, signed
from langchain_agentcost.reported import shown

MAX_PAUSE_S = 60.0
"""The longest pause between two attempts, whatever the receiver asks for."""

EXIT_FLUSH_S = 3.0
"""How long a process that ends waits for its webhooks, all in all."""


class _Message(NamedTuple):
    id: str
    body: bytes


class Webhook:
    """Posts alerts to a URL. Calling it hands the alert to a queue and never waits for the network.

    The body is JSON: `{"type": "limit.denied", "timestamp": …, "id": …, "data": {…the alert…}}`, amounts of money as
    text. With a secret it is signed by Standard Webhooks 1.0.0, in the headers `webhook-id`, `webhook-timestamp` and
    `webhook-signature`; `langchain_agentcost.limits.signature.verify` tells a receiver whether to believe it. The id is
    the same for every attempt, so a receiver can tell what it has already.

    Connection errors, 429 and 5xx are tried again, in order, after pauses that double. All else than 2xx, redirects
    too, is a failure at once. What is not delivered is logged, and counted in `lost`. A process that ends waits some
    seconds for what is left.

    Args:
        url: Where to post; https, or http to this machine. A user and password in it are sent as basic authentication.
        secret: What to sign with: "whsec_" and base64, or any text of 24 bytes or more. None signs nothing.
        timeout_s: How long to wait for the receiver at each step of an attempt, in seconds.
        attempts: How often to try.
        queue: How many alerts may wait; those beyond are lost.
        pause_s: The pause after the first attempt, in seconds, give or take a half.
        allow_http: True to post over plain http to another machine.

    Raises:
        BudgetError: If the URL or the secret cannot be used, or a number cannot be. The message shows neither.

    Example:
        >>> Webhook("https://user:password@hooks.example.com/T0/B0/token", secret="whsec_" + "A" * 32)
        Webhook('https://hooks.example.com/…', signed)
    """

    def __init__(
        self,
        url: str,
        *,
        secret: str | None = None,
        timeout_s: float = 5.0,
        attempts: int = 5,
        queue: int = 1000,
        pause_s: float = 0.5,
        allow_http: bool = False,
    ) -> None:
        parts = _checked(url, allow_http=allow_http)
        for name, number in (("timeout_s", timeout_s), ("attempts", attempts), ("queue", queue), ("pause_s", pause_s)):
            _check_number(name, number, whole=name in ("attempts", "queue"))
        self._url = parts._replace(netloc=_host(parts)).geturl()
        self._place = f"{parts.scheme}://{_host(parts)}/…"
        self._headers = {"Content-Type": "application/json", "User-Agent": "langchain-agentcost"} | _credentials(parts)
        self._key = None if secret is None else key_of(secret)
        self._timeout_s = timeout_s
        self._attempts = attempts
        self._pause_s = pause_s
        self._opener = build_opener(_NoRedirects, *_no_proxy(parts))
        self._overflowed = False
        self._outbox = Outbox(self._deliver, size=queue)
        _LIVE.add(self)

    def __call__(self, alert: Alert) -> None:
        """Take an alert, to be posted soon."""
        message_id = f"msg_{uuid4().hex}"
        content = {
            "type": f"limit.{alert.kind}",
            "timestamp": alert.at.isoformat(),
            "id": message_id,
            "data": {f.name: _plain(getattr(alert, f.name)) for f in fields(alert)},
        }
        body = json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode(errors="replace")
        if not self._outbox.put(_Message(message_id, body)) and not self._overflowed:
            self._overflowed = True
            logger.warning("%r is full or closed: the newest alerts are lost, and counted in its .lost.", self)

    @property
    def lost(self) -> int:
        """How many alerts this process did not deliver, for whatever reason."""
        return self._outbox.lost

    def flush(self, timeout_s: float = 5.0) -> bool:
        """Wait until what was taken is delivered or given up.

        Args:
            timeout_s: How long to wait at most, in seconds.

        Returns:
            Whether nothing is left.
        """
        return not self._outbox.flush(timeout_s)

    def close(self, timeout_s: float = 5.0) -> None:
        """Flush, then take no more alerts. Closing twice is harmless."""
        self._outbox.flush(timeout_s)
        forgotten = self._outbox.close()
        if forgotten:
            logger.warning("%r was closed before %d alerts were delivered.", self, forgotten)

    def __repr__(self) -> str:
        """Say where it posts, without what is secret: the path is, with many receivers."""
        return f"Webhook({self._place!r}, {'signed' if self._key else 'not signed'})"

    def _deliver(self, message: _Message) -> bool:
        """Try until it is delivered, or cannot be; which of them."""
        attempt = 1
        while (fault := self._post(message)) is not None:
            pause_s = self._pause_s * 2 ** min(attempt - 1, 30) * random.uniform(0.5, 1.5)  # noqa: S311  # no secret
            last = attempt == self._attempts or not fault.passing
            if last or self._outbox.pause(min(max(pause_s, fault.wait_s), MAX_PAUSE_S)):
                logger.warning("%r did not take alert %s: %s.", self, message.id, fault.what)
                return False
            attempt += 1
        return True

    def _post(self, message: _Message) -> _Fault | None:
        """Make one attempt; None is success."""
        headers = dict(self._headers)
        if self._key is not None:
            headers |= signed(self._key, message.body, message_id=message.id, at_s=int(time.time()))
        request = Request(self._url, message.body, headers, method="POST")  # noqa: S310  # its scheme was checked
        try:
            with self._opener.open(request, timeout=self._timeout_s):
                return None
        except HTTPError as error:
            with error:
                return _Fault(f"HTTP {error.code}", error.code == 429 or error.code >= 500, _retry_after(error))
        except (OSError, HTTPException) as error:
            return _fault(error)
        except Exception as error:  # noqa: BLE001  # the thread must live; the text of an error may show the URL
            return _Fault(type(error).__name__, passing=False)


class _Fault(NamedTuple):
    """Why an attempt failed, whether another may not, and how long the receiver wants to be left alone, in seconds."""

    what: str
    passing: bool
    wait_s: float = 0.0


class _NoRedirects(HTTPRedirectHandler):
    """Follows nothing: an alert goes where the user said, and nowhere else."""

    def redirect_request(self, req: Request, fp: IO[bytes], code: int, msg: str, headers: Any, newurl: str) -> None:
        """Leave the answer as it is: an error."""


_LIVE: WeakSet[Webhook] = WeakSet()
"""Who has to be flushed at exit: Python's exit hooks are per process. One with alerts to post lives by its thread."""


def _flush_all() -> None:
    until = time.monotonic() + EXIT_FLUSH_S
    for webhook in list(_LIVE):
        webhook.close(max(0.0, until - time.monotonic()))


atexit.register(_flush_all)


def _checked(url: str, *, allow_http: bool) -> SplitResult:
    parts = _split(url)
    host = parts.hostname
    if parts.scheme not in ("http", "https") or not host:
        raise BudgetError(f"A webhook is posted to an https URL with a host, not to a {parts.scheme or 'bare'} one.")
    if parts.scheme == "http" and not (allow_http or _is_this_machine(host)):
        raise BudgetError(
            f"Alerts for {host} would go over plain http, where others can read them: use https, or allow_http=True."
        )
    return parts


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        fits = parts.port != 0 and url.isascii() and url.isprintable() and " " not in url
    except (ValueError, TypeError, AttributeError):
        fits = False
    if not fits:
        raise BudgetError("A webhook's URL is like https://hooks.example.com/path, in ASCII.")
    return parts


def _no_proxy(parts: SplitResult) -> tuple[ProxyHandler, ...]:
    """What keeps alerts for this machine on it; elsewhere the environment's proxies are used."""
    return (ProxyHandler({}),) if _is_this_machine(parts.hostname) else ()


def _is_this_machine(host: str | None) -> bool:
    try:
        return host == "localhost" or ip_address(host or "").is_loopback
    except ValueError:
        return False


def _check_number(name: str, number: object, *, whole: bool) -> None:
    fits = type(number) is int if whole else type(number) in (int, float) and isfinite(number)  # type: ignore[arg-type]
    if not fits or number <= 0:  # type: ignore[operator]
        raise BudgetError(f"{name} of a webhook is a {'whole ' if whole else ''}number above 0, not {shown(number)}.")


def _host(parts: SplitResult) -> str:
    return parts.netloc.rpartition("@")[2]


def _credentials(parts: SplitResult) -> dict[str, str]:
    if parts.username is None:
        return {}
    pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return {"Authorization": f"Basic {b64encode(pair.encode()).decode()}"}


def _fault(error: OSError | HTTPException) -> _Fault:
    """What is said of a failed connection: never the error's own text, which may show the URL."""
    reason = getattr(error, "reason", error)
    told = getattr(reason, "strerror", None)
    certificate = isinstance(reason, ssl.SSLCertVerificationError)
    return _Fault(type(reason).__name__ + (f" ({told})" if told and not certificate else ""), passing=not certificate)


def _retry_after(error: HTTPError) -> float:
    asked = error.headers.get("Retry-After") or ""
    return float(asked) if asked.isascii() and asked.isdigit() and len(asked) <= 6 else 0.0


def _plain(value: Any) -> Any:
    """A value as JSON has it: what JSON does not know as text, so that no amount of money becomes a float."""
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(inner) for inner in value]
    if isinstance(value, datetime):
        return value.isoformat()
    known = value is None or isinstance(value, str | int) or (isinstance(value, float) and isfinite(value))
    return value if known else str(value)
