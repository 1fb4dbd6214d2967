from __future__ import annotations

import asyncio
import base64
import logging
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from types import FrameType
from typing import Any

import pytest

from langchain_agentcost.errors import BudgetError
from langchain_agentcost.limits.alerts import Alert
from langchain_agentcost.limits.outbox import Outbox
from langchain_agentcost.limits.signature import verify
from langchain_agentcost.limits.webhook import Webhook
from tests.limits.receiver import Receiver, receiving

KEY = bytes(range(32))
SECRET = "whsec_" + base64.b64encode(KEY).decode()
AT = datetime(2026, 11, 23, 12, 30, tzinfo=UTC)


def alert(message: str = "85 % is used.", **rest: Any) -> Alert:
    """An alert."""
    return Alert("threshold", message, **{"at": AT, **rest})


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A receiver on loopback."""
    with receiving() as opened:
        yield opened


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """What the package logs about alerts."""
    caplog.set_level(logging.INFO, "langchain_agentcost.alerts")
    return caplog


def hook(receiver: Receiver, **options: Any) -> Webhook:
    """A webhook that does not pause for long."""
    return Webhook(receiver.url, **{"pause_s": 0.001, **options})


def test_the_alert_arrives_whole(receiver: Receiver) -> None:
    """All of an alert is in the JSON body: money as text, times in ISO 8601 with their zone."""
    webhook = hook(receiver)
    webhook(
        alert(
            scope="session=ann",
            action="warn",
            share=0.85,
            limit="5",
            spent="4.25",
            evidence={"usd": Decimal("0.10"), "at": AT, "runs": ("r1", 2), "none": None, "odd": float("nan"), 3: "ü"},
        )
    )
    assert webhook.flush()
    (post,) = receiver.posts
    assert post.path == "/alerts"
    assert post.headers["content-type"] == "application/json"
    assert post.content == {
        "type": "limit.threshold",
        "timestamp": "2026-11-23T12:30:00+00:00",
        "id": post.content["id"],
        "data": {
            "kind": "threshold",
            "message": "85 % is used.",
            "scope": "session=ann",
            "action": "warn",
            "share": 0.85,
            "limit": "5",
            "spent": "4.25",
            "evidence": {
                "usd": "0.10",
                "at": "2026-11-23T12:30:00+00:00",
                "runs": ["r1", 2],
                "none": None,
                "odd": "nan",
                "3": "ü",
            },
            "at": "2026-11-23T12:30:00+00:00",
        },
    }


def test_the_receiver_can_tell_who_signed(receiver: Receiver) -> None:
    """The signature is the standard's over id, time and the very bytes of the body, and `verify` agrees."""
    webhook = hook(receiver, secret=SECRET)
    webhook(alert("für Ann"))
    assert webhook.flush()
    (post,) = receiver.posts
    assert post.is_signed_by(KEY)
    assert not post.is_signed_by(KEY[1:])
    assert verify(SECRET, post.headers, post.body)
    assert not verify("whsec_" + base64.b64encode(KEY[::-1]).decode(), post.headers, post.body)
    assert post.content["id"] == post.headers["webhook-id"]


def test_an_unsigned_message_says_nothing_of_a_signature(receiver: Receiver) -> None:
    """Without a secret no signature is sent."""
    webhook = hook(receiver)
    webhook(alert())
    assert webhook.flush()
    assert [name for name in receiver.posts[0].headers if name.startswith("webhook-")] == []


def test_a_busy_receiver_is_tried_again(receiver: Receiver) -> None:
    """After 503, 429 and 500 the same message comes again under the same id, signed anew."""
    receiver.answer(503, 429, 500)
    webhook = hook(receiver, secret=SECRET)
    webhook(alert())
    assert webhook.flush()
    assert len(receiver.posts) == 4
    assert len(set(receiver.ids())) == 1
    assert all(post.is_signed_by(KEY) for post in receiver.posts)
    assert webhook.lost == 0


def test_what_no_attempt_delivers_is_said_and_counted(receiver: Receiver, said: pytest.LogCaptureFixture) -> None:
    """After the last attempt the alert is lost, the log says why, and the next alert is delivered."""
    receiver.answer(503, 503, 500)
    webhook = hook(receiver, attempts=3)
    webhook(alert("first"))
    webhook(alert("second"))
    assert webhook.flush()
    assert receiver.messages() == ["first", "first", "first", "second"]
    assert webhook.lost == 1
    assert [r.getMessage().partition(" did not take alert ")[2][-11:] for r in said.records] == [": HTTP 500."]


@pytest.mark.parametrize("status", [301, 302, 307, 308, 400, 401, 404, 410])
def test_a_refusal_is_final(receiver: Receiver, said: pytest.LogCaptureFixture, status: int) -> None:
    """What another attempt would not change is not tried again, and a redirect is followed nowhere."""
    receiver.answer(status, Location=receiver.url.replace("/alerts", "/elsewhere"))
    webhook = hook(receiver)
    webhook(alert())
    assert webhook.flush()
    assert [post.path for post in receiver.posts] == ["/alerts"]
    assert webhook.lost == 1
    assert f"HTTP {status}" in said.text


def test_a_receiver_that_is_not_there_is_tried_again(said: pytest.LogCaptureFixture) -> None:
    """A connection that is refused is worth another attempt: a receiver that comes back gets the alert."""
    with socket.create_server(("127.0.0.1", 0)) as reserved:
        port = reserved.getsockname()[1]
    webhook = Webhook(f"http://127.0.0.1:{port}/token-of-ours", attempts=2, pause_s=0.001)
    webhook(alert())
    assert webhook.flush()
    assert webhook.lost == 1
    assert "ConnectionRefusedError (Connection refused)" in said.text
    assert "token-of-ours" not in said.text


def test_a_receiver_that_hangs_is_given_up(receiver: Receiver, said: pytest.LogCaptureFixture) -> None:
    """An attempt without an answer ends after its timeout, and the next one is made."""
    receiver.open.clear()
    webhook = hook(receiver, attempts=2, timeout_s=0.1)
    webhook(alert())
    assert webhook.flush()
    assert len(receiver.posts) == 2
    assert "TimeoutError" in said.text


def test_the_receiver_may_ask_for_a_pause(receiver: Receiver) -> None:
    """`Retry-After` is heeded: the second attempt is not made at once."""
    receiver.answer(503, Retry_After="600")
    webhook = hook(receiver)
    webhook(alert())
    assert not webhook.flush(0.3)
    assert len(receiver.posts) == 1
    webhook.close(0)


def test_a_full_queue_loses_the_newest_and_says_so_once(receiver: Receiver, said: pytest.LogCaptureFixture) -> None:
    """While the receiver hangs, alerts beyond the queue are counted as lost, with one line in the log."""
    receiver.open.clear()
    webhook = hook(receiver, queue=3)
    webhook(alert("0"))
    while not receiver.posts:  # the first has left the queue
        threading.Event().wait(0.005)
    for number in range(1, 10):
        webhook(alert(str(number)))
    assert webhook.lost == 6
    assert [r.getMessage().partition(" is full")[1] for r in said.records] == [" is full"]
    receiver.open.set()
    assert webhook.flush()
    assert receiver.messages() == ["0", "1", "2", "3"]


async def test_a_call_never_waits_for_the_receiver(receiver: Receiver) -> None:
    """On an event loop, a hundred alerts are taken while the receiver has answered none of them."""
    receiver.open.clear()
    webhook = hook(receiver)
    for number in range(100):
        webhook(alert(str(number)))
        await asyncio.sleep(0)
    assert not webhook.flush(0)
    receiver.open.set()
    assert await asyncio.to_thread(webhook.flush)
    assert receiver.messages() == [str(number) for number in range(100)]


def test_threads_lose_nothing(receiver: Receiver) -> None:
    """Alerts of many threads are all delivered, once each, by one thread that is gone afterwards."""
    webhook = hook(receiver)

    def work(name: int) -> None:
        for number in range(10):
            webhook(alert(f"{name}.{number}"))

    threads = [threading.Thread(target=work, args=(name,)) for name in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert webhook.flush(10)
    assert sorted(receiver.messages()) == sorted(f"{name}.{number}" for name in range(8) for number in range(10))
    for thread in threading.enumerate():
        if thread.name == "agentcost-outbox":
            thread.join(5)
    assert "agentcost-outbox" not in {thread.name for thread in threading.enumerate()}
    webhook(alert("later"))
    assert webhook.flush()
    assert receiver.messages()[-1] == "later"


@pytest.mark.parametrize("within", ["put", "_start"])
def test_an_alert_may_be_fired_while_another_is_taken(receiver: Receiver, within: str) -> None:
    """At every step of taking an alert, a finalizer may run on the same thread and fire one: neither waits or is lost.

    The garbage collector may do so whenever it likes; tracing does it here at each line.
    """
    receiver.open.clear()
    before = set(threading.enumerate())
    webhook = hook(receiver)
    steps: set[int] = set()

    def at_line(frame: FrameType, event: str, _: object) -> Any:
        if event == "line" and frame.f_lineno not in steps:
            steps.add(frame.f_lineno)
            webhook(alert("from a finalizer"))
        return at_line

    def at_call(frame: FrameType, _: str, __: object) -> Any:
        return at_line if frame.f_code is getattr(Outbox, within).__code__ else None

    def take() -> None:
        sys.settrace(at_call)
        webhook(alert("direct"))
        sys.settrace(None)

    thread = threading.Thread(target=take, daemon=True)
    thread.start()
    thread.join(10)
    assert not thread.is_alive()
    assert len(steps) >= 3
    assert [made.name for made in set(threading.enumerate()) - before].count("agentcost-outbox") == 1
    receiver.open.set()
    assert webhook.flush(10)
    assert sorted(receiver.messages()) == ["direct"] + ["from a finalizer"] * len(steps)


def test_a_closed_webhook_takes_nothing(receiver: Receiver, said: pytest.LogCaptureFixture) -> None:
    """Closing delivers what is there; what comes later is lost, counted and said; closing twice is harmless."""
    webhook = hook(receiver)
    webhook(alert("in time"))
    webhook.close()
    webhook.close()
    webhook(alert("too late"))
    assert receiver.messages() == ["in time"]
    assert webhook.lost == 1
    assert "closed" in said.text


def test_closing_gives_up_what_cannot_be_delivered(receiver: Receiver, said: pytest.LogCaptureFixture) -> None:
    """A webhook that waits for its next attempt is closed without it, and counts all that it leaves."""
    receiver.answer(*[503] * 10, Retry_After="600")
    webhook = hook(receiver)
    webhook(alert("tried"))
    webhook(alert("waits"))
    webhook.close(0.2)
    assert webhook.flush()
    assert webhook.lost == 2
    assert "was closed before 1 alerts were delivered" in said.text


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_has_a_queue_and_a_thread_of_its_own(receiver: Receiver) -> None:
    """What the parent had to deliver it delivers once; what the child fires, the child delivers."""
    receiver.open.clear()
    webhook = hook(receiver)
    for number in range(3):
        webhook(alert(f"parent {number}"))
    child = os.fork()
    if child == 0:
        webhook(alert("child"))
        os._exit(0 if webhook.flush(20) and webhook.lost == 0 else 1)
    while not any("child" in message for message in receiver.messages()):
        threading.Event().wait(0.01)
    receiver.open.set()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert webhook.flush(10)
    assert sorted(receiver.messages()) == ["child", "parent 0", "parent 1", "parent 2"]


def test_a_process_that_ends_delivers_first(receiver: Receiver) -> None:
    """An alert that is fired right before the end of the program arrives."""
    program = (
        "from langchain_agentcost.limits.alerts import Alert\n"
        "from langchain_agentcost.limits.webhook import Webhook\n"
        f"Webhook({receiver.url!r})(Alert('denied', 'the last words'))\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=30)
    assert receiver.messages() == ["the last words"]


URLS = [
    "https://ann:s3cret@hooks.example.com/services/T0/B0/token",
    "https://hooks.example.com/services/token?key=s3cret",
    "https://s3cret@hooks.example.com:8443/token",
]


@pytest.mark.parametrize("url", URLS)
def test_nothing_secret_is_shown(url: str) -> None:
    """Neither the signing secret nor the URL's credentials, path or query are in what a webhook is shown as."""
    shown = f"{Webhook(url, secret=SECRET)!r} {Webhook(url, secret=SECRET)}"
    assert "hooks.example.com" in shown
    assert not any(word in shown for word in ("s3cret", "token", "ann", SECRET, SECRET[6:]))


def test_credentials_go_into_a_header(receiver: Receiver) -> None:
    """A user and password of the URL are basic authentication, percent escapes decoded, and not in the request line."""
    webhook = Webhook(receiver.url.replace("http://", "http://ann:p%40ss@"))
    webhook(alert())
    assert webhook.flush()
    assert base64.b64decode(receiver.posts[0].headers["authorization"].split()[1]) == b"ann:p@ss"
    assert "ann" not in receiver.posts[0].headers["host"]


@pytest.mark.parametrize(
    ("url", "options", "told"),
    [
        ("http://hooks.example.com/s3cret", {}, "hooks.example.com would go over plain http"),
        ("ftp://hooks.example.com/s3cret", {}, "not to a ftp one"),
        ("file:///etc/s3cret", {}, "not to a file one"),
        ("hooks.example.com/s3cret", {}, "not to a bare one"),
        ("https:///s3cret", {}, "with a host"),
        ("https://hooks.example.com/s3cret line", {}, "is like https://hooks.example.com/path"),
        ("https://hooks.example.com/s3cret\nHost: evil", {}, "is like https://"),
        ("https://hooks.example.com:s3cret/", {}, "is like https://"),
        ("https://[s3cret/", {}, "is like https://"),
        (None, {}, "is like https://"),
        ("https://h.example/s3cret", {"secret": "s3cret"}, "at least 24 bytes"),
        ("https://h.example/s3cret", {"secret": ""}, "at least 24 bytes"),
        ("https://h.example/s3cret", {"secret": "whsec_s3cret!"}, "goes on in base64"),
        ("https://h.example/s3cret", {"secret": b"s3cret"}, "is text, not bytes"),
        ("https://h.example/s3cret", {"attempts": 0}, "attempts of a webhook is a whole number above 0, not 0"),
        ("https://h.example/s3cret", {"queue": 1.5}, "queue of a webhook is a whole number above 0, not 1.5"),
        ("https://h.example/s3cret", {"timeout_s": float("inf")}, "timeout_s of a webhook is a number above 0"),
        ("https://h.example/s3cret", {"timeout_s": True}, "timeout_s of a webhook is a number above 0"),
        ("https://h.example/s3cret", {"pause_s": "1"}, "pause_s of a webhook is a number above 0"),
    ],
)
def test_a_webhook_that_cannot_be_is_refused(url: Any, options: dict[str, Any], told: str) -> None:
    """The error says what to change, and shows neither the secret nor the URL's path."""
    with pytest.raises(BudgetError) as refusal:
        Webhook(url, **options)
    assert told in str(refusal.value)
    assert "s3cret" not in str(refusal.value)
    assert refusal.value.__cause__ is None


def test_plain_http_is_for_this_machine_or_by_choice() -> None:
    """Plain http is taken for loopback addresses, and for others where the user says so."""
    for url in ("http://127.0.0.1:1/", "http://localhost/", "http://[::1]:9/x", "http://127.9.9.9/"):
        assert "Webhook" in repr(Webhook(url))
    assert repr(Webhook("http://10.0.0.7/x", allow_http=True)) == "Webhook('http://10.0.0.7/…', not signed)"


def test_a_proxy_sees_nothing_that_is_for_this_machine(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    """Alerts for loopback go there directly, whatever proxy the environment names."""
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    webhook = hook(receiver, attempts=1)
    webhook(alert())
    assert webhook.flush()
    assert len(receiver.posts) == 1
