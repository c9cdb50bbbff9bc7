"""`upkeep template`: templates and their bundles."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from upkeep.cli.acting import Desk, pass_desk
from upkeep.cli.printing import Column, Form, Row, form_option, print_row, print_rows
from upkeep.cli.rows import TEMPLATES
from upkeep.domain.errors import BundleError, CallerError
from upkeep.domain.findings import Finding, Severity
from upkeep.domain.versions import VersionState
from upkeep.flows.browse.facts import template_row

if TYPE_CHECKING:
    from upkeep.adapters.jinja import JinjaRenderer
    from upkeep.domain.resources import Outputs
    from upkeep.flows.compose import Composition
    from upkeep.flows.lint import LintedBundle
    from upkeep.flows.rehearse import StandIn

_DRAFTS_SHOWN = 3
_COLOURS = {Severity.ERROR: "red", Severity.WARNING: "yellow", Severity.ADVICE: "blue"}


@click.group()
def template() -> None:
    """Templates and their bundles."""


@template.command()
@click.argument("path", type=click.Path(path_type=Path))
@form_option
@click.pass_context
def lint(context: click.Context, path: Path, form: Form) -> None:
    """Check every bundle at or below PATH. Needs no configuration.

    Exit code 1 when one of them could not be registered, or there is none.
    """
    from upkeep.adapters import folders
    from upkeep.adapters.jinja import JinjaRenderer
    from upkeep.flows.lint import FoundBundle, lint

    around = "/".join(path.resolve().parts[-2:]).lstrip("/")
    found = [
        FoundBundle(place, around if place == "." else f"{around}/{place}", folders.read_bundle(path / place))
        for place in folders.find_bundles(path)
    ]
    with JinjaRenderer() as renderer:
        linted = lint(found, renderer)
    if form in (Form.TABLE, Form.WIDE):
        _print_linted(path, linted)
    columns = [
        Column("BUNDLE", "path"),
        Column("TEMPLATE", "template"),
        Column("MAJOR", "major"),
        Column("KIND", "kind"),
        Column("RESULT", "result"),
    ]
    print_rows([_row(bundle) for bundle in linted], columns, "path", form, f"there is no bundle in {path}")
    if not linted and form not in (Form.TABLE, Form.WIDE):
        click.echo(f"there is no bundle in {path}", err=True)
    if not linted or not all(bundle.good for bundle in linted):
        context.exit(1)


def _row(bundle: "LintedBundle") -> Row:
    return {
        "path": _printable(bundle.path),
        "template": bundle.template,
        "major": bundle.major,
        "kind": bundle.kind,
        "customer_managed": bundle.customer_managed,
        "result": _result(bundle),
        "findings": _finding_rows(bundle.findings),
    }


def _finding_rows(findings: Sequence[Finding]) -> list[Row]:
    return [
        {
            "severity": finding.severity,
            "slug": finding.slug,
            "message": finding.message,
            "path": finding.path,
            "line": finding.line,
            "cure": finding.cure,
        }
        for finding in findings
    ]


def _result(bundle: "LintedBundle") -> str:
    counted = {severity: sum(finding.severity is severity for finding in bundle.findings) for severity in Severity}
    said = [f"{count} {severity}{'s' * (count != 1)}" for severity, count in counted.items() if count]
    return ", ".join(said) or "good"


def _print_linted(path: Path, linted: "tuple[LintedBundle, ...]") -> None:
    for bundle in linted:
        for finding in bundle.findings:
            _print_finding(finding.under(_printable(str(path))))
    if any(bundle.findings for bundle in linted):
        click.echo()


def _print_finding(finding: Finding) -> None:
    severity = click.style(f"{finding.severity}:", fg=_COLOURS[finding.severity])
    click.echo(f"{finding.where}: {severity} {finding.message}")
    if finding.cure:
        click.echo(f"  fix: {finding.cure}")


def _printable(path: str) -> str:
    from upkeep.domain import bundles

    return bundles.printable(path)


@template.command()
@click.argument("bundle_dir", type=click.Path(path_type=Path))
@click.option(
    "--spec", "spec_path", required=True, type=click.Path(path_type=Path), help="The spec to take inputs from."
)
@click.option(
    "--environment-outputs",
    "outputs_path",
    type=click.Path(path_type=Path),
    help="Outputs to render with: `Name: value` lines, or such lines below `environment:` and `service:`.",
)
@click.option(
    "--part",
    type=click.Choice(["instance", "pipeline", "environment"]),
    help="What to render; otherwise the environment, or the instance of a service.",
)
@click.option("--instance", help="Which instance of the spec; otherwise the first.")
@click.option("--account-id", help="The AWS account of the environment; otherwise 111111111111.")
@click.option(
    "--context", "show_namespace", is_flag=True, help="Print the names and values it is rendered with as JSON."
)
def render(
    bundle_dir: Path,
    spec_path: Path,
    outputs_path: Path | None,
    part: str | None,
    instance: str | None,
    account_id: str | None,
    show_namespace: bool,
) -> None:
    """Render a template of the bundle in BUNDLE_DIR with a spec. Needs no configuration.

    What only a deployed resource would have, such as a service's name and repository, has a stand-in.
    """
    from upkeep.adapters import folders
    from upkeep.adapters.jinja import JinjaRenderer
    from upkeep.domain import bundles
    from upkeep.domain.parts import Part
    from upkeep.flows import rehearse

    outputs = rehearse.NO_OUTPUTS
    if outputs_path is not None:
        outputs = rehearse.parse_outputs(_text(outputs_path, "outputs"), str(outputs_path))
    with JinjaRenderer() as renderer, _below(bundle_dir, alone=outputs_path is None):
        rehearsal = rehearse.rehearse(
            bundles.inspect(folders.read_bundle(bundle_dir)),
            _text(spec_path, "spec"),
            str(spec_path),
            part=Part(part) if part else None,
            instance=instance,
            account_id=account_id or rehearse.ACCOUNT_ID,
            outputs=outputs,
            stand_in=_made_up_outputs(renderer),
        )
        for name in rehearsal.ignored:
            click.echo(f"warning: the schema does not know `{name}`, it is ignored", err=True)
        composition = rehearsal.composition
        if show_namespace:
            _write(json.dumps(composition.namespace, indent=2, ensure_ascii=False) + "\n")
        else:
            _write(renderer.render(composition.template, composition.namespace))


def _made_up_outputs(renderer: "JinjaRenderer") -> "StandIn":
    """Outputs of instances as the local provisioner makes them up; none for an instance that cannot be rendered."""
    from upkeep.adapters.local.stack import outputs_of

    def made_up(composition: "Composition", name: str) -> "Outputs":
        template = composition.template
        try:
            return outputs_of(renderer.render(template, composition.namespace), template.path, name)
        except (BundleError, CallerError) as fault:
            click.echo(f"warning: instance {name} has no outputs: {fault}", err=True)
            return {}

    return made_up


@contextmanager
def _below(folder: Path, *, alone: bool) -> Iterator[None]:
    """What is wrong with a bundle is told with the path as it was typed. `alone`: no outputs were given with it."""
    try:
        yield
    except BundleError as fault:
        if alone and "`environment.outputs." in fault.message:
            fault.cure = "give the outputs of the environment by --environment-outputs FILE"
        fault.where = str(folder / fault.where) if fault.where else str(folder)
        raise


def _text(path: Path, what: str) -> str:
    from upkeep.domain import documents

    try:
        with path.open("rb") as file:
            content = file.read(documents.MAX_CHARACTERS + 1)
    except OSError as fault:
        raise CallerError(f"the {what} cannot be read: {fault.strerror}", where=str(path)) from fault
    return documents.decode(content, str(path))


def _write(text: str) -> None:
    """Write to stdout in UTF-8, byte for byte."""
    click.echo(text.encode(), nl=False)


@template.command()
@click.argument("git_dir", type=click.Path(path_type=Path))
@click.option("--branch", help="The branch to follow; otherwise the one of HEAD.")
@click.option("--until", metavar="SHA", help="The last commit to look at, in place of a branch.")
@click.option("--since", metavar="SHA", help="The commit whose folders are N.0; otherwise the first that holds each.")
@click.option("--path", metavar="DIR/v1", help="The one version folder to follow; otherwise all.")
@form_option
def replay(
    git_dir: Path, branch: str | None, until: str | None, since: str | None, path: str | None, form: Form
) -> None:
    """Number version folders along the history of the repository in GIT_DIR, as its syncs would have done.

    Every first-parent commit that changes a version folder makes the next minor. A --since that is not on the
    first-parent line is compared with the end as a whole: at most one minor for each folder. Reads the repository only.
    """
    from upkeep.adapters.git import open_local
    from upkeep.adapters.jinja import JinjaRenderer
    from upkeep.flows.replay import misplaced, replay

    if branch is not None and until is not None:
        raise click.UsageError("give --branch or --until, not both")
    with open_local(git_dir) as mirror, JinjaRenderer() as renderer:
        last = (
            mirror.branch(branch) if branch is not None else mirror.resolve(until) if until is not None else mirror.head
        )
        first = mirror.resolve(since) if since is not None else None
        versions = replay(mirror, renderer, until=last, since=first, path=path)
        warnings = misplaced(mirror, last) if path is None else ()
        shallow = mirror.shallow
    if shallow:
        click.echo("warning: this is a shallow clone: what is older than its oldest commit is not counted", err=True)
    for finding in warnings:
        click.echo(f"warning: {finding.where}: {finding.message}", err=True)
    rows = [
        {
            **({"path": version.path} if path is None else {}),
            "version": str(version.version),
            "commit": version.commit,
            "tree": version.tree,
            "status": version.state,
            "findings": _finding_rows(version.findings),
            "short": version.commit[:12],
            "remarks": len(version.findings) or None,
        }
        for version in versions
    ]
    if form in (Form.JSON, Form.YAML):
        rows = [{key: value for key, value in row.items() if key not in ("short", "remarks")} for row in rows]
    columns = [
        *([Column("FOLDER", "path")] if path is None else []),
        Column("VERSION", "version"),
        Column("COMMIT", "short"),
        Column("TREE", "tree", wide=True),
        Column("STATUS", "status"),
        Column("FINDINGS", "remarks"),
    ]
    print_rows(rows, columns, "version", form, f"no commit of {git_dir} holds a version folder")


@template.command("list")
@form_option
@pass_desk
def list_templates(desk: Desk, form: Form) -> None:
    """List all templates, what is recommended, and how many resources are behind it."""
    from upkeep.flows.browse import registry

    with desk.reading() as unit:
        rows = [
            template_row(row.template, [str(draft) for draft in row.drafts], row.counters)
            for row in registry.templates(unit)
        ]
    if form in (Form.TABLE, Form.WIDE):
        rows = [{**row, "newest_drafts": _newest(row["drafts"])} for row in rows]
    print_rows(rows, TEMPLATES, "name", form, "No templates yet. They come with a source: upkeep source add NAME URL")


def _newest(drafts: Sequence[str]) -> str:
    """The drafts as a table has room for them, newest first."""
    more = len(drafts) - _DRAFTS_SHOWN
    return ", ".join(drafts[:_DRAFTS_SHOWN]) + (f" and {more} more" if more > 0 else "")


@template.command()
@click.argument("name")
@form_option
@pass_desk
def get(desk: Desk, name: str, form: Form) -> None:
    """Show one template."""
    from upkeep.flows.browse import registry

    with desk.reading() as unit:
        view = registry.template(unit, name)
    drafts = [str(row.version.version) for row in view.versions if row.version.state is VersionState.DRAFT]
    row = template_row(view.template, drafts, view.counters)
    row["versions"] = [str(each.version.version) for each in view.versions]
    row["majors"] = [
        f"{major.major}: {major.path}" + (", source removed" if major.removed_at else "") for major in view.majors
    ]
    print_row(row, "name", form)
