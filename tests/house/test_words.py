import ast
import re
from pathlib import Path

import pytest

from tests.house.rooms import ROOT, modules

VAGUE = {"utils", "util", "helpers", "helper", "common", "base", "manager", "managers", "handler", "handlers", "misc"}

SPEAK_FOR_THEMSELVES = ("upkeep.domain.events", "upkeep.adapters.store.migrations.")
"""Modules whose own docstring says everything: many small classes with telling names, and single functions that
must be called `upgrade`."""

PROSE = ("*.py", "*.md", "*.cfg", "*.toml", "*.yaml", "*.yml", "*.html", "*.css", "*.js", "*.mako", "Makefile", "run")
ELSEWHERE = {
    "a number of an issue": re.compile(r"\bissues?\s+(no\.?\s*)?#?\d+", re.IGNORECASE),
    "a path of one machine": re.compile(r"/(?:work|root|home)/\w"),
    "something that is still to do": re.compile(r"\b(?:TODO|FIXME|XXX|HACK)\b"),
    "a neighbouring folder": re.compile(r"\.\./shared"),
}


def documents() -> list[Path]:
    folders = [ROOT / name for name in ("daemon", "tests", "config", "deploy", "docs", ".ci")]
    found = [path for folder in folders for pattern in PROSE for path in folder.rglob(pattern) if path.is_file()]
    found += [path for pattern in PROSE for path in ROOT.glob(pattern) if path.is_file()]
    return sorted(path for path in found if path != Path(__file__))


def own_names(module: ast.Module) -> set[str]:
    """The classes a module defines or imports from another of our modules, without the families of errors."""
    names = {node.name for node in ast.walk(module) if isinstance(node, ast.ClassDef)}
    for node in ast.walk(module):
        if isinstance(node, ast.ImportFrom) and (node.level or (node.module or "").partition(".")[0] == "upkeep"):
            names |= {alias.asname or alias.name for alias in node.names}
    errors = modules()["upkeep.domain.errors"]
    return names - {node.name for node in errors.body if isinstance(node, ast.ClassDef)}


def test_no_module_has_a_name_that_says_nothing():
    assert [name for name in modules() if VAGUE & set(name.split("."))] == []


def test_only_errors_inherit_from_classes_of_our_own():
    heirs = [
        f"{name}.{node.name}"
        for name, module in modules().items()
        for node in ast.walk(module)
        if isinstance(node, ast.ClassDef)
        and any(ast.unparse(base).partition("[")[0].partition(".")[0] in own_names(module) for base in node.bases)
    ]
    assert not heirs, "\n".join(heirs)


def test_public_things_say_what_they_mean():
    silent = [
        f"{name}.{node.name}"
        for name, module in modules().items()
        if not name.startswith(SPEAK_FOR_THEMSELVES)
        for node in module.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        and not node.name.startswith("_")
        and ast.get_docstring(node) is None
    ]
    assert not silent, "\n".join(silent)


def test_every_module_begins_with_what_it_is_for():
    assert [name for name, module in modules().items() if module.body and ast.get_docstring(module) is None] == []


@pytest.mark.parametrize("what", ELSEWHERE)
def test_nothing_speaks_of_what_a_reader_does_not_have(what):
    said = []
    for path in documents():
        place = path.relative_to(ROOT).as_posix()
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            if ELSEWHERE[what].search(line):
                said.append(f"{place}:{number}: {line.strip()[:100]}")
    assert not said, "\n".join(said)
