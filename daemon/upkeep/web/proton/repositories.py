"""Repositories that are linked: https://docs.aws.amazon.com/proton/latest/APIReference/API_Repository.html.

Upkeep enters repositories by its sources' own credentials, so that the connection that Proton needed is only kept.
"""

from datetime import datetime

from upkeep.domain.annotations import Annotation
from upkeep.domain.errors import CallerError, Conflict, NotFound
from upkeep.domain.people import Act, require
from upkeep.domain.sources import Source
from upkeep.domain.work import WorkKind
from upkeep.web.proton.protocol import Answer, Call, reads, writes
from upkeep.web.proton.remotes import is_of
from upkeep.web.proton.repeats import made_before, remember

_KIND = "repository"


@writes("CreateRepository")
def create(call: Call) -> Answer:
    """Link a repository."""
    require(call.actor, Act.FOLLOW)
    subject = _subject(call, "name", "provider")
    there = call.unit.annotations.find(subject)
    if there is None:
        remember(call, subject, "name", "provider", "connectionArn", "encryptionKey", "tags")
    else:
        made_before(call, subject, there.at)
    return {"repository": _repository(call, _linked(call, subject))}


@reads("GetRepository")
def get(call: Call) -> Answer:
    """One repository that is linked."""
    return {"repository": _repository(call, _linked(call, _subject(call, "name", "provider")))}


@reads("ListRepositories")
def listed(call: Call) -> Answer:
    """A page of the repositories that are linked."""
    shown, following = call.page(call.unit.annotations.list(_KIND), lambda linked: linked.subject)
    return {"repositories": [_repository(call, each, summary=True) for each in shown], "nextToken": following}


@writes("DeleteRepository")
def delete(call: Call) -> Answer:
    """Link a repository no longer. Refused while a source reads it."""
    require(call.actor, Act.FOLLOW)
    linked = _linked(call, _subject(call, "name", "provider"))
    if sources := _sources(call, "name", "provider"):
        raise Conflict(f"source `{sources[0].name}` reads it", cure="disconnect its templates first")
    call.unit.annotations.remove(linked.subject)
    return {"repository": _repository(call, linked)}


@reads("GetRepositorySyncStatus")
def sync_status(call: Call) -> Answer:
    """How the last sync of a branch went."""
    _refuse_service_sync(call)
    source = next((one for one in _sources(call) if one.branch == call.given["branch"]), None)
    if source is None:
        raise NotFound("no source reads this branch of this repository", cure="create a template sync config")
    started = source.checked_at or source.synced_at or call.now
    return {
        "latestSync": {
            "status": _status(call, source),
            "startedAt": started,
            "events": _events(source, started),
        }
    }


@reads("ListRepositorySyncDefinitions")
def definitions(call: Call) -> Answer:
    """Which templates are read from a repository, and from where in it."""
    _refuse_service_sync(call)
    rows = [
        {"branch": source.branch, "directory": each.path, "parent": source.name, "target": each.name}
        for source in _sources(call)
        for each in call.unit.registry.templates(source.name)
    ]
    return {"syncDefinitions": rows}


def _refuse_service_sync(call: Call) -> None:
    if call.given["syncType"] == "SERVICE_SYNC":
        raise CallerError("there is no service sync here", cure="ask for TEMPLATE_SYNC")


def _sources(call: Call, name: str = "repositoryName", provider: str = "repositoryProvider") -> list[Source]:
    return [one for one in call.unit.sources.list() if is_of(one, call.given[provider], call.given[name])]


def _status(call: Call, source: Source) -> str:
    work = next((w for w in call.unit.work.list(500) if (w.kind, w.subject) == (WorkKind.SYNC, source.name)), None)
    if work is not None and work.leased_until is not None and work.leased_until > call.now:
        return "IN_PROGRESS"
    if source.stall is not None or source.failures:
        return "FAILED"
    return "QUEUED" if work is not None or source.checked_at is None else "SUCCEEDED"


def _events(source: Source, at: datetime) -> list[Answer]:
    """What there is to tell, in the types of event that Proton had, as far as they are known."""
    told: list[tuple[str, str, str | None]] = []
    if source.synced_commit is not None:
        told.append(("STARTING_SYNC", f"Starting syncs for commit {source.synced_commit}", source.synced_commit))
    if source.stall is not None:
        told.append(("SYNC_STALLED", f"{source.stall.reason}: {source.stall.cure}", None))
    elif source.failure is not None:
        told.append(("SYNC_FAILED", source.failure, None))
    return [{"type": kind, "event": event, "externalId": commit, "time": at} for kind, event, commit in told]


def _subject(call: Call, name: str, provider: str) -> str:
    return f"{_KIND}/{call.given[provider].lower()}/{call.given[name]}"


def _linked(call: Call, subject: str) -> Annotation:
    found = call.unit.annotations.find(subject)
    if found is None:
        raise NotFound(f"there is no linked {subject}", cure="link it with create-repository")
    return found


def _repository(call: Call, linked: Annotation, *, summary: bool = False) -> Answer:
    said = linked.facts
    told = {
        "arn": call.names.repository(said["provider"], said["name"]),
        "name": said["name"],
        "provider": said["provider"],
        "connectionArn": said["connectionArn"],
    }
    return told if summary else told | {"encryptionKey": said.get("encryptionKey")}
