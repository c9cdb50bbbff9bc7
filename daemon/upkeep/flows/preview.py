"""Preview: what a draft would change in every resource on its major, rendered and grouped, before anyone decides."""

from datetime import datetime

from upkeep.domain.names import ResourceKey, TemplateName, Version
from upkeep.domain.previews import PreviewGroup
from upkeep.domain.work import Claim, WorkKind
from upkeep.flows.ports import Renderer, Store, Unit


def subject_of(template: TemplateName, version: Version) -> str:
    """The subject of the work that previews a version: `name@1.3`."""
    return f"{template}@{version}"


def ask_for_drafts(unit: Unit, template: TemplateName, major: int, now: datetime) -> None:
    """Ask for fresh previews of all drafts of a major: a spec or a running version on it has changed."""
    for draft in unit.registry.drafts():
        if draft.template == template and draft.version.major == major:
            unit.work.ask(WorkKind.PREVIEW, subject_of(template, draft.version), now, "resources changed")


def preview(store: Store, renderer: Renderer, claim: Claim, *, now: datetime) -> None:
    """Do one PREVIEW work: render the running and the drafted version for each resource and keep the groups."""
    raise NotImplementedError


def preview_resource(store: Store, renderer: Renderer, key: ResourceKey, to: Version) -> PreviewGroup:
    """What moving one resource to a version, with the inputs it has, would change."""
    raise NotImplementedError
