from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_agentcost.limits.signature import signed, verify

KEY = bytes(range(32))
SECRET = "whsec_" + base64.b64encode(KEY).decode()
NOW = 1_800_000_000.0


def headers_at(age_s: float, body: bytes = b"{}") -> dict[str, str]:
    """The headers of a message of some age."""
    return signed(KEY, body, message_id="msg_1", at_s=int(NOW - age_s))


def test_old_and_early_messages_are_refused() -> None:
    """A message is believed within five minutes of its attempt, either way, or as long as the receiver says."""
    ages = (-301, -300, 0, 300, 301)
    assert [verify(SECRET, headers_at(age), b"{}", now_s=NOW) for age in ages] == [False, True, True, True, False]
    assert verify(SECRET, headers_at(3600), b"{}", tolerance_s=4000, now_s=NOW)


def test_one_of_several_signatures_is_enough() -> None:
    """While secrets change a message has a signature for each; other versions of signatures are passed over."""
    headers = headers_at(0)
    headers["webhook-signature"] = f"v1a,AAAA v1,AAAA {headers['webhook-signature']}"
    assert verify(SECRET, {name.title(): value for name, value in headers.items()}, b"{}", now_s=NOW)


@pytest.mark.parametrize("missing", ["webhook-id", "webhook-timestamp", "webhook-signature"])
def test_a_message_without_a_header_is_refused(missing: str) -> None:
    """All three headers are needed."""
    assert not verify(SECRET, {k: v for k, v in headers_at(0).items() if k != missing}, b"{}", now_s=NOW)


@given(
    where=st.sampled_from(["webhook-id", "webhook-timestamp", "webhook-signature", "body"]),
    text=st.text(max_size=40),
)
def test_whatever_is_changed_is_noticed(where: str, text: str) -> None:
    """No message is believed of which anything was changed, and none raises."""
    headers, body = headers_at(0), b"{}"
    if where == "body":
        body = text.encode()
    else:
        headers[where] = text
    assert not verify(SECRET, headers, body, now_s=NOW) or text == "{}"


def test_a_secret_may_be_any_long_text() -> None:
    """A secret that is not the standard's is the key itself."""
    words = "a long enough text of our own making"
    headers = signed(words.encode(), b"{}", message_id="msg_1", at_s=int(NOW))
    assert verify(words, headers, b"{}", now_s=NOW)
    assert not verify(f"{words}!", headers, b"{}", now_s=NOW)
