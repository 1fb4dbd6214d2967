"""A receiver of webhooks on loopback, as somebody else would write it: it checks signatures by the standard's text."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple


class Post(NamedTuple):
    """One request as it came."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def content(self) -> Any:
        """The body, read."""
        return json.loads(self.body)

    def is_signed_by(self, key: bytes) -> bool:
        """Whether the signature is that of the standard, worked out here anew."""
        told = f"{self.headers['webhook-id']}.{self.headers['webhook-timestamp']}.".encode() + self.body
        digest = base64.b64encode(hmac.new(key, told, hashlib.sha256).digest()).decode()
        return self.headers["webhook-signature"] == f"v1,{digest}"


class Receiver:
    """Answers posts with the statuses it was given, one after the other, then with 204."""

    def __init__(self) -> None:
        self.posts: list[Post] = []
        self.answers: list[tuple[int, Mapping[str, str]]] = []
        self.open = threading.Event()
        self.open.set()
        self.url = ""

    def ids(self) -> list[str]:
        """The messages' ids, in the order of arrival."""
        return [post.headers["webhook-id"] for post in self.posts]

    def messages(self) -> list[str]:
        """What the alerts said, in the order of arrival."""
        return [post.content["data"]["message"] for post in self.posts]

    def answer(self, *statuses: int, **headers: str) -> None:
        """Answer the next posts so, in this order."""
        self.answers += [
            (status, {name.replace("_", "-"): value for name, value in headers.items()}) for status in statuses
        ]


@contextmanager
def receiving() -> Iterator[Receiver]:
    """A receiver that runs for a block. A post is kept as soon as it came, and answered while the receiver is open."""
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            receiver.posts.append(Post(self.path, {k.lower(): v for k, v in self.headers.items()}, body))
            receiver.open.wait(10)
            status, headers = receiver.answers.pop(0) if receiver.answers else (204, {})
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the name is http.server's
            """Stay silent."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    receiver.url = f"http://127.0.0.1:{server.server_address[1]}/alerts"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        receiver.open.set()
        server.shutdown()
        server.server_close()
        thread.join(5)
