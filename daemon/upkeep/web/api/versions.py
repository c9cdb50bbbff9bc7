"""Versions of templates: what is in them, what they would change, and what becomes of them."""

from datetime import datetime

from pydantic import BaseModel, Field

from upkeep.domain.changesets import Risk
from upkeep.domain.errors import NotFound
from upkeep.domain.findings import Severity
from upkeep.domain.names import TemplateName, parse_version
from upkeep.domain.names import Version as Numbered
from upkeep.domain.people import Act
from upkeep.domain.versions import Template, TemplateVersion, VersionState
from upkeep.flows import plan as plans
from upkeep.flows import review
from upkeep.flows.browse import facts, reviews
from upkeep.flows.browse.comparisons import comparison
from upkeep.flows.browse.differences import Change
from upkeep.web.api.lists import DEFAULT, MOST, Listed, cut, page, place_of
from upkeep.web.api.operations import Call, Noun
from upkeep.web.api.words import ANSWER, ORDER, QUERY, Name, Number, Sentence, Whole

noun = Noun("versions", "Versions of templates: drafts, published ones, and what became of them.")


class Finding(BaseModel):
    """A remark about a file: what is wrong, where, and its cure."""

    model_config = ANSWER

    severity: Severity
    slug: str
    message: str
    where: str
    path: str
    line: int | None
    cure: str | None


class Version(BaseModel):
    """A version, where it comes from and what became of it."""

    model_config = ANSWER

    template: str
    version: str
    state: VersionState
    recommended: bool
    in_use: int
    """How many resources run it or are being moved to it."""
    commit: str
    short_commit: str
    subject: str
    author: str
    author_email: str
    committed_at: datetime
    tree: str
    """The git tree id of its files: what `seen` of a publication names."""
    path: str
    created_at: datetime
    has_pipeline: bool
    compatible_environments: list[str]
    published_at: datetime | None
    published_by: str | None
    withdrawn_at: datetime | None
    note: str | None
    findings: list[Finding]


class BundleFile(BaseModel):
    """A file of a version."""

    model_config = ANSWER

    path: str
    mode: str
    """Git's mode of it."""
    blob: str
    """Its git object id."""
    size: int


class BundleFiles(BaseModel):
    """The files of a version."""

    model_config = ANSWER

    items: list[BundleFile]
    """By path."""


class FileContent(BaseModel):
    """A file of a version with what stands in it."""

    model_config = ANSWER

    path: str
    mode: str
    blob: str
    size: int
    text: str | None
    """Null when it is not text, or larger than files of a bundle may be."""


class FileDifference(BaseModel):
    """A file that differs between two versions."""

    model_config = ANSWER

    path: str
    change: Change
    diff: str
    """A unified diff."""
    not_shown: str | None
    """Why there is no diff."""


class Comparison(BaseModel):
    """What changed in the files of a version."""

    model_config = ANSWER

    version: str
    against: str | None
    """What it is compared with; null when there is nothing before it, and everything is new."""
    files: list[FileDifference]


class Check(BaseModel):
    """What a draft would change in the stack of one resource."""

    model_config = ANSWER

    resource: str
    risk: Risk
    plan: str | None
    stale: bool


class RenderedGroup(BaseModel):
    """Resources whose rendered template changes in the same way."""

    model_config = ANSWER

    resources: list[str]
    running: list[str]
    diff: str
    failure: str | None


class Review(BaseModel):
    """What is weighed before a draft is published."""

    model_config = ANSWER

    version: Version
    becomes_recommended: bool
    behind: int
    """How many resources will be behind once it is published."""
    newly: int
    """How many of them are not behind yet."""
    checks: list[Check]
    """What change sets said, worst first."""
    waiting: int
    """How many checks are being worked out."""
    rendering: bool
    """Whether the rendered differences are being worked out."""
    rendered: list[RenderedGroup]
    evidence: str
    """What stands for all that was found so far: what `evidence` of a publication names."""


class Published(BaseModel):
    """What publishing, withdrawing or recommending did."""

    model_config = ANSWER

    recommended: str | None
    """What is recommended now."""
    behind: int
    """How many resources of the template are behind now."""


class Checked(BaseModel):
    """What a check asked for."""

    model_config = ANSWER

    asked: int
    """How many resources are looked at."""


class VersionsQuery(BaseModel):
    """Which versions."""

    model_config = QUERY

    major: Whole | None = Field(None, ge=0, le=999_999_999)
    state: VersionState | None = None
    limit: Whole = Field(DEFAULT, ge=1, le=MOST)
    cursor: str | None = None


class ComparisonQuery(BaseModel):
    """Compared with what."""

    model_config = QUERY

    against: Number | None = None
    """The highest published version below it otherwise."""


class ContentQuery(BaseModel):
    """Which file."""

    model_config = QUERY

    path: str = Field(min_length=1, max_length=1000)


class PublishOrder(BaseModel):
    """An approval: what was looked at, and what its owners are told."""

    model_config = ORDER

    seen: str = Field(pattern=r"^[0-9a-f]{40}([0-9a-f]{24})?$")
    """The `tree` of the draft that was looked at; refused when it is another now."""
    evidence: str | None = Field(None, max_length=100)
    """The `evidence` of the review that was looked at; refused when something else was found since."""
    note: Sentence | None = None
    """What the owners are told about it."""
    acknowledged: bool = False
    """Whether it is known that something is replaced; needed only when a check found that."""


class WithdrawOrder(BaseModel):
    """Why a version is withdrawn."""

    model_config = ORDER

    reason: Sentence = ""


@noun.get("/templates/{template}/versions")
def list_versions(call: Call, template: Name, query: VersionsQuery) -> Listed[Version]:
    """List the versions of a template, highest first."""
    family = call.unit.registry.template(template)
    place = place_of(query.cursor)
    below = parse_version(place) if place is not None else None
    found = [
        version
        for version in call.unit.registry.versions(family.name, query.major)
        if query.state in (None, version.state) and (below is None or version.version < below)
    ]
    shown, behind = cut(found, query.limit, lambda each: str(each.version))
    return page((_told(call, family, each) for each in shown), behind)


@noun.get("/templates/{template}/versions/{version}")
def get_version(call: Call, template: Name, version: Number) -> Version:
    """Show a version, with every finding of its registration."""
    family = call.unit.registry.template(template)
    return _told(call, family, call.unit.registry.version(family.name, parse_version(version)))


@noun.get("/templates/{template}/versions/{version}/files")
def list_files(call: Call, template: Name, version: Number) -> BundleFiles:
    """List the files of a version."""
    bundle = call.unit.registry.bundle(_found(call, template, version).tree)
    return BundleFiles.model_validate({"items": [facts.bundle_file_row(file) for file in bundle.files]})


@noun.get("/templates/{template}/versions/{version}/content")
def get_file(call: Call, template: Name, version: Number, query: ContentQuery) -> FileContent:
    """Show a file of a version."""
    bundle = call.unit.registry.bundle(_found(call, template, version).tree)
    file = next((file for file in bundle.files if file.path == query.path), None)
    if file is None:
        raise NotFound(f"{template} {version} has no file `{query.path}`", cure="look at the list of its files")
    try:
        text = file.content.decode() if file.content is not None else None
    except UnicodeDecodeError:
        text = None
    return FileContent.model_validate(facts.bundle_file_row(file) | {"text": text})


@noun.get("/templates/{template}/versions/{version}/compare")
def compare_versions(call: Call, template: Name, version: Number, query: ComparisonQuery) -> Comparison:
    """Show what changed in the files of a version, as unified diffs."""
    named = parse_version(query.against) if query.against is not None else None
    found = comparison(call.unit, template, parse_version(version), named).compared
    if found.unknown is not None:
        raise NotFound(found.unknown, cure="compare other versions")
    return Comparison(
        version=version,
        against=str(found.other.version) if found.other is not None else None,
        files=[FileDifference.model_validate(facts.file_difference_row(each)) for each in found.files],
    )


@noun.get("/templates/{template}/versions/{version}/review")
def get_review(call: Call, template: Name, version: Number) -> Review:
    """Show what publishing a draft would do, what was checked, and how what is rendered would change."""
    view = reviews.review(call.unit, template, parse_version(version))
    return Review(
        version=_told(call, view.template, view.draft),
        becomes_recommended=view.becomes_recommended,
        behind=view.behind,
        newly=view.newly,
        checks=[
            Check(
                resource=str(check.resource.key),
                risk=check.risk,
                plan=check.plan.id if check.plan is not None else None,
                stale=check.stale,
            )
            for check in view.checks.rows
        ],
        waiting=view.checks.waiting,
        rendering=view.rendering,
        rendered=[
            RenderedGroup(
                resources=list(group.resources), running=list(group.running), diff=group.diff, failure=group.failure
            )
            for group in (view.preview.groups if view.preview is not None else ())
        ],
        evidence=view.evidence,
    )


@noun.post("/templates/{template}/versions/{version}/check", Act.REVIEW, status=202)
def check_version(call: Call, template: Name, version: Number) -> Checked:
    """Check a draft with a change set for every resource it could move. Nothing is deployed."""
    name, number = TemplateName(template), parse_version(version)
    return Checked(asked=plans.check_draft(call.unit, name, number, actor=call.actor, now=call.now))


@noun.post("/templates/{template}/versions/{version}/publish", Act.REVIEW)
def publish_version(call: Call, template: Name, version: Number, body: PublishOrder) -> Published:
    """Offer a draft to resources; the highest published version becomes the recommended one. Deploys nothing."""
    done = review.publish(
        call.unit,
        TemplateName(template),
        parse_version(version),
        seen_tree=body.seen,
        seen_evidence=body.evidence,
        note=body.note,
        routing=call.rooms.routing,
        acknowledged=body.acknowledged,
        actor=call.actor,
        now=call.now,
    )
    return _published(call, TemplateName(template), done.recommended)


@noun.post("/templates/{template}/versions/{version}/withdraw", Act.REVIEW)
def withdraw_version(call: Call, template: Name, version: Number, body: WithdrawOrder) -> Published:
    """Offer a published version no longer. What runs it keeps running."""
    name, number = TemplateName(template), parse_version(version)
    recommended = review.withdraw(call.unit, name, number, reason=body.reason, actor=call.actor, now=call.now)
    return _published(call, name, recommended)


@noun.post("/templates/{template}/versions/{version}/recommend", Act.REVIEW)
def recommend_version(call: Call, template: Name, version: Number) -> Published:
    """Make a published version the recommended one, also an older one: the way back from a bad release."""
    name, number = TemplateName(template), parse_version(version)
    review.recommend(call.unit, name, number, actor=call.actor, now=call.now)
    return _published(call, name, number)


@noun.delete("/templates/{template}/versions/{version}", Act.REVIEW)
def delete_version(call: Call, template: Name, version: Number) -> None:
    """Delete a version that nothing runs; its number is never given again. Discards a draft, too."""
    review.delete(call.unit, TemplateName(template), parse_version(version), actor=call.actor, now=call.now)


def _found(call: Call, template: str, version: str) -> TemplateVersion:
    family = call.unit.registry.template(template)
    return call.unit.registry.version(family.name, parse_version(version))


def _told(call: Call, family: Template, version: TemplateVersion) -> Version:
    return Version.model_validate(facts.version_row(version, family, call.unit.registry.in_use(family.name)))


def _published(call: Call, template: TemplateName, recommended: Numbered | None) -> Published:
    return Published(
        recommended=str(recommended) if recommended is not None else None,
        behind=len(call.unit.fleet.behind(template)),
    )
