"""Settings: the configuration file, read once at start and checked as a whole.

A file in YAML, in which texts may refer to environment variables as `${NAME}` or `${NAME:-default}` (`$${` writes
a plain `${`); then environment variables named `UPKEEP_SECTION__KEY`, which win over the file. Every fault found is
reported at once, with its place. `config/upkeep.yaml` in the source documents each setting.
"""

from upkeep.settings.reading import (
    CONFIG_VARIABLE,
    ENVIRONMENT_PREFIX,
    LOCAL_FILE,
    SYSTEM_FILE,
    declare_source,
    find,
    load,
    read,
)
from upkeep.settings.sections import (
    ConsoleNotices,
    GitHub,
    KeptText,
    Limits,
    Retention,
    Settings,
    SlackBot,
    SlackWebhook,
)
from upkeep.settings.showing import shown, without_password
from upkeep.settings.values import parse_duration, write_duration

__all__ = [
    "CONFIG_VARIABLE",
    "ENVIRONMENT_PREFIX",
    "LOCAL_FILE",
    "SYSTEM_FILE",
    "ConsoleNotices",
    "GitHub",
    "KeptText",
    "Limits",
    "Retention",
    "Settings",
    "SlackBot",
    "SlackWebhook",
    "declare_source",
    "find",
    "load",
    "parse_duration",
    "read",
    "shown",
    "without_password",
    "write_duration",
]
