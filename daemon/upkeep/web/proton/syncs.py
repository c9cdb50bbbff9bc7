"""Template sync: https://docs.aws.amazon.com/proton/latest/APIReference/API_TemplateSyncConfig.html."""

from upkeep.domain.errors import CallerError, Conflict, NotFound
from upkeep.domain.names import parse_template_name
from upkeep.domain.sources import Source
from upkeep.domain.versions import Template, TemplateKind, TemplateVersion, VersionState
from upkeep.flows import connect
from upkeep.web.proton.protocol import Answer, Call, reads, writes
from upkeep.web.proton.remotes import address_of, is_of, name_of, provider_of
from upkeep.web.rooms import rooms

_GOOD = (VersionState.DRAFT, VersionState.PUBLISHED, VersionState.WITHDRAWN)


@writes("CreateTemplateSyncConfig")
def create(call: Call) -> Answer:
    """Read a template from a repository. The same again changes nothing."""
    found = _template(call)
    there = _source(call, found)
    if there is None:
        return {"templateSyncConfig": _config(found, _connected(call, found))}
    config = _config(found, there)
    if config != {"subdirectory": None, **call.given}:
        raise Conflict(f"{found.name} is read from {there.url} already", cure="update its template sync config")
    return {"templateSyncConfig": config}


@reads("GetTemplateSyncConfig")
def get(call: Call) -> Answer:
    """From where a template is read."""
    found = _template(call)
    return {"templateSyncConfig": _config(found, _required(call, found))}


@writes("UpdateTemplateSyncConfig")
def update(call: Call) -> Answer:
    """Read a template from elsewhere."""
    found = _template(call)
    _required(call, found)
    return {"templateSyncConfig": _config(found, _connected(call, found))}


@writes("DeleteTemplateSyncConfig")
def delete(call: Call) -> Answer:
    """Read a template no longer."""
    found = _template(call)
    source = connect.disconnect(call.unit, found.name, actor=call.actor, now=call.now)
    return {"templateSyncConfig": _config(found, source)}


@reads("GetTemplateSyncStatus")
def status(call: Call) -> Answer:
    """What became of a major's folder: the last version made of it, and the last good one."""
    found = _template(call)
    source = _required(call, found)
    major = call.unit.registry.find_major(found.name, call.number("templateVersion") or 0)
    if major is None:
        raise NotFound(f"{found.name} has no major {call.given['templateVersion']}", cure="push a folder for it")
    versions = call.unit.registry.versions(found.name, major.major)
    good = [one for one in versions if one.state in _GOOD]
    sha = source.synced_commit
    return {
        "desiredState": None if sha is None else _revision(source, major.path, sha),
        "latestSync": _attempt(call, source, list(versions)),
        "latestSuccessfulSync": _attempt(call, source, good),
    }


def _template(call: Call) -> Template:
    found = call.unit.registry.template(parse_template_name(call.given["templateName"]))
    if found.kind is not TemplateKind(call.given["templateType"].lower()):
        raise CallerError(f"{found.name} is a template for the kind {found.kind}", cure="name its type")
    return found


def _source(call: Call, found: Template) -> Source | None:
    return None if found.source is None else call.unit.sources.get(found.source)


def _required(call: Call, found: Template) -> Source:
    source = _source(call, found)
    if source is None:
        raise NotFound(f"{found.name} is read from no repository", cure="create a template sync config for it")
    return source


def _connected(call: Call, found: Template) -> Source:
    """Connect to the repository by the address a source reads it at, whichever host that is, or at its provider's."""
    provider, name = call.given["repositoryProvider"], call.given["repositoryName"]
    known = next((one.url for one in call.unit.sources.list() if is_of(one, provider, name)), None)
    return connect.connect(
        call.unit,
        found.name,
        known or address_of(provider, name),
        call.given["branch"],
        call.given.get("subdirectory", "").strip("/"),
        at_most=rooms().bounds.sources,
        actor=call.actor,
        now=call.now,
    )


def _config(found: Template, source: Source) -> Answer:
    return {
        "branch": source.branch,
        "repositoryName": name_of(source.url),
        "repositoryProvider": provider_of(source.url),
        "subdirectory": source.subdirectory or None,
        "templateName": found.name,
        "templateType": found.kind.upper(),
    }


def _revision(source: Source, directory: str, sha: str) -> Answer:
    return {
        "branch": source.branch,
        "directory": directory,
        "repositoryName": name_of(source.url),
        "repositoryProvider": provider_of(source.url),
        "sha": sha,
    }


def _attempt(call: Call, source: Source, versions: list[TemplateVersion]) -> Answer | None:
    """The making of the newest of some versions, told as the sync that made it."""
    if not versions:
        return None
    newest, before = versions[0], versions[min(1, len(versions) - 1)]
    failed = newest.state is VersionState.REGISTRATION_FAILED
    commit = newest.commit.id
    return {
        "status": "FAILED" if failed else "SUCCEEDED",
        "startedAt": newest.created_at,
        "target": f"{newest.template}:{newest.version}",
        "initialRevision": _revision(source, before.path, before.commit.id),
        "targetRevision": _revision(source, newest.path, commit),
        "events": [
            {
                "type": "STARTING_SYNC",
                "event": f"Starting syncs for commit {commit}",
                "externalId": commit,
                "time": newest.created_at,
            }
        ],
    }
