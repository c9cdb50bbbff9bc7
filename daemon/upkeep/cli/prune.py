"""`upkeep prune`: letting go of old records, now."""

import click

from upkeep.cli.acting import Desk, pass_desk
from upkeep.cli.printing import Column, Form, form_option, print_rows
from upkeep.domain.records import Records

_COLUMNS = (Column("RECORDS", "records"), Column("KEPT FOR", "kept_for"), Column("OLD", "old"))


@click.command()
@click.option("--dry-run", is_flag=True, help="Say how many would go, and let none go.")
@form_option
@pass_desk
def prune(desk: Desk, dry_run: bool, form: Form) -> None:
    """Have the worker let go of what is older than the configuration keeps, which it does by itself once a day."""
    from upkeep.flows import prune
    from upkeep.settings import write_duration

    spans = desk.settings.retention.spans
    with desk.reading() as unit:
        rows = [
            {
                "records": records.value,
                "kept_for": write_duration(spans[records]) if records in spans else "ever",
                "old": unit.records.count(records, desk.now - spans[records]) if records in spans else 0,
            }
            for records in Records
        ]
    print_rows(rows, _COLUMNS, "records", form, "")
    if not dry_run:
        with desk.writing() as unit:
            prune.ask(unit, desk.now)
        if form in (Form.TABLE, Form.WIDE):
            desk.say("The worker lets go of them now.")
