"""A manifest: which file of an infrastructure folder is the template, and how it is rendered.

The form is AWS Proton's (https://docs.aws.amazon.com/proton/latest/userguide/ag-wrap-up.html): one entry under
`infrastructure.templates`. Only CloudFormation rendered with Jinja is supported.
"""

import difflib
from pathlib import PurePosixPath
from typing import Any

from upkeep.domain import documents
from upkeep.domain.findings import Finding, error, warning

FILE_NAME = "manifest.yaml"
"""What a manifest is called, in every infrastructure folder."""

_ENTRY_KEYS = ("file", "rendering_engine", "template_language")
_NOT_YET = {"hcl": "Terraform (`hcl`)", "codebuild": "CodeBuild provisioning (`codebuild`)"}
_SUPPORTED_ONLY = "use a CloudFormation template with `rendering_engine: jinja`"


def read(text: str, path: str) -> tuple[str | None, tuple[Finding, ...]]:
    """The file a manifest names, relative to its own folder, and what is to say about the manifest.

    The file is None when the manifest does not name a template that can be rendered; an error finding says why.
    """
    document, faults = documents.read(text, path)
    if document is None:
        return None, faults
    reader = _Reader(document, list(faults))
    return reader.file(), tuple(reader.findings)


class _Reader:
    """Reads one manifest document and collects findings."""

    def __init__(self, document: documents.Document, findings: list[Finding]) -> None:
        self.findings = findings
        self._document = document

    def _error(self, slug: str, message: str, keys: tuple[str | int, ...], cure: str) -> None:
        self.findings.append(error(slug, message, self._document.path, self._document.line(*keys), cure))

    def _warning(self, slug: str, message: str, keys: tuple[str | int, ...], cure: str) -> None:
        self.findings.append(warning(slug, message, self._document.path, self._document.line(*keys), cure))

    def file(self) -> str | None:
        root = self._document.value
        outer = root.get("infrastructure") if isinstance(root, dict) else None
        templates = outer.get("templates") if isinstance(outer, dict) else None
        keys = ("infrastructure", "templates")
        if not isinstance(templates, list) or not templates:
            message = "the manifest lists no template under `infrastructure.templates`"
            self._error("manifest-templates", message, keys, "list one, as `- file: …`")
            return None
        if len(templates) > 1:
            message = f"the manifest lists {len(templates)} templates, only one can be rendered"
            self._error("manifest-templates", message, (*keys, 1), "keep one entry")
        entry = templates[0]
        if not isinstance(entry, dict):
            message = "the entry under `infrastructure.templates` is no mapping"
            self._error("manifest-templates", message, (*keys, 0), f"give it {', '.join(_ENTRY_KEYS)}")
            return None
        return self._entry(entry, (*keys, 0))

    def _entry(self, entry: dict[str, Any], keys: tuple[str | int, ...]) -> str | None:
        engine_key = "rendering_engine"
        if "engine" in entry and engine_key not in entry:
            engine_key = "engine"
            message = "`engine` is the key of Proton's preview, today it is `rendering_engine`"
            self._warning("manifest-engine", message, (*keys, "engine"), "rename it to `rendering_engine`")
        if not self._engine(entry, engine_key, keys):
            return None
        for key in entry:
            if key not in (*_ENTRY_KEYS, engine_key):
                close = difflib.get_close_matches(key, _ENTRY_KEYS, n=1)
                cure = f"write `{close[0]}`" if close else "remove it"
                self._warning("manifest-unknown-key", f"`{key}` has no effect", (*keys, key), cure)
        file = entry.get("file")
        if not isinstance(file, str) or not file:
            cure = 'name the template, as `file: "cloudformation.yaml"`'
            self._error("manifest-file", "the entry names no `file`", (*keys, "file"), cure)
            return None
        parts = PurePosixPath(file).parts
        if file.startswith("/") or ".." in parts or not parts or "\\" in file or "\0" in file:
            message = f"`{file}` does not stay in the folder of the manifest"
            self._error("manifest-file", message, (*keys, "file"), "name a file beside the manifest")
            return None
        return str(PurePosixPath(*parts))

    def _word(self, entry: dict[str, Any], key: str, keys: tuple[str | int, ...]) -> Any:
        """A keyword, which people also write as `CloudFormation`."""
        word = entry.get(key)
        if not isinstance(word, str) or word == word.lower():
            return word
        self._warning("manifest-spelling", f"`{word}` is read as `{word.lower()}`", (*keys, key), "use small letters")
        return word.lower()

    def _engine(self, entry: dict[str, Any], key: str, keys: tuple[str | int, ...]) -> bool:
        """Whether the entry can be rendered."""
        engine, language = self._word(entry, key, keys), self._word(entry, "template_language", keys)
        if engine in _NOT_YET:
            message = f"{_NOT_YET[str(engine)]} is not supported yet"
            self._error("not-supported", message, (*keys, key), _SUPPORTED_ONLY)
        elif engine is None:
            message = "the entry has no `rendering_engine`"
            self._error("manifest-engine", message, keys, "write `rendering_engine: jinja`")
        elif engine != "jinja":
            message = f"`{engine}` is no rendering engine"
            self._error("manifest-engine", message, (*keys, key), "write `rendering_engine: jinja`")
        elif language is None:
            message = "the entry has no `template_language`, CloudFormation is assumed"
            self._warning("manifest-language", message, keys, "write `template_language: cloudformation`")
            return True
        elif language != "cloudformation":
            message = f"the template language `{language}` is not supported yet"
            self._error("not-supported", message, (*keys, "template_language"), _SUPPORTED_ONLY)
        else:
            return True
        return False
