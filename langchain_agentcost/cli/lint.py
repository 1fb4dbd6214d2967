"""`langchain-agentcost lint GRAPH|TRACES…`: what the fixed part of prompts wastes, and shorter texts as a diff."""

from __future__ import annotations

import importlib
import json
import re
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Annotated, NamedTuple

import typer
from langchain_core.language_models import BaseChatModel

from langchain_agentcost.caching.embedders import default_embeddings
from langchain_agentcost.cli.prices import PriceFile, reported_errors
from langchain_agentcost.cli.reading import NOTHING, progress
from langchain_agentcost.cli.tables import print_table
from langchain_agentcost.context.lint.finding import Finding, shown
from langchain_agentcost.context.lint.graph import of_graph
from langchain_agentcost.context.lint.linting import Linted
from langchain_agentcost.context.lint.linting import lint as look_at
from langchain_agentcost.context.lint.proposing import Proposal, propose
from langchain_agentcost.context.lint.subject import Subject
from langchain_agentcost.errors import MissingExtra, ReplayError
from langchain_agentcost.finops.amounts import written_usd
from langchain_agentcost.ledger.whole_file import whole_file
from langchain_agentcost.pricing import PriceBook
from langchain_agentcost.replay.linting import subjects
from langchain_agentcost.replay.tariff import Tariffs
from langchain_agentcost.replay.traces import Faults, files_of, read_traces
from langchain_agentcost.tokens import TokenCounter

STRICT = 3
"""The exit code of `--strict` where something was found: not that of nothing to look at, or of a wrong argument."""

_GRAPH = re.compile(r"(?P<module>[^:\n]+):(?P<attribute>[A-Za-z_][\w.]*)")
_UNCHANGED = "The texts are as short as they get without a change of wording."


def register(app: typer.Typer) -> None:
    """Add `lint` to the command line."""
    app.command("lint")(lint)


def lint(  # noqa: PLR0913  # a command has as many arguments as it has options
    given: Annotated[
        list[str],
        typer.Argument(
            metavar="GRAPH|TRACES...",
            help="A compiled graph or agent as module:attribute, or recorded runs: files, or folders of them.",
        ),
    ],
    model: Annotated[str | None, typer.Option(help="The model that prices all; by default each one's own.")] = None,
    prices: PriceFile = None,
    fix: Annotated[bool, typer.Option("--fix", help="Propose shorter texts as a diff. Nothing is written.")] = False,
    rewrite: Annotated[
        str | None,
        typer.Option(metavar="MODEL", help="With --fix: a model that proposes another wording, as init_chat_model."),
    ] = None,
    meaning: Annotated[
        bool, typer.Option("--meaning", help="Find what is said again in other words too, by MiniLM on this machine.")
    ] = False,
    as_json: Annotated[Path | None, typer.Option("--json", help="Write all that was found to this file.")] = None,
    strict: Annotated[bool, typer.Option("--strict", help="End with exit code 3 where anything was found.")] = False,
) -> None:
    """Tell what the fixed part of prompts wastes (tools, system message), in tokens and dollars per 1,000 calls.

    A fixed prefix that the provider's cache serves costs its read rate only; what changes in it costs all that follows.
    """
    with reported_errors():
        _check(given, as_json, model=model, prices=prices)
        if rewrite and not fix:
            raise ReplayError("--rewrite proposes another wording, and needs --fix: give both.")
        rewriter = _rewriter(rewrite) if rewrite else None
        faults = Faults()
        counter, book = TokenCounter(), PriceBook(prices)
        found = _subjects(given, faults, counter, model)
        embeddings = default_embeddings() if meaning else None
        looked = [look_at(one, prices=book, model=model, counter=counter, embeddings=embeddings) for one in found]
        made = [
            _Shown(one, propose(one.subject, prices=book, counter=counter, rewriter=rewriter) if fix else ())
            for one in looked
        ]
        if as_json is not None:
            with whole_file(as_json) as file:
                file.write(json.dumps(_as_dict(made, faults), indent=2).encode("utf-8", "backslashreplace"))
    _tell(made, faults, proposes=fix)
    if not any(one.linted.subject.system or one.linted.subject.tools for one in made):
        raise typer.Exit(NOTHING)
    if strict and any(one.linted.findings for one in made):
        raise typer.Exit(STRICT)


def _tell(made: Sequence[_Shown], faults: Faults, *, proposes: bool) -> None:
    for one in made:
        _print(one, proposes=proposes)
    for fault in faults.named:
        typer.echo(f"left out: {fault}", err=True)


class _Shown(NamedTuple):
    linted: Linted
    proposals: tuple[Proposal, ...]


def _check(given: Sequence[str], as_json: Path | None, *, model: str | None, prices: str | None) -> None:
    """Refuse what cannot be before any work is done."""
    if as_json is not None and any(Path(one).resolve() == as_json.resolve() for one in given):
        raise ReplayError(f"{as_json} is what is read, and would be lost: choose another path.")
    if model is not None:
        Tariffs(PriceBook(prices), model=model)


def _subjects(given: Sequence[str], faults: Faults, counter: TokenCounter, model: str | None) -> tuple[Subject, ...]:
    graphs = [match for one in given if (match := _graph(one)) is not None]
    if graphs and len(given) > 1:
        raise ReplayError(f"{graphs[0][0]} is a graph: lint looks at one graph, or at traces, at a time.")
    if graphs:
        return of_graph(_loaded(graphs[0]["module"], graphs[0]["attribute"]), name=graphs[0][0])
    with progress(files_of(given)) as moved:
        return subjects(read_traces(given, faults, moved=moved), counter=counter, model=model)


def _graph(one: str) -> re.Match[str] | None:
    """Tell a graph from a file: a file that is there is a file, whatever its name."""
    return None if Path(one).exists() else _GRAPH.fullmatch(one)


def _loaded(module: str, attribute: str) -> object:
    """Import a graph as Python does from the current folder; a path of a file is turned into the name of its module.

    A file elsewhere is imported by its path, and finds what stands beside it. Whatever the program raises is told.
    """
    file = Path(module) if module.endswith(".py") else None
    folder = Path.cwd() if file is None or _is_here(file) else file.resolve().parent
    before = list(sys.path)
    sys.path.insert(0, str(folder))
    try:
        found: object = _imported(module, file, folder)
        for part in attribute.split("."):
            found = getattr(found, part)
    except (Exception, SystemExit) as error:
        told = f"{type(error).__name__}: {error}"
        raise ReplayError(f"{module}:{attribute} cannot be imported from {folder}: {told}") from error
    finally:
        sys.path[:] = before
    return found


def _is_here(file: Path) -> bool:
    return file.resolve().is_relative_to(Path.cwd().resolve())


def _imported(module: str, file: Path | None, folder: Path) -> ModuleType:
    if file is None:
        return importlib.import_module(re.sub(r"[/\\]", ".", module.removeprefix("./")))
    named = file.resolve().relative_to(folder.resolve()).with_suffix("")
    return importlib.import_module(".".join(named.parts))


def _rewriter(name: str) -> BaseChatModel:
    if find_spec("langchain") is None:
        raise MissingExtra("langchain", extra="agents", what="--rewrite")
    from langchain.chat_models import init_chat_model  # noqa: PLC0415  # only where a model rewrites

    try:
        made: BaseChatModel = init_chat_model(name)
    except (ImportError, ValueError) as error:
        raise ReplayError(f"--rewrite {name}: {error}") from error
    return made


def _as_dict(made: Sequence[_Shown], faults: Faults) -> dict[str, object]:
    return {
        "subjects": [
            {
                "name": one.subject.name,
                "model": one.subject.model,
                "runs": one.subject.seen.runs if one.subject.seen else None,
                "calls": one.subject.seen.calls if one.subject.seen else None,
                "tools_tokens": one.tools_tokens,
                "system_tokens": one.system_tokens,
                "cached": one.cached,
                "usd_per_1000_calls": shown(one.cost_nano),
                "findings": [finding.to_dict() for finding in one.findings],
                "proposals": [proposal.to_dict() for proposal in proposals],
                "notes": list(one.notes),
            }
            for one, proposals in made
        ],
        "left_out": faults.count,
    }


def _print(one: _Shown, *, proposes: bool) -> None:
    linted = one.linted
    seen = linted.subject.seen
    recorded = f", {seen.runs:,} runs, {seen.calls:,} calls" if seen is not None else ""
    typer.echo(f"{linted.subject.name} ({linted.subject.model or 'model not known'}{recorded})")
    how = "read from the provider's cache" if linted.cached else "billed in full"
    cost = f", {_usd(linted.cost_nano)} per 1,000 calls" if linted.cost_nano is not None else ""
    tokens = linted.tools_tokens + linted.system_tokens
    parts = f"tools {linted.tools_tokens:,}, system message {linted.system_tokens:,}"
    typer.echo(f"{tokens:,} tokens in front of every call ({parts}), {how}{cost}")
    if linted.findings:
        typer.echo("")
        print_table(_COLUMNS, [_row(finding) for finding in linted.findings])
    elif tokens:
        typer.echo("Nothing to find fault with.")
    for finding in linted.findings:
        typer.echo(f"\n{finding.kind}: {finding.title} ({finding.change.value})")
        for line in (*finding.evidence, f"-> {finding.fix}"):
            typer.echo(f"  {line}")
    for note in linted.notes:
        typer.echo(f"note: {note}")
    if proposes:
        _print_proposals(one.proposals)
    typer.echo("")


_COLUMNS = ("finding", "tokens", "$/1,000 calls", "if cached", "if not cached", "what changes")


def _row(finding: Finding) -> tuple[str, ...]:
    return (
        finding.kind,
        f"{finding.tokens:,}",
        _usd(finding.nano),
        _usd(finding.dollars.cached),
        _usd(finding.dollars.uncached),
        finding.change.value,
    )


def _print_proposals(proposals: Sequence[Proposal]) -> None:
    typer.echo("")
    if not proposals:
        typer.echo(_UNCHANGED)
    for one in proposals:
        saved = one.tokens_before - one.tokens_after
        dollars = f"{_usd(one.dollars.cached)} cached, {_usd(one.dollars.uncached)} not cached"
        typer.echo(
            f"{one.what}, {one.change.value}: {one.tokens_before:,} -> {one.tokens_after:,} tokens ({-saved:+,})"
        )
        typer.echo(f"saved per 1,000 calls: {dollars}")
        for note in one.notes:
            typer.echo(note)
        if one.diff:
            typer.echo(one.diff)


def _usd(nano: int | None) -> str:
    return "" if nano is None else written_usd(nano)
