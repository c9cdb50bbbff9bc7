"""Lint: everything there is to say about bundles before they are pushed, as a sync would find it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from upkeep.domain.bundles import Bundle, printable
from upkeep.domain.changes import MARKERS, Layout, version_folder
from upkeep.domain.findings import Finding, has_errors
from upkeep.domain.versions import TemplateKind
from upkeep.flows.examine import examine
from upkeep.flows.ports import Renderer

_ACCEPTED_HERE = frozenset({"bundle-without-version"})
"""What is wrong in a source and right on a desk: a bundle that no version folder holds yet."""


@dataclass(frozen=True, slots=True)
class FoundBundle:
    """A bundle to lint. `path` is relative to what was asked for, `home` the same place with the names of the
    folders around it, so that `<template>/v1` can be seen."""

    path: str
    home: str
    bundle: Bundle


@dataclass(frozen=True, slots=True)
class LintedBundle:
    """What is to say about one bundle. `template` and `major` are None outside of a version folder; findings have
    paths relative to what was asked for."""

    path: str
    template: str | None
    major: int | None
    kind: TemplateKind | None
    customer_managed: bool
    findings: tuple[Finding, ...]

    @property
    def good(self) -> bool:
        """Whether it can be registered."""
        return not has_errors(self.findings)


def lint(found: Sequence[FoundBundle], renderer: Renderer) -> tuple[LintedBundle, ...]:
    """Inspect bundles, their templates and their places, in the order they came."""
    places = _place_findings(found)
    linted = []
    for one in found:
        inspection = examine(one.bundle, renderer)
        folder = "" if one.path == "." else one.path
        findings = (*places.get(one.home, ()), *(finding.under(folder) for finding in inspection.findings))
        parsed = version_folder(one.home)
        linted.append(
            LintedBundle(
                path=one.path,
                template=parsed.key.template if parsed else None,
                major=parsed.key.major if parsed else None,
                kind=inspection.kind,
                customer_managed=inspection.customer_managed,
                findings=findings,
            )
        )
    return tuple(linted)


def _place_findings(found: Sequence[FoundBundle]) -> Mapping[str, tuple[Finding, ...]]:
    """What is wrong with the places of bundles, by their homes: names claimed twice, majors inside majors."""
    homes = {one.home: one for one in found}
    folders: dict[str, str] = {}
    for one in found:
        folders[one.home] = one.bundle.tree
        tops = {file.path.split("/")[0] for file in one.bundle.files if "/" in file.path}
        folders |= {f"{one.home}/{top}": "" for top in tops & MARKERS}
    placed: dict[str, tuple[Finding, ...]] = {}
    for finding in Layout(folders).findings():
        home = next((home for home in homes if home == finding.path or home.startswith(f"{finding.path}/")), None)
        if home is None or finding.slug in _ACCEPTED_HERE:
            continue
        said = Finding(finding.severity, finding.slug, finding.message, printable(homes[home].path), None, finding.cure)
        placed[home] = (*placed.get(home, ()), said)
    return placed
