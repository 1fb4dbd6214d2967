from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from langchain_agentcost.errors import BudgetError, StoreUnavailable
from langchain_agentcost.limits.approvals import Approval, answer, ask, find, forget, pending
from langchain_agentcost.limits.holds import Account, BudgetStore, Line, Window
from langchain_agentcost.limits.memory import MemoryBudgetStore
from langchain_agentcost.limits.store import open_store

SCOPE = "session budget:usd|session=t1"
LIMIT = 5_000_000_000


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[BudgetStore]:
    """A new store of each kind."""
    url = "memory://" if request.param == "memory" else f"sqlite:///{tmp_path / 'costs.budgets.db'}"
    opened = open_store(url)
    yield opened
    opened.close()


@pytest.fixture
def file(tmp_path: Path) -> Iterator[BudgetStore]:
    """A new store in a file, which other processes can open."""
    opened = open_store(f"sqlite:///{tmp_path / 'costs.budgets.db'}")
    yield opened
    opened.close()


def question(**changes: Any) -> Approval:
    """A question about a session whose budget is used up."""
    asked = Approval(
        id="q1",
        scope=SCOPE,
        window="total",
        unit="usd",
        title="session budget",
        thread="t1",
        run="r1",
        message="The session budget of $5 has no room for this call.",
        limit=LIMIT,
        spent=LIMIT,
        needed=1_000,
        resume="graph.invoke(Command(resume='approve'), …)",
        asked_at=datetime.now(UTC),
    )
    return replace(asked, **changes)


def used_up(store: BudgetStore, scope: str = SCOPE, limit: int = LIMIT, window: Window = "total") -> None:
    """Spend an account's limit."""
    store.reserve(f"all of {scope}", [Line(scope, limit, limit, window=window)])
    store.settle(f"all of {scope}", [limit])


def account(store: BudgetStore, scope: str = SCOPE) -> Account:
    """The account as it stands."""
    (found,) = store.accounts([(scope, "total")])
    return found


def test_a_question_is_kept_as_it_was_asked(store: BudgetStore) -> None:
    """What was asked is found again, and pending."""
    asked = ask(store, question())
    assert find(store, "q1") == asked == question(asked_at=asked.asked_at)
    assert pending(store) == (asked,)
    assert find(store, "q2") is None


def test_asking_again_gives_what_stands(store: BudgetStore) -> None:
    """A call that is run again finds the answer, and never asks a second time."""
    first = ask(store, question())
    assert ask(store, question(message="again")) == first
    denied = answer(store, "q1", "deny")
    assert ask(store, question()) == denied
    assert denied.status == "denied"
    assert pending(store) == ()


def test_approving_grants_the_limit_once_more(store: BudgetStore) -> None:
    """The account has room for its limit again, however often the answer is given or read."""
    used_up(store)
    ask(store, question())
    approved = answer(store, "q1", "approve")
    assert (approved.status, approved.raise_by) == ("approved", LIMIT)
    assert answer(store, "q1", "approve", raise_by=7) == approved
    assert find(store, "q1") == approved
    assert (account(store).raised, account(store).headroom) == (LIMIT, LIMIT)


def test_approving_twice_in_a_session_adds_the_same_again(store: BudgetStore) -> None:
    """The second question names the raised limit; what is granted is the budget's own limit, not the double."""
    used_up(store)
    for number in (1, 2, 3):
        ask(store, question(id=f"q{number}", limit=account(store).cap, spent=account(store).spent))
        answer(store, f"q{number}", "approve")
    assert account(store).raised == 3 * LIMIT


def test_approving_makes_room_for_a_call_that_is_larger_than_the_limit(store: BudgetStore) -> None:
    """A person who approves is not asked about the same call again."""
    used_up(store)
    ask(store, question(needed=3 * LIMIT))
    answer(store, "q1", "approve")
    assert account(store).headroom == 3 * LIMIT


def test_a_person_chooses_the_amount(store: BudgetStore) -> None:
    """The limit is raised by what was said."""
    used_up(store)
    ask(store, question())
    raised = answer(store, "q1", "approve", raise_by=2_000)
    assert (raised.status, raised.raise_by) == ("raised", 2_000)
    assert account(store).raised == 2_000


def test_denying_raises_nothing(store: BudgetStore) -> None:
    """The limit stays, and a later approval comes too late."""
    used_up(store)
    ask(store, question())
    answer(store, "q1", "deny", raise_by=2_000)
    assert answer(store, "q1", "approve").status == "denied"
    assert account(store).raised == 0


def test_a_limit_of_nothing_can_be_raised(store: BudgetStore) -> None:
    """Approving adds what the call needs, and what is paid again on the way back to it."""
    store.reserve("h", [Line(SCOPE, 0, 0)])
    ask(store, question(limit=0, needed=7, again=3))
    assert answer(store, "q1", "approve").raise_by == 10
    assert account(store).cap == 10


def test_approving_at_a_threshold_raises_nothing(store: BudgetStore) -> None:
    """Where no limit was reached the call goes on, and the limit stays."""
    used_up(store)
    ask(store, question(limit=0, needed=0))
    approved = answer(store, "q1", "approve")
    assert (approved.status, approved.raise_by) == ("approved", None)
    assert account(store).raised == 0


def test_a_breaker_has_no_limit_to_raise(store: BudgetStore) -> None:
    """An amount means nothing there: the answer is a plain approval."""
    ask(store, question(scope="run=r1", unit="", limit=0))
    approved = answer(store, "q1", "approve", raise_by=5)
    assert (approved.status, approved.raise_by) == ("approved", None)


def test_of_many_who_answer_at_once_one_wins(store: BudgetStore) -> None:
    """All are given the same answer, and the limit is raised by it once."""
    used_up(store)
    ask(store, question())
    with ThreadPoolExecutor(8) as people:
        answers = set(people.map(lambda amount: answer(store, "q1", "approve", raise_by=amount), range(1, 33)))
    (stands,) = answers
    assert account(store).raised == stands.raise_by


def test_a_raise_is_made_up_for_where_a_process_died_before_it(file: BudgetStore) -> None:
    """A process that dies between answer and raise leaves the raise to whoever looks next, who makes it once."""
    used_up(file)
    ask(file, question())
    killed = run(
        """
        import os
        def die(*args, **kwargs):
            os._exit(9)
        type(store).raise_limit = die
        answer(store, "q1", "approve", raise_by=70)
        """,
        file,
    )
    assert killed.returncode == 9
    assert account(file).raised == 0
    assert [find(file, "q1"), ask(file, question())] == [answer(file, "q1", "deny")] * 2
    assert account(file).raised == 70


def test_a_raise_is_not_made_again_where_a_process_died_after_it(file: BudgetStore) -> None:
    """A process that dies right after the raise has made it for good."""
    used_up(file)
    ask(file, question())
    killed = run(
        """
        import os
        raise_limit = type(store).raise_limit
        def die(*args, **kwargs):
            raise_limit(*args, **kwargs)
            os._exit(9)
        type(store).raise_limit = die
        answer(store, "q1", "approve", raise_by=70)
        """,
        file,
    )
    assert killed.returncode == 9
    assert find(file, "q1") == answer(file, "q1", "approve")
    assert account(file).raised == 70


def test_another_process_answers_while_this_one_waits(file: BudgetStore) -> None:
    """The process that asked sees the answer and the room that it made."""
    used_up(file)
    ask(file, question())
    other = subprocess.Popen([sys.executable, "-c", program('answer(store, "q1", "approve")', file)])
    until = time.monotonic() + 60
    while pending(file) and time.monotonic() < until:
        time.sleep(0.01)
    seen = find(file, "q1")
    assert seen is not None
    assert seen.status == "approved"
    assert account(file).headroom == LIMIT
    assert other.wait(60) == 0
    assert account(file).headroom == LIMIT


def test_a_window_that_is_over_is_not_raised() -> None:
    """An answer that comes the next day leaves the new day's limit as it is."""
    now = datetime.now(UTC)
    at = [now.timestamp()]
    store = MemoryBudgetStore(clock=lambda: at[0])
    used_up(store, window="day")
    ask(store, question(window="day", asked_at=now))
    ask(store, question(id="q2", window="day", asked_at=now))
    at[0] += 24 * 3600
    assert answer(store, "q1", "approve").status == "approved"
    store.reserve("next day", [Line(SCOPE, LIMIT, 1, window="day")])
    assert answer(store, "q2", "approve", raise_by=5).status == "raised"
    assert [a.raised for a in store.accounts()] == [0]


def test_a_raise_of_todays_window_is_for_today() -> None:
    """An account of a day is raised where it was asked about on that day."""
    store = MemoryBudgetStore()
    used_up(store, window="day")
    ask(store, question(window="day"))
    answer(store, "q1", "approve", raise_by=5)
    assert [a.raised for a in store.accounts()] == [5]


def test_pending_questions_come_oldest_first(store: BudgetStore) -> None:
    """Several may wait at once."""
    now = datetime.now(UTC)
    for number, age_s in enumerate((5, 9, 7, 1)):
        ask(store, question(id=f"q{number}", asked_at=now - timedelta(seconds=age_s)))
    answer(store, "q2", "deny")
    assert [asked.id for asked in pending(store)] == ["q1", "q0", "q3"]


def test_old_answers_are_forgotten_and_questions_are_not(store: BudgetStore) -> None:
    """What is answered goes with every trace of it; what waits stays, however old."""
    used_up(store)
    long_ago = datetime.now(UTC) - timedelta(days=400)
    for number in (1, 2):
        ask(store, question(id=f"q{number}", asked_at=long_ago))
    answer(store, "q1", "approve")
    assert forget(store, older_than_s=3600) == 0
    assert forget(store, older_than_s=0) == 1
    assert find(store, "q1") is None
    assert [asked.id for asked in pending(store)] == ["q2"]
    assert set(store.notes("")) == {"approval:q2"}
    assert account(store).raised == LIMIT


def test_texts_are_fit_for_a_terminal(store: BudgetStore) -> None:
    """Control characters do not reach the person who reads, and texts have an end."""
    asked = ask(store, question(message="red\x1b[31m" + "x" * 10_000, thread="t\n1", title="a\x00b", run=None))
    assert asked.message.startswith("red [31mxxx")
    assert len(asked.message) == 2_000
    assert (asked.thread, asked.title, asked.run) == ("t 1", "a b", None)
    assert find(store, "q1") == asked


def test_an_answer_to_nothing_is_refused(store: BudgetStore) -> None:
    """An unknown id and an unknown decision are told apart."""
    with pytest.raises(LookupError, match="no approval 'q1'"):
        answer(store, "q1", "approve")
    ask(store, question())
    with pytest.raises(BudgetError, match="not 'maybe'"):
        answer(store, "q1", "maybe")  # type: ignore[arg-type]
    assert len(pending(store)) == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [("{", "cannot be read"), ("[]", "cannot be read"), ("{}", "cannot be read"), ("done", "does not know")],
)
def test_a_note_that_is_no_approval_is_named(store: BudgetStore, text: str, said: str) -> None:
    """Another version's or a broken note is an error, never an answer."""
    ask(store, question())
    kept = store.note("approval:q1") or ""
    store.set_note("approval:q1", kept.replace('"pending"', '"done"') if text == "done" else text, expected=kept)
    with pytest.raises(StoreUnavailable, match=said):
        find(store, "q1")


def test_a_newer_versions_field_is_left_alone(store: BudgetStore) -> None:
    """A note with more than this version knows can be read."""
    asked = ask(store, question())
    kept = store.note("approval:q1") or ""
    store.set_note("approval:q1", kept.replace("{", '{"urgency": 3, ', 1), expected=kept)
    assert find(store, "q1") == asked


def program(code: str, store: BudgetStore) -> str:
    """A program that opens the same store."""
    lines = code.splitlines()
    indent = min((len(line) - len(line.lstrip()) for line in lines if line.strip()), default=0)
    return "\n".join(
        [
            "from langchain_agentcost.limits.approvals import answer",
            "from langchain_agentcost.limits.store import open_store",
            f"store = open_store({store.url!r}, create=False)",
            *(line[indent:] for line in lines),
        ]
    )


def run(code: str, store: BudgetStore) -> subprocess.CompletedProcess[bytes]:
    """Run a program that opens the same store, to its end."""
    return subprocess.run([sys.executable, "-c", program(code, store)], check=False, timeout=60)
