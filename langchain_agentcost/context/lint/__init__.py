"""Lint: what a prompt's fixed part wastes, in tokens and dollars, and how to say it shorter."""
