"""Unified diffs without what they say twice."""

from __future__ import annotations

import re


def is_diff(text: str) -> bool:
    r"""Tell whether a text is a unified diff: a header of a file, and a hunk.

    Example:
        >>> is_diff("--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b\n"), is_diff("--- a")
        (True, False)
    """
    return bool(_FILE.search(text) and _HUNK.search(text))


def trimmed(text: str) -> str | None:
    r"""Drop git's first line of a file where the next two name the same file: a patch still applies without it.

    The lines of context stay: a patch needs them, and so does who reads it.

    Returns:
        The shorter text; None where there is nothing to drop.

    Example:
        >>> trimmed("diff --git a/x.py b/x.py\n--- a/x.py\n+++ b/x.py\n@@ -1 +1 @@\n-a\n+b\n")
        '--- a/x.py\n+++ b/x.py\n@@ -1 +1 @@\n-a\n+b\n'
    """
    small = _SAID_TWICE.sub(r"\3", text)
    return small if len(small) < len(text) else None


_FILE = re.compile(r"^--- \S.*\n\+\+\+ \S", re.MULTILINE)
_HUNK = re.compile(r"^@@ -\d+(?:,\d+)? \+\d+(?:,\d+)? @@", re.MULTILINE)
_SAID_TWICE = re.compile(
    r"^diff --git (a/\S+) (b/\S+)\n((?:index \S+(?: \d+)?\n)?--- \1\t?\n\+\+\+ \2\t?\n)", re.MULTILINE
)
