"""Public names that are imported when they are first used: whoever needs one of them loads nothing of the others."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def lazy(package: str, homes: Mapping[str, str]) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Give a package's `__getattr__` and `__dir__` (PEP 562).

    Args:
        package: Its name. Its `__all__` is what `dir` lists.
        homes: In which module of it a name is; a module of this distribution's root begins with its name in full.

    Example:
        >>> get, _ = lazy("langchain_agentcost", {"to_nano": "money"})
        >>> get("to_nano").__name__
        'to_nano'
    """

    def get(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        home = homes[name]
        found = getattr(import_module(home if home.startswith(_ROOT) else f"{package}.{home}"), name)
        setattr(sys.modules[package], name, found)
        return found

    def listed() -> list[str]:
        return list(sys.modules[package].__all__)

    return get, listed


_ROOT = f"{__name__.partition('.')[0]}."
