"""Policies: each says which tier a call goes to, by what it goes by; most take another one to stand around."""
