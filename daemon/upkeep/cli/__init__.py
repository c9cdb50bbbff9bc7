"""The command line: noun, verb. Each noun is a module that is imported when it is typed.

The commands act on the store of the configuration as an admin: who can read the configuration owns the daemon.
"""

from pathlib import Path

import click

from upkeep.cli.group import CommandLine

_COMMANDS = {
    "serve": "upkeep.cli.serve:serve",
    "web": "upkeep.cli.web:web",
    "worker": "upkeep.cli.worker:worker",
    "demo": "upkeep.cli.demo:demo",
    "doctor": "upkeep.cli.doctor:doctor",
    "check-config": "upkeep.cli.check_config:check_config",
    "migrate": "upkeep.cli.migrate:migrate",
    "backup": "upkeep.cli.backup:backup",
    "restore": "upkeep.cli.backup:restore",
    "export": "upkeep.cli.export:export",
    "import": "upkeep.cli.export:import_",
    "prune": "upkeep.cli.prune:prune",
    "source": "upkeep.cli.source:source",
    "template": "upkeep.cli.template:template",
    "version": "upkeep.cli.version:version",
    "environment": "upkeep.cli.environment:environment",
    "service": "upkeep.cli.service:service",
    "instance": "upkeep.cli.instance:instance",
    "pipeline": "upkeep.cli.pipeline:pipeline",
    "deployment": "upkeep.cli.deployment:deployment",
    "update": "upkeep.cli.update:update",
    "rollout": "upkeep.cli.rollout:rollout",
    "lag": "upkeep.cli.lag:lag",
    "user": "upkeep.cli.user:user",
    "token": "upkeep.cli.token:token",
    "notify": "upkeep.cli.notify:notify",
    "completion": "upkeep.cli.completion:completion",
}


@click.command("upkeep", cls=CommandLine, modules=_COMMANDS, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--config",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The configuration file. Otherwise $UPKEEP_CONFIG, ./upkeep.yaml or /etc/upkeep/upkeep.yaml.",
)
@click.option("-q", "--quiet", is_flag=True, help="Print results and errors only, no progress.")
@click.version_option(package_name="upkeep", message="upkeep %(version)s")
@click.pass_context
def cli(context: click.Context, config: Path | None, quiet: bool) -> None:
    """Keep deployed infrastructure up to date with its templates.

    Acts as an admin on the database of the configuration: who can read the configuration owns the daemon.

    Exit codes: 0 done, 1 error, 2 behind (with --exit-code) or faulty configuration, 4 not signed in, 5 refused.
    """
    from upkeep.cli.acting import Desk

    context.obj = Desk(config, quiet)
