from __future__ import annotations

import json
import logging
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_agentcost.errors import PolicyError
from langchain_agentcost.limits.alerts import Alert
from langchain_agentcost.limits.breakers import CircuitBreaker
from langchain_agentcost.limits.budget import Budget
from langchain_agentcost.limits.policy import Policy
from langchain_agentcost.limits.presets import PRESETS, preset
from langchain_agentcost.limits.webhook import Webhook
from langchain_agentcost.pricing import PriceBook
from langchain_agentcost.usage import Usage
from tests.limits.receiver import receiving

SECRET = "whsec_" + "B" * 44


def written(folder: Path, text: str, name: str = "agentcost.toml") -> Path:
    """A policy file."""
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def one(**budget: Any) -> Budget:
    """The budget that a mapping makes."""
    (limit,) = Policy.load({"budget": [budget]}).limits
    assert isinstance(limit, Budget)
    return limit


def refusal(given: Any) -> str:
    """What a policy is refused with."""
    with pytest.raises(PolicyError) as refused:
        Policy.load(given)
    return str(refused.value)


def test_an_empty_file_states_nothing(tmp_path: Path) -> None:
    """Every key is optional: nothing stated is the same as no policy."""
    read = Policy.load(written(tmp_path, ""))
    assert (read.mode, read.ledger, read.store, read.prices, read.limits, read.alerts) == (
        "enforce",
        None,
        None,
        None,
        (),
        (),
    )
    assert read.attribution.read({"tenant": "acme"}) == {"tenant": "acme"}


def test_mode_ledger_and_store_are_read(tmp_path: Path) -> None:
    """The plain keys at the top come out as they are, and the file is named."""
    path = written(tmp_path, 'mode = "observe"\nledger = "sqlite:///c.db"\nstore = "sqlite:///b.db"\n')
    read = Policy.load(str(path))
    assert (read.mode, read.ledger, read.store, read.origin) == (
        "observe",
        "sqlite:///c.db",
        "sqlite:///b.db",
        str(path),
    )


def test_every_keyword_of_a_budget_can_be_written(tmp_path: Path) -> None:
    """A table with all keys is the `Budget` that the same keywords make."""
    path = written(
        tmp_path,
        """
        [[budget]]
        usd = 0.1
        input_tokens = 1_000
        output_tokens = 200
        total_tokens = 1_100
        steps = 5
        llm_calls = 4
        tool_calls = 3
        wall_time_s = 1.5
        per = ["tenant", "tag:ticket"]
        window = "hour"
        where = { workflow = "support", "tag:queue" = "gold" }
        tool = "refund"
        on_limit = "drain"
        thresholds = { "65%" = "warn", "85 %" = "downgrade", "99.5%" = "interrupt", "100%" = "raise" }
        unknown_price = "assume_dearest"
        on_lost = "charge_full"
        name = "gold"
        """,
    )
    made = Budget(
        usd=Decimal("0.1"),
        input_tokens=1_000,
        output_tokens=200,
        total_tokens=1_100,
        steps=5,
        llm_calls=4,
        tool_calls=3,
        wall_time_s=1.5,
        per=("tenant", "tag:ticket"),
        window="hour",
        where={"workflow": "support", "tag:queue": "gold"},
        tool="refund",
        on_limit="drain",
        thresholds={0.65: "warn", 0.85: "downgrade", 0.995: "interrupt", 1.0: "raise"},
        unknown_price="assume_dearest",
        on_lost="charge_full",
        name="gold",
    )
    assert Policy.load(path).limits == (made,)
    assert made.limits["usd"] == 100_000_000


@given(st.decimals(min_value=0, max_value=10**6, places=9))
def test_money_is_read_exactly(usd: Decimal) -> None:
    """An amount in the file, as a number or as text, is that amount to the nano-dollar."""
    for text in (f"{usd:f}", f'"{usd:f}"'):
        (limit,) = Policy.from_toml(f"[[budget]]\nusd = {text}\n").limits
        assert isinstance(limit, Budget)
        assert limit.limits["usd"] == int(usd.scaleb(9))


def test_what_a_breaker_leaves_out_is_as_its_kind_has_it() -> None:
    """A breaker starts from the numbers of its kind; "none" takes a number away."""
    read = Policy.load(
        {
            "breaker": [
                {"kind": "identical_calls"},
                {"kind": "tool_retries", "stop": 2, "tool": "search", "on_trip": "drain"},
                {"kind": "token_velocity", "stop": 100, "window_s": 2.5},
                {"kind": "context_growth", "warn": 2.5, "stop": "none", "floor_tokens": 10},
            ]
        }
    )
    assert read.limits == (
        CircuitBreaker.identical_calls(),
        CircuitBreaker.tool_retries(2, tool="search", on_trip="drain"),
        CircuitBreaker.token_velocity(100, window_s=2.5),
        CircuitBreaker.context_growth(None, warn=2.5, floor_tokens=10),
    )


def test_fractions_in_a_file_are_numbers_like_others() -> None:
    """TOML's fractions, which are read exactly, are what breakers, webhooks and wall times take."""
    read = Policy.from_toml(
        """
        budget = [{ wall_time_s = 0.1 }]
        breaker = [{ kind = "token_velocity", window_s = 0.1 }]
        alert = [{ webhook = "https://a.example/", timeout_s = 0.1, pause_s = 0.2 }]
        """
    )
    assert read.limits == (Budget(wall_time_s=0.1), CircuitBreaker.token_velocity(window_s=0.1))
    assert len(read.alerts) == 1


@pytest.mark.parametrize("name", list(PRESETS))
def test_a_preset_is_that_of_the_code(name: str) -> None:
    """A preset by name, or as a table without rows, is `Budget.presets(name)`."""
    assert Policy.load({"preset": name}).limits == preset(name) == Policy.load({"preset": {"name": name}}).limits


def test_rows_of_a_preset_are_stated_otherwise_or_left_out() -> None:
    """A row wins over the preset's, "none" leaves one out, and breakers can be added or taken away."""
    rows = {"name": "typical", "run_steps": 80, "session_usd": "2.50", "tool_retries": "none", "breakers": "defaults"}
    expected = preset(
        "typical", run_steps=80, session_usd="2.50", tool_retries=None, breakers=CircuitBreaker.defaults()
    )
    assert Policy.load({"preset": rows}).limits == expected
    bare = Policy.load({"preset": {"name": "support", "breakers": "none"}}).limits
    assert bare == preset("support", breakers=())


def test_prices_are_stated_inline_or_in_a_file_beside(tmp_path: Path) -> None:
    """Both ways give the same price; the path is that of the policy's folder, wherever the process runs."""
    lines = '{ model = "our-model", input = 0.5, output = 1.5 }'
    inline = Policy.load(written(tmp_path, f"[prices]\nmodels = [{lines}]\n"))
    written(tmp_path, f"models = [{lines}]\n", "prices.toml")
    beside = Policy.load(written(tmp_path, 'prices = "prices.toml"\n'))
    for read in (inline, beside):
        cost = PriceBook(read.prices).cost(Usage(input_tokens=1_000_000), "our-model")
        assert cost is not None
        assert cost.usd == Decimal("0.5")


def test_attribution_is_that_of_the_code() -> None:
    """Keys go before the default ones, tags and constants are added, and nodes get a purpose."""
    table = Policy.load(
        {
            "attribution": {
                "keys": {"tenant": ["customer"], "user": "who"},
                "tags": ["ticket"],
                "constants": {"deployment": "prod"},
                "purposes": {"fact_check": "verification", "judge": ""},
            }
        }
    ).attribution
    found = table.read({"customer": "acme", "tenant": "no", "who": "ann", "ticket": 7})
    assert found == {"deployment": "prod", "tenant": "acme", "user": "ann", "tags": (("ticket", "7"),)}
    assert (table.purposes["fact_check"], table.purposes["judge"]) == ("verification", "")


def test_an_alert_is_a_webhook_that_works(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the file names is posted to, and signed with the secret that the environment holds."""
    monkeypatch.setenv("OUR_SECRET", SECRET)
    with receiving() as receiver:
        (sink,) = Policy.load({"alert": [{"webhook": receiver.url, "secret_env": "OUR_SECRET"}]}).alerts
        assert isinstance(sink, Webhook)
        sink(Alert("denied", "No."))
        assert sink.flush()
        assert receiver.posts[0].is_signed_by(b"\x04\x10\x41" * 11)


def test_the_url_of_an_alert_may_be_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """A URL that is itself secret is named by its variable; the options are those of `Webhook`."""
    monkeypatch.setenv("OUR_URL", "http://hooks.example.com/token")
    options = {"timeout_s": 2.5, "attempts": 2, "queue": 7, "pause_s": 0.1, "allow_http": True}
    read = Policy.load({"alert": [{"webhook_env": "OUR_URL", **options}]})
    assert repr(read.alerts) == "(Webhook('http://hooks.example.com/…', not signed),)"


def test_a_json_file_and_a_mapping_say_the_same(tmp_path: Path) -> None:
    """The shape counts, not the notation."""
    given = {"mode": "off", "budget": [{"usd": "5", "thresholds": {"85%": "warn"}}]}
    read = Policy.load(written(tmp_path, json.dumps(given), "agentcost.json"))
    assert (read.mode, read.limits) == ("off", Policy.load(given).limits)


FAULTS: list[tuple[dict[str, Any], str]] = [
    ({"mod": "observe"}, "mod: is not a key that is known here; did you mean 'mode'?"),
    ({"budgets": []}, "budgets: is not a key that is known here; did you mean 'budget'?"),
    ({"mode": "enforced"}, "mode: cannot be 'enforced': it is one of enforce, observe, off."),
    ({"mode": True}, "mode: must be a text, got True."),
    ({"ledger": ""}, "ledger: must be a text"),
    ({"store": 5}, "store: must be a text, got 5."),
    ({"budget": {"usd": 5}}, "budget: must be a list of tables, such as [[budget]]"),
    ({"budget": [5]}, "budget[0]: must be a table of keys and values, got 5."),
    ({"budget": [{}]}, "budget[0]: A budget needs a limit: one of usd,"),
    ({"budget": [{"per": "run"}]}, "budget[0]: A budget needs a limit"),
    ({"budget": [{"usd": 1}, {"usd": 1, "uds": 2}]}, "budget[1].uds: is not a key that is known here; did you mean"),
    ({"budget": [{"usd": -1}]}, "budget[0].usd: usd=-1: An amount of usd is a number from 0"),
    ({"budget": [{"usd": 1, "when": "asked"}]}, "budget[0].when: is a function, which no file can hold"),
    ({"budget": [{"usd": float("nan")}]}, "budget[0].usd: usd=nan"),
    ({"budget": [{"usd": "five"}]}, "budget[0].usd: usd='five'"),
    ({"budget": [{"usd": [5]}]}, "budget[0].usd: must be a number, got [5]."),
    ({"budget": [{"usd": True}]}, "budget[0].usd: must be a number, got True."),
    ({"budget": [{"steps": 1.5}]}, "budget[0].steps: steps=1.5"),
    ({"budget": [{"steps": 5, "per": "sesion"}]}, "budget[0].per: A budget cannot be per 'sesion'"),
    ({"budget": [{"steps": 5, "per": 7}]}, "budget[0].per: must be a text or a list of texts, got 7."),
    ({"budget": [{"steps": 5, "per": []}]}, "budget[0].per: A budget cannot be per ''"),
    ({"budget": [{"steps": 5, "window": "week"}]}, "budget[0].window: window cannot be 'week'"),
    ({"budget": [{"steps": 5, "on_limit": "stop"}]}, "budget[0].on_limit: an action cannot be 'stop'"),
    ({"budget": [{"steps": 5, "on_limit": 5}]}, "budget[0].on_limit: must be a text, got 5."),
    ({"budget": [{"steps": 5, "where": {"tennant": "a"}}]}, "budget[0].where: where= names no label 'tennant'"),
    ({"budget": [{"steps": 5, "where": {"tenant": 5}}]}, "budget[0].where.tenant: must be a text, got 5."),
    ({"budget": [{"steps": 5, "where": "tenant=a"}]}, "budget[0].where: must be a table"),
    ({"budget": [{"steps": 5, "tool": "t"}]}, "budget[0].tool: Budget(tool='t') limits calls of a tool"),
    ({"budget": [{"steps": 5, "per": "call", "window": "day"}]}, 'budget[0].window: per="call" is one call'),
    ({"budget": [{"steps": 5, "name": "a|b"}]}, "budget[0].name: A budget's name is plain text"),
    ({"budget": [{"steps": 5, "thresholds": {"85": "warn"}}]}, "budget[0].thresholds.85: is no share of a limit"),
    ({"budget": [{"steps": 5, "thresholds": {0.85: "warn"}}]}, 'percentage in quotes: "85%" = "warn".'),
    ({"budget": [{"steps": 5, "thresholds": {"0": {"85": "warn"}}}]}, "budget[0].thresholds.0: is no share"),
    ({"budget": [{"steps": 5, "thresholds": {"0%": "warn"}}]}, "is no share of a limit"),
    ({"budget": [{"steps": 5, "thresholds": {"101%": "warn"}}]}, "is no share of a limit"),
    ({"budget": [{"steps": 5, "thresholds": {"85%": "warn", "85.0%": "raise"}}]}, "thresholds.85.0%: is no share"),
    ({"budget": [{"steps": 5, "thresholds": {"85%": "warm"}}]}, "budget[0].thresholds: an action cannot be 'warm'"),
    ({"budget": [{"steps": 5}, {"steps": 6}]}, "budget[1]: is a second limit of steps named 'run budget': give it"),
    ({"preset": "typical", "budget": [{"usd": 9, "per": "session"}]}, "budget[0]: is a second limit of usd named"),
    ({"preset": "typicle"}, "preset: cannot be 'typicle': it is one of typical, support, coding."),
    ({"preset": {"run_steps": 5}}, "preset.name: is missing: it is one of typical"),
    ({"preset": {"name": "typical", "run_step": 5}}, "preset.run_step: is not a key that is known here; did you mean"),
    ({"preset": {"name": "typical", "run_steps": -5}}, "preset.run_steps: steps=-5"),
    ({"preset": {"name": "typical", "breakers": "all"}}, "preset.breakers: cannot be 'all': it is one of defaults"),
    ({"breaker": [{}]}, "breaker[0].kind: is missing: it is one of identical_calls"),
    ({"breaker": [{"kind": "loops"}]}, "breaker[0].kind: cannot be 'loops': it is one of identical_calls"),
    ({"breaker": [{"kind": "tool_errors", "stop": 0.5}]}, "breaker[0].stop: stop of a tool_errors breaker"),
    ({"breaker": [{"kind": "tool_errors", "stop": "5"}]}, "breaker[0].stop: stop of a tool_errors breaker"),
    ({"breaker": [{"kind": "tool_errors", "on_trip": "downgrade"}]}, "breaker[0].on_trip: on_trip cannot be"),
    ({"breaker": [{"kind": "no_progress", "tool": "t"}]}, "breaker[0].tool: A no_progress breaker watches the run"),
    ({"breaker": [{"kind": "tool_errors", "warn": "none", "stop": "none"}]}, "breaker needs warn= or stop="),
    ({"attribution": {"keys": {"tenent": ["a"]}}}, "attribution.keys: 'tenent' cannot be read from metadata"),
    ({"attribution": {"keys": {"tenant": [5]}}}, "attribution.keys.tenant: must be a text or a list of texts"),
    ({"attribution": {"constants": {"run": "1"}}}, "attribution.constants: 'run' cannot be read"),
    ({"attribution": {"constants": {"tenant": 1}}}, "attribution.constants.tenant: must be a text, got 1."),
    ({"attribution": {"tag": ["a"]}}, "attribution.tag: is not a key that is known here; did you mean 'tags'?"),
    ({"prices": 5}, "prices: must be a text, got 5."),
    ({"prices": "none.toml"}, "prices: cannot be used: none.toml: cannot be read"),
    ({"prices": {"models": [{"model": "m", "input": -1}]}}, "prices.models[0].input: must be at least 0 USD"),
    ({"prices": {"modles": []}}, "prices.modles: is not a key that is known here; did you mean 'models'?"),
    ({"alert": [{}]}, "alert[0].webhook: is where to post the alerts: state it, or webhook_env, and not both."),
    ({"alert": [{"webhook": "https://a.example/", "webhook_env": "HOME"}]}, "alert[0].webhook: is where to post"),
    ({"alert": [{"webhook": "http://a.example/s3cret"}]}, "alert[0].webhook: Alerts for a.example would go over plain"),
    ({"alert": [{"webhook": "s3cret"}]}, "alert[0].webhook: A webhook is posted to an https URL"),
    ({"alert": [{"webhook_env": "S3_URL"}]}, "alert[0].webhook_env: names the environment variable S3_URL, which is"),
    ({"alert": [{"webhook": "https://a.example/", "secret": "s3cret"}]}, "alert[0].secret: does not belong in a file"),
    ({"alert": [{"webhook": "https://a.example/", "secret_env": "S3_KEY"}]}, "alert[0].secret_env: names the"),
    ({"alert": [{"webhook": "https://a.example/", "secret_env": "SHORT"}]}, "alert[0].secret_env: A webhook's secret"),
    ({"alert": [{"webhook": "https://a.example/", "attempts": 0}]}, "alert[0].attempts: attempts of a webhook is a"),
    ({"alert": [{"webhook": "https://a.example/", "allow_http": 1}]}, "alert[0].allow_http: must be true or false"),
    ({"alert": [{"webhook": "https://a.example/", "retries": 1}]}, "alert[0].retries: is not a key that is known here"),
]


@pytest.mark.parametrize(("given", "told"), FAULTS, ids=[told[:40] for _, told in FAULTS])
def test_a_fault_is_named_with_its_place(given: dict[str, Any], told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names source and key, says what to do, and shows no secret."""
    monkeypatch.setenv("SHORT", "s3cret")
    said = refusal(given)
    assert said.startswith("the policy mapping, ")
    assert told in said
    assert "s3cret" not in said


def test_a_fault_of_a_file_is_named_with_its_line(tmp_path: Path) -> None:
    """The error names the file, the line and the key, at any depth."""
    path = written(tmp_path, 'mode = "off"\n\n[[budget]]\nusd = 5\n\n[[budget]]\nsteps = 5\nwindow = "week"\n')
    assert refusal(path).startswith(f"{path}, line 8, budget[1].window: window cannot be 'week'")
    path = written(
        tmp_path,
        '[prices]\ndiscounts = []\nmodels = [\n  { model = "m", input = 1 },\n  { model = "n", input = -1 },\n]\n',
    )
    assert refusal(path).startswith(f"{path}, line 5, prices.models[1].input: must be at least 0")


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("agentcost.toml", "mode = \n", "is not TOML"),
        ("agentcost.toml", "mode = 'off'\nmode = 'off'\n", "is not TOML"),
        ("agentcost.json", '{"mode": "off", "mode": "observe"}', "mode: is stated twice"),
        ("agentcost.json", "[]", "must hold one table"),
        ("agentcost.conf", "", "is neither a .toml nor a .json file"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path, name: str, text: str, told: str) -> None:
    """The error names the file."""
    path = written(tmp_path, text, name)
    assert str(path) in refusal(path)
    assert told in refusal(path)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    """The error names the path."""
    assert f"{tmp_path / 'none.toml'}: cannot be read" in refusal(tmp_path / "none.toml")


def test_a_faulty_price_file_is_named_twice(tmp_path: Path) -> None:
    """The error names the policy's key and the place in the price file."""
    prices = written(tmp_path, '[[models]]\nmodel = "m"\ninput = -1\n', "prices.toml")
    path = written(tmp_path, 'mode = "off"\nprices = "prices.toml"\n')
    assert refusal(path).startswith(
        f"{path}, line 2, prices: cannot be used: {prices}, line 3, models[0].input: must be"
    )


def test_loading_opens_and_sends_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A policy that is loaded has made no file and no thread, so a fault at its end leaves nothing behind."""
    monkeypatch.chdir(tmp_path)
    Policy.load({"ledger": "sqlite:///c.db", "store": "sqlite:///b.db", "alert": [{"webhook": "https://a.example/x"}]})
    assert list(tmp_path.iterdir()) == []


def test_a_policy_is_shown_without_its_urls() -> None:
    """Passwords in the URLs of stores and webhooks are in no traceback that shows the policy."""
    read = Policy.load(
        {
            "ledger": "postgresql://ann:s3cret@db/costs",
            "store": "postgresql://ann:s3cret@db/budgets",
            "alert": [{"webhook": "https://ann:s3cret@hooks.example.com/s3cret"}],
        }
    )
    assert "s3cret" not in repr(read)
    assert read.store == "postgresql://ann:s3cret@db/budgets"


def test_a_policy_is_loaded_without_langchain() -> None:
    """Checking a file takes no second: neither LangChain nor LangGraph is imported."""
    program = (
        "import sys\nfrom langchain_agentcost.limits.policy import Policy\nPolicy.load({'preset': 'support'})\n"
        "print({name.partition('.')[0] for name in sys.modules} & {'langchain_core', 'langgraph', 'langsmith'})"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def test_a_refusal_logs_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """Webhooks that are made on the way to a refusal leave no trace in the log."""
    caplog.set_level(logging.DEBUG)
    refusal({"alert": [{"webhook": "https://a.example/", "attempts": 0}]})
    assert caplog.records == []
