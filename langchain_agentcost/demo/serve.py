"""The process that serves the local model: `python serve.py '{"model": …}'`.

A process of its own, because llama.cpp writes its log straight to the file descriptors 1 and 2: here they are the log
file, and the caller's terminal stays the caller's. It ends when its standard input does, so it cannot outlive whoever
started it.
"""

from __future__ import annotations

import json
import os
import sys


def main(settings: str) -> None:
    """Serve a model on loopback until the standard input ends; the first line of output is the address.

    Args:
        settings: A JSON object: `model` (path of a GGUF file), `alias`, `threads`, `slots`, `context_tokens` (for
            each slot) and `cache_mib` (memory for prompts that gave up their slot).
    """
    wanted = json.loads(settings)
    # From here on llama.cpp's descriptor 1 is the log, and only the address goes to the caller.
    caller = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    import xllamacpp  # noqa: PLC0415  # prints while it is loaded, and belongs to the demo extra

    params = xllamacpp.CommonParams()
    params.model.path = wanted["model"]
    params.model_alias = {wanted["alias"]}
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.n_parallel = wanted["slots"]
    params.n_ctx = wanted["context_tokens"] * wanted["slots"]
    params.cache_prompt = True
    params.cache_ram_mib = wanted["cache_mib"]
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = wanted["threads"]
    params.ui = False
    server = xllamacpp.Server(params)
    with caller:
        caller.write(f"{server.listening_address}\n")
    sys.stdin.read()
    del server


if __name__ == "__main__":
    main(sys.argv[1])
