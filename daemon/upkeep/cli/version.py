"""`upkeep version`: versions of templates; alone, the version of this program."""

import click

from upkeep.cli.acting import Desk, pass_desk
from upkeep.cli.printing import Form, form_option, print_row, print_rows
from upkeep.cli.rows import VERSIONS
from upkeep.flows.browse.facts import version_row


@click.group(invoke_without_command=True)
@click.pass_context
def version(context: click.Context) -> None:
    """Versions of templates. Without a verb, print the version of upkeep itself."""
    if context.invoked_subcommand is None:
        from importlib.metadata import version as installed

        click.echo(f"upkeep {installed('upkeep')}")


@version.command("list")
@click.argument("template")
@click.option("--major", type=click.IntRange(0), help="Only versions of this major.")
@form_option
@pass_desk
def list_versions(desk: Desk, template: str, major: int | None, form: Form) -> None:
    """List the versions of a template, newest first."""
    with desk.reading() as unit:
        family = unit.registry.template(template)
        in_use = unit.registry.in_use(family.name)
        rows = [version_row(found, family, in_use) for found in unit.registry.versions(family.name, major)]
    print_rows(rows, VERSIONS, "version", form, f"{template} has no versions.")


@version.command()
@click.argument("template")
@click.argument("number", metavar="VERSION")
@form_option
@pass_desk
def get(desk: Desk, template: str, number: str, form: Form) -> None:
    """Show one version, with every finding of its registration."""
    from upkeep.domain.names import parse_version

    with desk.reading() as unit:
        family = unit.registry.template(template)
        found = unit.registry.version(family.name, parse_version(number))
        row = version_row(found, family, unit.registry.in_use(family.name))
    if form in (Form.TABLE, Form.WIDE):
        row["findings"] = [str(finding) for finding in found.findings]
    print_row(row, "version", form)


@version.command()
@click.argument("template")
@click.argument("number", metavar="VERSION")
@click.option("--against", metavar="VERSION", help="The version to compare with. Otherwise the one before it.")
@pass_desk
def diff(desk: Desk, template: str, number: str, against: str | None) -> None:
    """Show what changed in a version's files, as a unified diff."""
    from upkeep.domain.names import parse_version
    from upkeep.domain.versions import TemplateVersion, VersionState
    from upkeep.flows.browse.differences import differences

    wanted = parse_version(number)
    with desk.reading() as unit:
        family = unit.registry.template(template)
        after = unit.registry.version(family.name, wanted)
        before: TemplateVersion | None
        if against is not None:
            before = unit.registry.version(family.name, parse_version(against))
        else:
            lower = [v for v in unit.registry.versions(family.name) if v.version < wanted]
            whole = [v for v in lower if v.state is not VersionState.REGISTRATION_FAILED]
            before = next(iter(whole or lower), None)
        old = unit.registry.bundle(before.tree) if before else None
        new = unit.registry.bundle(after.tree)
    for difference in differences(old, new):
        if difference.silent:
            click.echo(f"{difference.change} {difference.path}: not shown, {difference.silent}")
            continue
        for line in difference.diff.splitlines():
            click.echo(_coloured(line))


def _coloured(line: str) -> str:
    if line.startswith(("---", "+++")):
        return click.style(line, bold=True)
    colour = {"+": "green", "-": "red", "@": "cyan"}.get(line[:1])
    return click.style(line, fg=colour) if colour else line


@version.command()
@click.argument("template")
@click.argument("number", metavar="VERSION")
@click.option("--note", help="What the owners are told about it.")
@pass_desk
def publish(desk: Desk, template: str, number: str, note: str | None) -> None:
    """Offer a draft to resources; the highest published version becomes the recommended one. Deploys nothing."""
    from upkeep.domain.names import parse_version
    from upkeep.flows import review

    with desk.writing() as unit:
        family = unit.registry.template(template)
        published = review.publish(
            unit,
            family.name,
            parse_version(number),
            seen_tree=None,
            note=note,
            routing=desk.settings.notices.routing,
            actor=desk.actor,
            now=desk.now,
        )
    desk.say(
        f"{template} {number} is published. Recommended: {published.recommended or 'none'}; "
        f"{_resources(published.behind)} behind."
    )


@version.command()
@click.argument("template")
@click.argument("number", metavar="VERSION")
@pass_desk
def check(desk: Desk, template: str, number: str) -> None:
    """Check a draft with a change set for every resource it could move. Nothing is deployed."""
    from upkeep.domain.names import parse_version
    from upkeep.flows import plan

    with desk.writing() as unit:
        family = unit.registry.template(template)
        asked = plan.check_draft(unit, family.name, parse_version(number), actor=desk.actor, now=desk.now)
    desk.say(f"{template} {number}: {_resources(asked)} being checked. The review page shows what is found.")


@version.command()
@click.argument("template")
@click.argument("number", metavar="VERSION")
@click.option("--reason", default="", help="Why; it stands in the activity.")
@pass_desk
def withdraw(desk: Desk, template: str, number: str, reason: str) -> None:
    """Offer a published version no longer. What runs it keeps running."""
    from upkeep.domain.names import parse_version
    from upkeep.flows import review

    with desk.writing() as unit:
        family = unit.registry.template(template)
        recommended = review.withdraw(
            unit, family.name, parse_version(number), reason=reason, actor=desk.actor, now=desk.now
        )
    desk.say(f"{template} {number} is withdrawn. Recommended: {recommended or 'none'}.")


@version.command()
@click.argument("template")
@click.argument("number", metavar="VERSION")
@pass_desk
def recommend(desk: Desk, template: str, number: str) -> None:
    """Make a published version the recommended one, also an older one: the way back from a bad release."""
    from upkeep.domain.names import parse_version
    from upkeep.flows import review

    with desk.writing() as unit:
        family = unit.registry.template(template)
        behind = review.recommend(unit, family.name, parse_version(number), actor=desk.actor, now=desk.now)
    desk.say(f"{template} {number} is recommended; {_resources(behind)} behind.")


@version.command()
@click.argument("template")
@click.argument("number", metavar="VERSION")
@pass_desk
def delete(desk: Desk, template: str, number: str) -> None:
    """Delete a version that nothing runs; its number is never given again. Discards a draft, too."""
    from upkeep.domain.names import parse_version
    from upkeep.flows import review

    with desk.writing() as unit:
        family = unit.registry.template(template)
        review.delete(unit, family.name, parse_version(number), actor=desk.actor, now=desk.now)
    desk.say(f"{template} {number} is deleted.")


def _resources(count: int) -> str:
    return f"{count} resource{' is' if count == 1 else 's are'}"
