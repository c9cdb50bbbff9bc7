"""Registration files of service templates: in which environments a service can live.

`.template-registration.yaml` is AWS Proton's
(https://docs.aws.amazon.com/proton/latest/userguide/create-template-sync.html), `.compatible-envs` its older form of
plain `name:major` lines.
"""

import difflib
import re
from dataclasses import dataclass

from upkeep.domain import documents
from upkeep.domain.findings import Finding, error, warning
from upkeep.domain.names import TemplateName, is_name
from upkeep.domain.versions import CompatibleEnvironment

FILE_NAME = ".template-registration.yaml"
LEGACY_FILE_NAME = ".compatible-envs"

_ENVIRONMENTS, _SOURCES = "compatible_environments", "supported_component_sources"
_COMPONENT_SOURCES = ("DIRECTLY_DEFINED",)
_MAJOR = re.compile(r"0|[1-9][0-9]{0,8}")
_CURE = "write it as `environment-template-name:major`, for example `vpc-env:1`"


@dataclass(frozen=True, slots=True)
class Registration:
    """What a registration file says."""

    compatible_environments: tuple[CompatibleEnvironment, ...] = ()
    supported_component_sources: tuple[str, ...] = ()


def read(text: str, path: str) -> tuple[Registration, tuple[Finding, ...]]:
    """Read `.template-registration.yaml`."""
    document, faults = documents.read(text, path)
    if document is None:
        return Registration(), faults
    reader = _Reader(document, list(faults))
    return reader.registration(), tuple(reader.findings)


def read_legacy(text: str, path: str) -> tuple[Registration, tuple[Finding, ...]]:
    """Read `.compatible-envs`. Lines may be empty, or comments that start with `#`."""
    found: list[CompatibleEnvironment] = []
    findings: list[Finding] = []
    for number, line in enumerate(text.splitlines(), 1):
        entry = line.strip()
        if not entry or entry.startswith("#"):
            continue
        plain = re.sub(r"\s*:\s*", ":", entry.removeprefix("-").strip().strip("\"'"))
        environment = _environment(plain)
        if environment is None:
            findings.append(error("registration-entry", f"`{entry}` is not `name:major`", path, number, _CURE))
            continue
        if plain != entry:
            message = f"`{entry}` is read as `{plain}`"
            findings.append(warning("registration-entry", message, path, number, f"write `{plain}`"))
        found.append(environment)
    if not found and not findings:
        findings.append(error("registration-empty", "the file lists no environment template", path, 1, _CURE))
    return Registration(tuple(dict.fromkeys(found))), tuple(findings)


def _environment(entry: str) -> CompatibleEnvironment | None:
    name, colon, major = entry.partition(":")
    if not colon or not is_name(name) or not _MAJOR.fullmatch(major):
        return None
    return CompatibleEnvironment(TemplateName(name), int(major))


class _Reader:
    """Reads one registration document and collects findings."""

    def __init__(self, document: documents.Document, findings: list[Finding]) -> None:
        self.findings = findings
        self._document = document

    def _error(self, message: str, keys: tuple[str | int, ...], cure: str, slug: str = "registration-entry") -> None:
        self.findings.append(error(slug, message, self._document.path, self._document.line(*keys), cure))

    def _warning(self, message: str, keys: tuple[str | int, ...], cure: str | None) -> None:
        place = self._document.line(*keys)
        self.findings.append(warning("registration-key", message, self._document.path, place, cure))

    def registration(self) -> Registration:
        root = self._document.value
        if not isinstance(root, dict):
            cure = f"start it with `{_ENVIRONMENTS}:`"
            self._error("the file is no mapping", (), cure, "registration-empty")
            return Registration()
        misspelt = {}
        for key in root:
            if key in (_ENVIRONMENTS, _SOURCES):
                continue
            close = difflib.get_close_matches(key.lower().replace("-", "_"), (_ENVIRONMENTS, _SOURCES), n=1, cutoff=0.8)
            if close and close[0] not in root:
                misspelt[close[0]] = key
                self._warning(f"`{key}` is read as `{close[0]}`", (key,), f"rename it to `{close[0]}`")
            else:
                self._warning(f"`{key}` has no effect", (key,), "remove it")
        return Registration(
            self._environments(root, misspelt.get(_ENVIRONMENTS, _ENVIRONMENTS)),
            self._component_sources(root, misspelt.get(_SOURCES, _SOURCES)),
        )

    def _environments(self, root: dict[str, object], key: str) -> tuple[CompatibleEnvironment, ...]:
        given = root.get(key)
        if not isinstance(given, list) or not given:
            message = f"`{_ENVIRONMENTS}` lists no environment template"
            cure = f"list at least one: {_CURE.removeprefix('write it ')}"
            self._error(message, (key,), cure, "registration-empty")
            return ()
        found = []
        for position, entry in enumerate(given):
            environment = _environment(entry) if isinstance(entry, str) else None
            if environment is None:
                said = f"`{entry}`"
                if isinstance(entry, dict) and len(entry) == 1:
                    said = "`{}: {}`".format(*next(iter(entry.items())))
                self._error(f"{said} is not `name:major`", (key, position), f"{_CURE}, without a space")
            else:
                found.append(environment)
        return tuple(dict.fromkeys(found))

    def _component_sources(self, root: dict[str, object], key: str) -> tuple[str, ...]:
        given = root.get(key)
        if given is None:
            return ()
        if not isinstance(given, list):
            self._error(f"`{_SOURCES}` is no list", (key,), "write `- DIRECTLY_DEFINED` below it")
            return ()
        for position, entry in enumerate(given):
            if entry not in _COMPONENT_SOURCES:
                self._error(f"`{entry}` is no component source", (key, position), "write `DIRECTLY_DEFINED`")
        return tuple(dict.fromkeys(entry for entry in given if entry in _COMPONENT_SOURCES))
