"""Template versions: https://docs.aws.amazon.com/proton/latest/APIReference/API_ServiceTemplateVersion.html.

Each operation is there for environment templates and for service templates. Publishing is an update of the status.
"""

from functools import partial

from upkeep.domain.errors import CallerError
from upkeep.domain.names import Version, parse_template_name
from upkeep.domain.people import Act, require
from upkeep.domain.versions import CompatibleEnvironment, Template, TemplateKind, TemplateVersion, VersionState
from upkeep.flows import register, review
from upkeep.web.proton import words
from upkeep.web.proton.protocol import Answer, Call, part, reads, writes
from upkeep.web.proton.repeats import amend, remember
from upkeep.web.proton.templates import family_of


def create(kind: TemplateKind, call: Call) -> Answer:
    """Register a bundle in S3: as the next minor of a major that is named, or of a new major."""
    family = family_of(call, call.given["templateName"], kind)
    place = call.given["source"]["s3"]
    upload = register.ask(
        call.unit,
        family,
        place["bucket"],
        place["key"],
        major=call.number("majorVersion"),
        compatible=[
            CompatibleEnvironment(parse_template_name(one["templateName"]), part(one["majorVersion"]))
            for one in call.given.get("compatibleEnvironmentTemplates", ())
        ],
        message=call.given.get("description", ""),
        actor=call.actor,
        now=call.now,
    )
    subject = f"version/{family.name}/{upload.version}"
    remember(call, subject, "description", "supportedComponentSources", "tags")
    return {f"{kind}TemplateVersion": words.upload(call, family, upload)}


def get(kind: TemplateKind, call: Call) -> Answer:
    """One version."""
    family = family_of(call, call.given["templateName"], kind)
    upload = call.unit.uploads.find(family.name, _number(call))
    if upload is not None:
        return {f"{kind}TemplateVersion": words.upload(call, family, upload)}
    return _answer(call, *_named(kind, call))


def listed(kind: TemplateKind, call: Call) -> Answer:
    """A page of a template's versions, of one major if it is named. As Proton did, without a major it lists the newest
    version of each major."""
    family = family_of(call, call.given["templateName"], kind)
    major = call.number("majorVersion")
    known = list(call.unit.registry.versions(family.name, major))
    if major is None:
        known = list({one.version.major: one for one in reversed(known)}.values())
    coming = [each for each in call.unit.uploads.of_template(family.name) if major in (None, each.version.major)]
    rows = [(each.version, words.version(call, family, each, summary=True)) for each in known]
    rows += [(each.version, words.upload(call, family, each, summary=True)) for each in coming]
    shown, following = call.page(rows, lambda row: f"{row[0].major:09}.{row[0].minor:09}")
    return {"templateVersions": [row for _, row in shown], "nextToken": following}


def update(kind: TemplateKind, call: Call) -> Answer:
    """Publish a draft, or describe a version anew."""
    family, found = _named(kind, call)
    _refuse_other_environments(call, found)
    status = call.text("status") or found.state
    if status == VersionState.PUBLISHED:
        review.publish(
            call.unit,
            family.name,
            found.version,
            seen_tree=None,
            note=call.text("description"),
            routing=call.routing,
            actor=call.actor,
            now=call.now,
        )
    elif status != found.state:
        raise CallerError(f"a version that is {found.state} cannot become {status}", cure="drafts can be PUBLISHED")
    require(call.actor, Act.REVIEW)
    amend(call, _subject(found), family.created_at, "description", "supportedComponentSources")
    return _answer(call, *_named(kind, call))


def delete(kind: TemplateKind, call: Call) -> Answer:
    """Delete a version that nothing runs."""
    family, found = _named(kind, call)
    answer = _answer(call, family, found)
    review.delete(call.unit, family.name, found.version, actor=call.actor, now=call.now)
    call.unit.annotations.remove(_subject(found))
    return answer


for _kind, _word in ((TemplateKind.ENVIRONMENT, "Environment"), (TemplateKind.SERVICE, "Service")):
    writes(f"Create{_word}TemplateVersion")(partial(create, _kind))
    reads(f"Get{_word}TemplateVersion")(partial(get, _kind))
    reads(f"List{_word}TemplateVersions")(partial(listed, _kind))
    writes(f"Update{_word}TemplateVersion")(partial(update, _kind))
    writes(f"Delete{_word}TemplateVersion")(partial(delete, _kind))


def _named(kind: TemplateKind, call: Call) -> tuple[Template, TemplateVersion]:
    family = family_of(call, call.given["templateName"], kind)
    number = _number(call)
    register.refuse_registering(call.unit, family.name, number)
    return family, call.unit.registry.version(family.name, number)


def _number(call: Call) -> Version:
    return Version(call.number("majorVersion") or 0, call.number("minorVersion") or 0)


def _answer(call: Call, family: Template, found: TemplateVersion) -> Answer:
    return {f"{family.kind}TemplateVersion": words.version(call, family, found)}


def _refuse_other_environments(call: Call, found: TemplateVersion) -> None:
    """Where a service can live stands in its bundle, and what is published is what was reviewed."""
    given = call.given.get("compatibleEnvironmentTemplates", ())
    named = {(one["templateName"], int(one["majorVersion"])) for one in given}
    if named and named != {(one.template, one.major) for one in found.compatible_environments}:
        raise CallerError(
            "compatible environments are part of a version's bundle and are not changed afterwards",
            cure="change .template-registration.yaml in git, or register another version",
        )


def _subject(found: TemplateVersion) -> str:
    return f"version/{found.template}/{found.version}"
