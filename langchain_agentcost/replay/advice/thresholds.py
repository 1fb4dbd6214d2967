"""When something is a finding, and when a saving is worth it: every threshold, with its reason.

None of them was fitted to a set of traces: each is a statement about what a figure means.
"""

from __future__ import annotations

SMALL_PCT = 2.0
"""A saving below this share of the bill is small: the replay's own error is about as large (its simulated share of
cached input was within 1.5 points of what providers reported), and a change to an agent costs more than that."""

MIRAGE_FACTOR = 3.0
"""A saving is a mirage where it is so many times larger without prompt caching than with it: most of what it takes out
of the prompt would have been read from the cache at a fraction of the price."""

UNHIT_SHARE = 0.5
"""The prompt cache counts as not hit where it served less than this share of what its terms promise. Caches that work
unasked also miss now and then, as requests come to another machine; less than half is no such accident."""

VOLATILE_SHARE = 0.1
"""A part of the prompt is volatile where it changes again and again (`prefix.RECURRING_TIMES`), and in a tenth of the
calls that follow another one: more seldom it is somebody who edits a prompt or goes back in a conversation."""

FAILED_PCT = 20.0
"""Failed runs are a finding where a dollar in five went into them: below it, agents that are asked hard things fail."""

DOMINANT_SHARE = 1 / 3
"""Tool results dominate where they are the largest of the five parts of what is sent, and at least a third of it."""

UNUSED_SHARE = 0.05
"""Unused tools are a finding where their descriptions are a twentieth of all input: with prompt caching that is about
half a percent of the bill, and below it not even a bill without caching would show it."""

OUTPUT_SHARE = 0.5
"""Output is the main cost where it is more than half of the bill with prompt caching on."""

OUTPUT_CUT = 0.1
"""What shorter answers are reckoned with: a tenth. How much shorter they can be is not in the recording."""

SUPERLINEAR = 1.5
"""Growth is a finding where the exponent is surely above this. Of n calls that are sent s tokens each, plus what has
piled up, g a call, the total is s n + g n^2 / 2; its exponent at n is 1 plus the share that has piled up. So above 1.5
more than half of what is sent has piled up, and below it the prompt's fixed part is the larger one."""

FIT_RUNS = 10
"""An exponent is fitted from so many runs on: with fewer its interval is as wide as the question."""

FIT_SPREAD = 2.0
"""And only where the longest run has so many times the calls of the shortest: through one point goes any line."""

REPEATED_RESPONSES = 0.05
"""Exact repetition of prompts is a finding from this share of the calls on: agents' prompts hold ids, times and
results, so ordinary traffic has hardly any, and less than this does not pay for a cache that can be wrong."""

REPEATED_READS = 0.1
"""Reads of tools that another task has made before, likewise: they save time and tool fees, and no token."""

COMMON_TASKS = 5
"""Two models are compared where so many tasks were given to both."""
