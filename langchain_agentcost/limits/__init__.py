"""Budgets and circuit breakers: limits that hold before a call is made."""
