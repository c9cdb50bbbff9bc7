"""Register: bundles become versions, and templates come into being by a person's word.

What is uploaded is given its number when it is asked for, and becomes a version once the worker has read it. A bundle
that cannot be read becomes one too, whose registration failed: somebody waits for the outcome.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from upkeep.domain import events, notices
from upkeep.domain.bundles import Bundle, Inspection, Part
from upkeep.domain.errors import Conflict, NotFound, TransientError, UpkeepError
from upkeep.domain.findings import Finding, bounded, error, has_errors
from upkeep.domain.limits import LIMITS, Limits
from upkeep.domain.names import SourceName, TemplateName, Version, parse_version
from upkeep.domain.notices import Routing
from upkeep.domain.people import DAEMON, Act, Actor, require
from upkeep.domain.uploads import Upload
from upkeep.domain.versions import (
    Commit,
    CompatibleEnvironment,
    Major,
    Template,
    TemplateKind,
    TemplateVersion,
    VersionState,
)
from upkeep.domain.work import Claim, WorkKind
from upkeep.flows.examine import compatibility, examine, unreadable
from upkeep.flows.ports import Renderer, Store, Unit, Uploaded
from upkeep.flows.preview import subject_of

_GOOD = (VersionState.DRAFT, VersionState.PUBLISHED, VersionState.WITHDRAWN)

EMPTY_TREE = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
"""Git's id of a folder without files."""

_NO_REGISTRATION = "registration-missing"
"""The finding that a bundle does not say where it can live: an upload's request says it."""


def add_template(unit: Unit, name: TemplateName, kind: TemplateKind, *, actor: Actor, now: datetime) -> Template:
    """Make a template without versions. The source that has a folder of its name takes it as its own."""
    require(actor, Act.REVIEW)
    made = Template(name, kind, None, "", now)
    unit.registry.add_template(made)
    unit.journal.record(events.TemplateAdded(f"template/{name}", kind), actor, now)
    return made


def add_version(
    unit: Unit,
    template: Template,
    number: Version,
    path: str,
    commit: Commit,
    bundle: Bundle,
    inspection: Inspection,
    limits: Limits,
    now: datetime,
) -> TemplateVersion:
    """Keep a bundle as a version: a draft, unless something in it is wrong or breaks the version before. Of many
    findings the worst are kept."""
    before = unit.registry.latest(template.name, number.major, _GOOD)
    findings = [*inspection.findings, *compatibility(before.schema if before else None, inspection.schema)]
    if inspection.kind is not None and inspection.kind is not template.kind:
        if template.source is None or any(v.state in _GOOD for v in unit.registry.versions(template.name)):
            findings.append(_other_kind(template, inspection.kind))
        else:
            # Nothing of it could be used so far, so its kind was a guess.
            unit.registry.save_template(replace(template, kind=inspection.kind))
    version = TemplateVersion(
        template=template.name,
        version=number,
        state=VersionState.REGISTRATION_FAILED if has_errors(findings) else VersionState.DRAFT,
        tree=bundle.tree,
        commit=commit,
        path=path,
        created_at=now,
        findings=bounded(findings, limits.findings),
        schema=inspection.schema,
        has_pipeline=Part.PIPELINE in inspection.templates,
        compatible_environments=inspection.compatible_environments,
    )
    unit.registry.keep_bundle(bundle)
    unit.registry.add_version(version)
    errors = sum(has_errors([finding]) for finding in findings)
    told = events.VersionRegistered(
        f"template/{template.name}", str(number), version.state, commit.id, version.tree, errors
    )
    unit.journal.record(told, DAEMON, now)
    if version.state is VersionState.DRAFT:
        unit.work.ask(WorkKind.PREVIEW, subject_of(template.name, number), now, "registered")
    return version


def ask(
    unit: Unit,
    template: Template,
    bucket: str,
    key: str,
    *,
    major: int | None,
    compatible: Sequence[CompatibleEnvironment] = (),
    message: str = "",
    actor: Actor,
    now: datetime,
) -> Upload:
    """Ask for an upload to be registered: as the next minor of a major, or of a new major when none is named."""
    require(actor, Act.REVIEW)
    known = unit.registry.majors(template.name)
    if major is None:
        number = max((each.major for each in known), default=0) + 1
        into = Major(template.name, number, f"{template.name}/v{number}")
    else:
        found = unit.registry.find_major(template.name, major)
        if found is None:
            raise NotFound(f"{template.name} has no major {major}", cure="leave the major out for a new one")
        into = found
    unit.registry.save_major(replace(into, next_minor=into.next_minor + 1))
    version = Version(into.major, into.next_minor)
    upload = Upload(template.name, version, bucket, key, actor.name, now, tuple(compatible), message)
    unit.uploads.add(upload)
    unit.journal.record(events.UploadAsked(f"template/{template.name}", str(version), upload.place), actor, now)
    unit.work.ask(WorkKind.REGISTER, subject_of(template.name, version), now)
    return upload


def refuse_registering(unit: Unit, template: TemplateName, version: Version) -> None:
    """Raise Conflict while an upload is on its way to becoming this version."""
    if unit.uploads.find(template, version) is not None:
        raise Conflict(f"{template} {version} is being registered", cure="wait until it is")


def register(
    store: Store,
    uploaded: Uploaded,
    renderer: Renderer,
    claim: Claim,
    *,
    routing: Routing,
    limits: Limits = LIMITS,
    now: datetime,
) -> None:
    """Do one REGISTER work: read an upload and make the version of it. What may be read later is tried again."""
    name, _, text = claim.subject.partition("@")
    number = parse_version(text)
    with store.read() as unit:
        upload = unit.uploads.find(TemplateName(name), number)
    if upload is None:
        with store.write() as unit:
            unit.work.done(claim)
        return
    bundle, inspection = _read(uploaded, renderer, upload, limits)
    with store.write() as unit:
        unit.work.hold(claim)
        template = unit.registry.find_template(upload.template)
        if template is not None and unit.uploads.find(upload.template, number) is not None:
            commit = Commit(bundle.tree, upload.asked_by, "", upload.asked_at, upload.message or upload.place)
            path = f"{template.name}/v{number.major}"
            made = add_version(unit, template, number, path, commit, bundle, inspection, limits, now)
            unit.uploads.remove(upload.template, number)
            channel = routing.of_template(template.name)
            for notice in notices.registered(channel, SourceName(upload.place), [made]) if channel else ():
                unit.outbox.owe(notice, now)
        unit.work.done(claim)


def _read(uploaded: Uploaded, renderer: Renderer, upload: Upload, limits: Limits) -> tuple[Bundle, Inspection]:
    try:
        bundle = uploaded(upload.bucket, upload.key)
    except TransientError:
        raise
    except UpkeepError as fault:
        return Bundle(EMPTY_TREE, ()), unreadable(fault.message, fault.cure)
    inspection = examine(bundle, renderer, limits.bundle)
    if upload.compatible_environments:
        inspection = replace(
            inspection,
            compatible_environments=upload.compatible_environments,
            findings=tuple(each for each in inspection.findings if each.slug != _NO_REGISTRATION),
        )
    return bundle, inspection


def _other_kind(template: Template, kind: TemplateKind) -> Finding:
    return error(
        "other-kind",
        f"this is a bundle for the kind {kind}, but {template.name} is a template for the kind {template.kind}",
        cure="give it a folder and template name of its own",
    )
