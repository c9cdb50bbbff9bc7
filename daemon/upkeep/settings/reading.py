"""Reading: from a file and the environment to settings."""

import dataclasses
import re
import typing
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from upkeep.domain import documents
from upkeep.domain.addresses import check_address
from upkeep.domain.documents import Document
from upkeep.domain.errors import CallerError, SettingsError, UpkeepError
from upkeep.domain.records import Records
from upkeep.domain.sources import Source
from upkeep.settings.faults import Fault, Key, Place, fault_in, fault_of
from upkeep.settings.sections import DeclaredSource, Settings
from upkeep.settings.values import suggestion

ENVIRONMENT_PREFIX = "UPKEEP_"
CONFIG_VARIABLE = "UPKEEP_CONFIG"
"""The environment variable that names the configuration file."""

SYSTEM_FILE = Path("/etc/upkeep/upkeep.yaml")
LOCAL_FILE = Path("upkeep.yaml")

_SETTINGS = TypeAdapter(Settings)
_SOURCE = TypeAdapter(DeclaredSource)


def declare_source(**given: Any) -> Source:
    """A source from settings given one by one, checked like those of a file; CallerError with every fault."""
    given = {name: value for name, value in given.items() if value is not None}
    nowhere = Place(Document(None, ""), {})
    try:
        return _SOURCE.validate_python(given).source
    except ValidationError as error:
        faults = [fault_of(details, given, nowhere) for details in error.errors(include_url=False)]
    cure = "; ".join(fault.cure for fault in faults if fault.cure)
    raise CallerError("\n".join(fault.what for fault in faults), cure=cure or None)


def find(named: Path | None, environ: Mapping[str, str], folder: Path) -> Path | None:
    """The configuration file: the named one, `UPKEEP_CONFIG`, `upkeep.yaml` in the folder, the system's, or none.

    A file that was named has to exist: `load` says so otherwise.
    """
    if named is not None:
        return named
    if environ.get(CONFIG_VARIABLE):
        return Path(environ[CONFIG_VARIABLE])
    return next((path for path in (folder / LOCAL_FILE, SYSTEM_FILE) if path.is_file()), None)


def load(path: Path | None, environ: Mapping[str, str]) -> Settings:
    """Read the settings: the file, if any, then the environment. Raises SettingsError with every fault."""
    text = ""
    name = "the defaults"
    if path is not None:
        name = str(path)
        try:
            text = documents.decode(path.read_bytes(), name)
        except OSError as error:
            cure = f"create it, correct --config or {CONFIG_VARIABLE}, or make it readable for you"
            raise SettingsError([f"{path}: cannot be read: {error.strerror} ({cure})"]) from error
        except UpkeepError as error:
            raise SettingsError([str(error)]) from error
    return read(text, name, folder=path.parent if path else Path(), environ=environ)


def read(text: str, name: str, *, folder: Path, environ: Mapping[str, str]) -> Settings:
    """The settings that a file's text and an environment give. Relative paths count from `folder`."""
    document, findings = documents.read(text, name)
    faults = [fault_in(found) for found in findings]
    if document is None:
        raise SettingsError([str(fault) for fault in faults])
    given = {} if document.value is None else document.value
    if not isinstance(given, dict):
        raise SettingsError([f"{name}:1: the file is not a mapping of settings (write `section:` lines)"])
    overridden, overrides, faults_there = _overridden(given, environ)
    place = Place(document, overrides)
    data, missing = _interpolated(overridden, (), environ, place)
    faults += faults_there + missing
    try:
        settings = _SETTINGS.validate_python(data, context={"folder": folder})
    except ValidationError as error:
        faults += [fault_of(details, data, place) for details in error.errors(include_url=False)]
    else:
        faults += _contradictions(settings, place)
        if not faults:
            return settings
    raise SettingsError([str(fault) for fault in sorted(faults, key=lambda fault: (fault.line, fault.where))])


def _overridden(
    given: dict[Any, Any], environ: Mapping[str, str]
) -> tuple[dict[Any, Any], dict[Key, str], list[Fault]]:
    data = {section: dict(values) if isinstance(values, dict) else values for section, values in given.items()}
    overrides: dict[Key, str] = {}
    faults = []
    known = {"__".join(key).upper(): key for key in _keys(Settings)}
    for variable in sorted(environ):
        if not variable.startswith(ENVIRONMENT_PREFIX):
            continue
        wanted = variable.removeprefix(ENVIRONMENT_PREFIX)
        if wanted not in known:
            # Kubernetes gives every container of a namespace with a service `upkeep` variables such as UPKEEP_PORT.
            if "__" in wanted:
                cure = suggestion(wanted, known, prefix=ENVIRONMENT_PREFIX)
                faults.append(Fault(0, f"environment variable {variable}", "names no setting", cure))
            continue
        key = known[wanted]
        value: Any = environ[variable]
        if _is_collection(key):
            document, findings = documents.read(value, f"environment variable {variable}")
            if document is None or findings:
                faults += [fault_in(found) for found in findings]
                continue
            value = document.value
        into = data
        for section in key[:-1]:
            if not isinstance(into.get(section), dict):
                into[section] = {}
            into = into[section]
        into[key[-1]] = value
        overrides[key] = variable
    return data, overrides, faults


def _keys(section: type, above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    hints = typing.get_type_hints(section)
    for each in dataclasses.fields(section):
        if dataclasses.is_dataclass(hints[each.name]):
            yield from _keys(hints[each.name], (*above, each.name))
        else:
            yield (*above, each.name)


def _is_collection(key: Sequence[str]) -> bool:
    section: Any = Settings
    for name in key:
        section = typing.get_type_hints(section)[name]
    return typing.get_origin(section) in (tuple, dict)


_EVER = {("retention", records) for records in Records}
"""Settings that `null` says something in, which is not their default."""

_REFERENCE = re.compile(r"\$\$\{|\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}|\$\{[^}]*\}?")


def _interpolated(value: Any, key: Key, environ: Mapping[str, str], place: Place) -> tuple[Any, list[Fault]]:
    """The value with its references followed and everything empty left out, so that its default counts; but for what
    means something when it is empty."""
    faults: list[Fault] = []
    if isinstance(value, dict):
        filled = {}
        for name, inner in value.items():
            found, faults_there = _interpolated(inner, (*key, name), environ, place)
            faults += faults_there
            if (*key, name) in _EVER:
                # In the environment and behind a reference it is a text.
                filled[name] = None if found == "null" else found
            elif found is not None:
                filled[name] = found
        return filled, faults
    if isinstance(value, list):
        items = [_interpolated(inner, (*key, index), environ, place) for index, inner in enumerate(value)]
        return [item for item, _ in items], [fault for _, found in items for fault in found]
    if not isinstance(value, str) or any(key[:length] in place.overrides for length in range(len(key) + 1)):
        return value, []

    def follow(found: re.Match[str]) -> str:
        if found[0] == "$${":
            return "${"
        variable, default = found[1], found[2]
        if variable is None:
            faults.append(place.fault(key, f"`{found[0]}` is no reference", "write ${NAME} or ${NAME:-default}"))
        elif environ.get(variable) or (variable in environ and default is None):
            return environ[variable]
        elif default is None:
            faults.append(
                place.fault(
                    key, f"environment variable {variable} is not set", f"set it, or write ${{{variable}:-default}}"
                )
            )
        return default or ""

    return _REFERENCE.sub(follow, value), faults


def _contradictions(settings: Settings, place: Place) -> list[Fault]:
    faults = []
    names: set[str] = set()
    branches: dict[tuple[str, str, str], str] = {}
    for index, source in enumerate(settings.sources):
        if source.name in names:
            faults.append(
                place.fault(("sources", index, "name"), f"the name `{source.name}` is used twice", "rename one")
            )
        names.add(source.name)
        read_by = branches.setdefault((source.url, source.branch, source.subdirectory), source.name)
        if read_by != source.name:
            what = f"`{source.name}` reads the same branch and folder as `{read_by}`"
            faults.append(place.fault(("sources", index, "url"), what, "remove one of them"))
        try:
            check_address(source.url, allow_local=settings.git.allow_local)
        except CallerError as error:
            faults.append(place.fault(("sources", index, "url"), error.message, error.cure or ""))
    if len(settings.sources) > settings.limits.sources:
        what = f"{len(settings.sources)} sources are named, more than `limits.sources` allows"
        faults.append(place.fault(("sources",), what, "raise it, or name fewer"))
    notices = settings.notices
    routes: list[tuple[Key, str]] = [(("default",), notices.default), (("operators",), notices.operators)]
    routes += [(("templates", name), channel) for name, channel in notices.templates.items()]
    routes += [(("owners", name), channel) for name, channel in notices.owners.items()]
    for key, channel in routes:
        if channel and channel not in notices.channels:
            # One that is the default stands nowhere in the file.
            other = f", or name another as `notices.{key[0]}`" if len(key) == 1 else ""
            cure = suggestion(channel, notices.channels) or f"describe it under `notices.channels`{other}"
            faults.append(place.fault(("notices", *key), f"there is no channel `{channel}`", cure))
    return faults
