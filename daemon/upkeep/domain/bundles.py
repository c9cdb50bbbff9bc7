"""A bundle: the files of one version folder. Reading it says what it is, or file:line what is wrong."""

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from upkeep.domain import documents, manifests, registrations, schemas
from upkeep.domain.documents import DocumentError
from upkeep.domain.findings import Finding, Severity, error, has_errors, warning
from upkeep.domain.inputs import ValueType
from upkeep.domain.limits import LIMITS, BundleLimits, megabytes
from upkeep.domain.parts import Part as Part
from upkeep.domain.registrations import Registration
from upkeep.domain.versions import CompatibleEnvironment, TemplateKind

_SCHEMA_FOLDER = "schema"
_FOLDERS = (_SCHEMA_FOLDER, *(part.folder for part in Part))
_REGISTRATION_FILES = (registrations.FILE_NAME, registrations.LEGACY_FILE_NAME)
_LFS_POINTER = b"version https://git-lfs.github.com/spec/"
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class BundleFile:
    """A file of a bundle. `path` is relative to the version folder, `mode` git's (`100644`, `120000` a symlink,
    `160000` a submodule), `blob` its git object id. `content` is None when it was not read: it is no plain
    file, or larger than a file may be.
    """

    path: str
    mode: str
    blob: str
    size: int
    content: bytes | None


@dataclass(frozen=True, slots=True)
class Bundle:
    """All files of a version folder under the git tree id that names their content."""

    tree: str
    files: tuple[BundleFile, ...]


@dataclass(frozen=True, slots=True)
class TemplateFile:
    """An infrastructure template as text, with its path in the bundle."""

    path: str
    text: str


@dataclass(frozen=True, slots=True)
class Inspection:
    """What a bundle was found to be. With error findings the other fields hold what could still be read.

    `schema` is the text of the schema file if it is a good one. An environment without templates is customer-managed:
    its schema declares the outputs of what somebody else made.
    """

    kind: TemplateKind | None
    findings: tuple[Finding, ...]
    schema: str | None = None
    templates: Mapping[Part, TemplateFile] = field(default_factory=dict)
    compatible_environments: tuple[CompatibleEnvironment, ...] = ()
    supported_component_sources: tuple[str, ...] = ()

    @property
    def customer_managed(self) -> bool:
        """Whether it is a good environment template without infrastructure."""
        return self.kind is TemplateKind.ENVIRONMENT and not self.templates and not has_errors(self.findings)


def is_part_folder(name: str) -> bool:
    """Whether a folder of a bundle has one of the names a bundle is made of, or one that was meant to be."""
    return name in _FOLDERS or _meant(name, _FOLDERS) is not None


def inspect(bundle: Bundle, limits: BundleLimits | None = LIMITS.bundle) -> Inspection:
    """Read a bundle: its kind, its parts, and everything that is wrong or unusual about it.

    With None its size is not judged: what was registered once is used as it is, whatever the limits are now.

    The registration file of a service template may be missing, which is a warning: bundles that were uploaded to AWS
    Proton directly have none, and a version without it harms nobody, as no service can be created from it.
    """
    return _Inspector(bundle, limits).inspection()


def printable(path: str) -> str:
    """A path for a message, with bytes that are not UTF-8 and control characters written as escapes."""
    text = path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in text)


class _Inspector:
    """Looks at one bundle and collects findings."""

    def __init__(self, bundle: Bundle, limits: BundleLimits | None) -> None:
        self._limits = limits
        self._files = {file.path: file for file in bundle.files}
        self._findings: list[Finding] = []
        self._folders = {file.path.split("/")[0] for file in bundle.files if "/" in file.path or not _is_plain(file)}
        self._meant: dict[str, str] = {}

    def inspection(self) -> Inspection:
        self._check_files()
        self._check_folder_names()
        kind = self._kind()
        schema_text, schema = self._schema()
        templates = {}
        for part in self._parts_present():
            template = self._template(part)
            if template is not None:
                templates[part] = template
        if schema is not None:
            kind = self._check_schema_fits(kind, schema)
        registration = self._registration(kind)
        return Inspection(
            kind=kind,
            findings=tuple(dict.fromkeys(self._findings)),
            schema=schema_text if schema is not None else None,
            templates=templates,
            compatible_environments=registration.compatible_environments,
            supported_component_sources=registration.supported_component_sources,
        )

    def _error(self, slug: str, message: str, path: str, cure: str, line: int | None = None) -> None:
        self._findings.append(error(slug, message, printable(path), line, cure))

    def _warning(self, slug: str, message: str, path: str, cure: str) -> None:
        self._findings.append(warning(slug, message, printable(path), None, cure))

    # ---------------------------------------------------------------------------------------------- the files

    def _check_files(self) -> None:
        """What hinders reading a file is an error where the bundle needs it, and a warning elsewhere."""
        total = sum(file.size for file in self._files.values())
        too_large = self._limits is not None and total > self._limits.bytes
        if self._limits is not None and too_large:
            message = f"the files have {total:,} bytes together, more than {megabytes(self._limits.bytes)}"
            cure = "move what the templates do not need out of the version folder, or raise `limits.bundle`"
            self._error("too-large", message, "", cure)
        for path, file in self._files.items():
            needed = path.split("/")[0] in (*_FOLDERS, *_REGISTRATION_FILES)
            severity = Severity.ERROR if needed else Severity.WARNING
            for slug, message, cure in _hindrances(file, self._limits):
                if slug == "unread" and too_large:
                    continue  # whoever reads a bundle stops when it has become too large
                self._findings.append(Finding(severity, slug, message, printable(path), None, cure))

    def _check_folder_names(self) -> None:
        for name in sorted(self._folders.difference(_FOLDERS)):
            meant = _meant(name, _FOLDERS)
            if meant is None:
                continue
            first = min(path for path in self._files if path.split("/")[0] == name)
            message = f"`{printable(name)}/` is not read, the folder is called `{meant}/`"
            if meant in self._folders:
                self._warning("misspelt", message, first, f"move its files to `{meant}/` or rename it")
            else:
                self._meant[meant] = name
                # A pipeline is optional: a folder that was put aside harms nobody unless the schema asks for one.
                tell = self._warning if meant == Part.PIPELINE.folder else self._error
                tell("misspelt", message, first, f"rename it to `{meant}/`")

    def _text(self, path: str) -> str | None:
        """The text of a file that can be read as one; a finding says why not."""
        file = self._files.get(path)
        if file is None or file.content is None or any(_hindrances(file, self._limits)):
            return None
        if file.content.startswith(_BYTE_ORDER_MARK):
            self._warning("byte-order-mark", "the file starts with a byte order mark", path, "save it without one")
        try:
            return documents.decode(file.content, path)
        except DocumentError as fault:
            self._findings.extend(fault.findings)
            return None

    def _missing(self, path: str, what: str) -> None:
        """An error for a file that should be there, with the file that was probably meant."""
        folder = path.rpartition("/")[0]
        meant_folder = self._meant.get(folder, folder)
        name = path.rpartition("/")[2]
        others = [other for other in self._files if other.startswith(f"{meant_folder}/")]
        meant = [other for other in others if _meant(other.rpartition("/")[2], (name,), cutoff=0.85)]
        cure = f"rename `{printable(meant[0])}` to `{path}`" if meant else f"add {what} as `{path}`"
        self._error("missing", f"`{path}` is missing", path, cure)

    # ------------------------------------------------------------------------------------------- kind and parts

    def _has(self, part: Part) -> bool:
        return part.folder in self._folders or part.folder in self._meant

    def _parts_present(self) -> list[Part]:
        return [part for part in Part if part.folder in self._folders]

    def _kind(self) -> TemplateKind | None:
        environment, service = self._has(Part.ENVIRONMENT), self._has(Part.INSTANCE) or self._has(Part.PIPELINE)
        if environment and service:
            folder = next(part.folder for part in (Part.INSTANCE, Part.PIPELINE) if self._has(part))
            message = f"`infrastructure/` makes this an environment template, `{folder}/` a service template"
            self._error("kind", message, "", "keep one of them")
            return None
        if environment:
            return TemplateKind.ENVIRONMENT
        if service:
            if not self._has(Part.INSTANCE):
                folder = Part.INSTANCE.folder
                self._error("missing", f"`{folder}/` is missing", folder, "add the template of service instances")
            return TemplateKind.SERVICE
        if _SCHEMA_FOLDER in self._folders or _SCHEMA_FOLDER in self._meant:
            return TemplateKind.ENVIRONMENT
        message = "the folder holds neither a schema nor infrastructure"
        self._error("kind", message, "", "add `schema/` and `infrastructure/` or `instance_infrastructure/`")
        return None

    def _template(self, part: Part) -> TemplateFile | None:
        manifest = f"{part.folder}/{manifests.FILE_NAME}"
        if manifest not in self._files:
            self._missing(manifest, "a manifest")
            return None
        text = self._text(manifest)
        if text is None:
            return None
        name, findings = manifests.read(text, manifest)
        self._findings.extend(findings)
        if name is None:
            return None
        path = f"{part.folder}/{name}"
        if path not in self._files:
            beside = sorted(
                printable(other.removeprefix(f"{part.folder}/"))
                for other in self._files
                if other.startswith(f"{part.folder}/") and other != manifest
            )
            line = next(iter(_lines_with(text, name)), None)
            cure = f"name one of {', '.join(beside[:5])}" if beside else f"add `{path}`"
            self._error("manifest-file", f"there is no `{path}`", manifest, cure, line)
            return None
        return self._template_file(path)

    def _template_file(self, path: str) -> TemplateFile | None:
        text = self._text(path)
        if text is None:
            return None
        if not text.strip():
            self._error("empty", "the template is empty", path, "write the template")
            return None
        if (finding := documents.unreadable(text, path)) is not None:
            self._findings.append(finding)
            return None
        return TemplateFile(path, text)

    # ---------------------------------------------------------------------------------------------- the schema

    def _schema(self) -> tuple[str | None, schemas.Schema | None]:
        if schemas.SCHEMA_PATH not in self._files:
            self._missing(schemas.SCHEMA_PATH, "the schema of the inputs")
            return None, None
        text = self._text(schemas.SCHEMA_PATH)
        if text is None:
            return None, None
        schema, findings = schemas.inspect(text)
        self._findings.extend(findings)
        return text, schema

    def _check_schema_fits(self, kind: TemplateKind | None, schema: schemas.Schema) -> TemplateKind | None:
        infrastructure = any(self._has(part) for part in Part)
        if not infrastructure and schema.kind is TemplateKind.SERVICE:
            folder = Part.INSTANCE.folder
            self._error("missing", f"`{folder}/` is missing", folder, "add the template of service instances")
            return TemplateKind.SERVICE
        if kind is not None and kind is not schema.kind:
            folder = "infrastructure" if kind is TemplateKind.ENVIRONMENT else Part.INSTANCE.folder
            message = f"the schema is for {schema.kind} templates, `{folder}/` makes this a template of kind {kind}"
            key = f"{kind}_input_type"
            other = "instance_infrastructure" if kind is TemplateKind.ENVIRONMENT else "infrastructure"
            cure = f"use `{key}` in the schema, or rename the folder to `{other}/`"
            self._error("kind", message, schemas.SCHEMA_PATH, cure, schema.line)
        elif kind is TemplateKind.SERVICE:
            self._check_pipeline(schema)
        if not infrastructure and schema.kind is TemplateKind.ENVIRONMENT:
            self._check_customer_managed(schema)
        return kind

    def _check_pipeline(self, schema: schemas.Schema) -> None:
        folder = Part.PIPELINE.folder
        present = folder in self._folders
        if present and schema.pipeline is None:
            message = f"there is `{folder}/` and no `pipeline_input_type`"
            cure = f"add `pipeline_input_type` and its type, or remove `{folder}/`"
            self._error("schema-pipeline", message, schemas.SCHEMA_PATH, cure, schema.line)
        elif schema.pipeline is not None and not present:
            message = f"there is a `pipeline_input_type` and no `{folder}/`"
            cure = f"remove `pipeline_input_type`, or add `{folder}/`"
            self._error("schema-pipeline", message, schemas.SCHEMA_PATH, cure, schema.pipeline_line)

    def _check_customer_managed(self, schema: schemas.Schema) -> None:
        for name, declared in schema.inputs.properties.items():
            if declared.type is not ValueType.STRING or declared.has_default:
                message = f"`{name}` has a default" if declared.has_default else f"`{name}` is of type {declared.type}"
                message += "; without `infrastructure/` the schema declares outputs, which are texts without default"
                cure = "make it a `string` without `default`, or add `infrastructure/`"
                self._error("customer-managed", message, schemas.SCHEMA_PATH, cure, declared.line)

    # ----------------------------------------------------------------------------------------- the registration

    def _registration(self, kind: TemplateKind | None) -> Registration:
        present = [name for name in _REGISTRATION_FILES if name in self._files]
        if kind is not TemplateKind.SERVICE:
            for name in present if kind else ():
                self._warning("registration", "the file has no effect on an environment template", name, "remove it")
            return Registration()
        if not present:
            self._warn_without_registration()
            return Registration()
        if len(present) == 2:
            message = f"the file is not read because there is `{present[0]}` too"
            self._warning("registration", message, present[1], "remove it")
        name = present[0]
        text = self._text(name)
        if text is None:
            return Registration()
        read = registrations.read if name == registrations.FILE_NAME else registrations.read_legacy
        registration, findings = read(text, name)
        self._findings.extend(findings)
        return registration

    def _warn_without_registration(self) -> None:
        name = registrations.FILE_NAME
        cure = f"add `{name}` with `compatible_environments`"
        for other in sorted(path for path in self._files if "/" not in path):
            meant = _meant(other, _REGISTRATION_FILES, cutoff=0.8)
            if meant:
                cure = f"rename `{printable(other)}` to `{meant}`"
        message = "no file says in which environments the service can live, so none can be created from it"
        self._warning("registration-missing", message, name, cure)


def _is_plain(file: BundleFile) -> bool:
    return file.mode.startswith("100")


def _hindrances(file: BundleFile, limits: BundleLimits | None) -> list[tuple[str, str, str]]:
    """Why a file cannot be read: slug, message, cure."""
    found = []
    if any("\udc80" <= char <= "\udcff" for char in file.path):
        found.append(("file-name", "the name of the file is not UTF-8", "rename it"))
    if file.mode == "120000":
        found.append(("symlink", "this is a symbolic link, which is not followed", "replace it by the file itself"))
    elif file.mode == "160000":
        found.append(("submodule", "this is a submodule, which is not fetched", "replace it by its files"))
    elif limits is not None and file.size > limits.file_bytes:
        message = f"the file has {file.size:,} bytes, more than {megabytes(limits.file_bytes)}"
        cure = "make it smaller, move it out of the version folder, or raise `limits.bundle_file`"
        found.append(("too-large", message, cure))
    elif file.content is None:
        found.append(("unread", "the file could not be read", "replace it by a plain file"))
    elif file.content.startswith(_LFS_POINTER):
        message = "this is a pointer of Git LFS, not the file itself"
        found.append(("lfs-pointer", message, "commit the file without LFS (`git lfs untrack`)"))
    return found


def _meant(name: str, known: Iterable[str], cutoff: float = 0.75) -> str | None:
    """Which of the known names was probably meant by one that is none of them."""
    plain = printable(name).lower().replace("-", "_").replace(" ", "_")
    by_plain = {one.lower().replace("-", "_"): one for one in known}
    close = difflib.get_close_matches(plain, by_plain, n=1, cutoff=cutoff)
    return by_plain[close[0]] if close else None


def _lines_with(text: str, word: str) -> Iterable[int]:
    return (number for number, line in enumerate(text.splitlines(), 1) if word in line)
