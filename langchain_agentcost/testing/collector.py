"""A LangSmith that runs on loopback: what a real client sends is parsed and kept, and can be read back.

It serves `GET /info`, `POST /runs/multipart` (plain and zstd), `POST /runs/batch`, `POST /runs`, `PATCH /runs/{id}`,
feedback, and the queries that read runs, projects and links.
"""

from __future__ import annotations

import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar, Self
from urllib.parse import parse_qs, urlsplit

from langsmith import Client

from langchain_agentcost.testing.langsmith_api import Answer, Operation, Request, Run, Store, answer, info

PROJECT = "agentcost-loopback"
"""The project that `LangSmithCollector.environment` names."""


class LangSmithCollector:
    """A LangSmith server on 127.0.0.1 for tests, as a context manager.

    Args:
        multipart: Whether to tell clients that multipart ingestion is there; without it they send JSON batches.
        zstd: Whether to tell clients to compress.
        api_key: The only key that is accepted; None accepts every key.
        refusal: The HTTP status for every other key: 401 or 403.

    Example:
        >>> with LangSmithCollector() as collector:
        ...     client = collector.client()
        ...     client.create_run("hello", {"a": 1}, "chain", id=(run := "0" * 31 + "1"))
        ...     client.flush()
        ...     [found["name"] for found in collector.runs().values()]
        ['hello']
    """

    def __init__(
        self, *, multipart: bool = True, zstd: bool = False, api_key: str | None = None, refusal: int = 401
    ) -> None:
        self.api_key = api_key or "loopback"
        self._accepts_all = api_key is None
        self._refusal = refusal
        self._info = info(multipart=multipart, zstd=zstd)
        self._store = Store()
        self._clients: list[Client] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"collector": self}))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """The address to give to a client."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def client(self, **options: Any) -> Client:
        """Make a real client of this server; it is closed with the collector.

        Args:
            **options: Further arguments of `langsmith.Client`.

        Returns:
            The client.

        Raises:
            ConnectionError: If it cannot reach the collector.
        """
        client = Client(**{"api_url": self.url, "api_key": self.api_key, **options})
        self._clients.append(client)
        if not client.info.version:  # asked for now: a client asks late, in the background, when a test may be over
            raise ConnectionError(f"The client does not reach the collector at {self.url}.")
        return client

    def environment(self) -> dict[str, str]:
        """Give the environment variables that switch LangSmith's own tracing on, towards this server.

        LangSmith caches its environment and its client: set these before anything is traced in the process.
        """
        return {
            "LANGSMITH_TRACING": "true",
            "LANGSMITH_ENDPOINT": self.url,
            "LANGSMITH_API_KEY": self.api_key,
            "LANGSMITH_PROJECT": PROJECT,
        }

    def runs(self) -> dict[str, Run]:
        """Give every run by its id: what was posted, with all later patches merged in."""
        return self._store.runs()

    def operations(self) -> tuple[Operation, ...]:
        """Give everything that was done to runs, in the order of arrival."""
        return self._store.operations()

    def feedback(self) -> tuple[dict[str, Any], ...]:
        """Give the feedback that was sent, in the order of arrival."""
        return self._store.feedback()

    def wait(self, n: int, *, timeout_s: float = 10.0) -> dict[str, Run]:
        """Wait until runs have come in and ended.

        Args:
            n: How many ended runs to wait for.
            timeout_s: How long to wait at most, in seconds.

        Returns:
            All runs, as `runs()` gives them.

        Raises:
            TimeoutError: If fewer have ended by then.
        """
        return self._store.wait(n, timeout_s)

    def close(self) -> None:
        """Close the clients, then the server. Closing twice is harmless."""
        for client in self._clients:
            client.close(timeout=5)
        self._clients.clear()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(timeout=5)

    def __enter__(self) -> Self:
        """Use the collector for a block."""
        return self

    def __exit__(self, *exc: object) -> None:
        """Close it."""
        self.close()

    def allows(self, key: str | None) -> bool:
        """Say whether a request with this key may pass."""
        return self._accepts_all or key == self.api_key

    def answer(self, request: Request) -> Answer:
        """Answer a request: the HTTP status and the JSON body."""
        if request.path == "/info":
            return 200, self._info
        if not self.allows(request.key):
            return self._refusal, {"detail": "Invalid token"}
        return answer(self._store, request)


class _Handler(BaseHTTPRequestHandler):
    """Turns HTTP into `Request` and back."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    collector: ClassVar[LangSmithCollector]

    def _serve(self) -> None:
        parts = urlsplit(self.path)
        path = re.sub(r"^/api(/v1)?(?=/(?!v2))", "", parts.path)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        request = Request(self.command, path, parse_qs(parts.query), self.headers, body)
        status, reply = self.collector.answer(request)
        payload = json.dumps(reply).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(payload)))
        self.end_headers()
        self.wfile.write(payload)

    do_GET = do_POST = do_PATCH = _serve  # http.server looks the names up

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the name is http.server's
        """Stay silent."""
