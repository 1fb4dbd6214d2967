"""Fewer tokens for the same text: first what loses nothing, then what the question does not need.

Everything here is a function of its text alone, the same each time: what goes into a prompt once is never rewritten.
"""
