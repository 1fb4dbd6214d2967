"""Checks of a cheap tier's answer. None of them goes by length or punctuation: that is a coin toss."""
