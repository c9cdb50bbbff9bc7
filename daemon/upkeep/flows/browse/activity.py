"""Activity: who did what, through which door, in sentences."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from upkeep.domain.errors import CallerError
from upkeep.domain.events import JournalEntry
from upkeep.domain.names import parse_resource_key
from upkeep.domain.people import Via
from upkeep.flows.ports import Unit

PAGE = 100
"""Entries on a page."""


@dataclass(frozen=True, slots=True)
class ActivityRow:
    """An entry with its sentence, which goes on after the actor's name."""

    entry: JournalEntry
    sentence: str

    @property
    def change(self) -> tuple[str, str] | None:
        """What it was before and after, for an event that says so."""
        facts = self.entry.facts
        if "before" not in facts or "after" not in facts or facts["before"] == facts["after"]:
            return None
        told = _short if self.entry.kind == "source_synced" else str
        return told(facts["before"] or "none"), told(facts["after"] or "none")


@dataclass(frozen=True, slots=True)
class ActivityView:
    """A page of the audit trail; `next` is the id the next page starts below."""

    rows: tuple[ActivityRow, ...]
    next: int | None


@dataclass(frozen=True, slots=True)
class ActivityFilter:
    """Which entries are shown; every field narrows it further. They happened at `since` or later, and before
    `until`."""

    subject: str | None = None
    kind: str | None = None
    actor: str | None = None
    via: Via | None = None
    since: datetime | None = None
    until: datetime | None = None


def activity(unit: Unit, wanted: ActivityFilter, before: int | None = None, limit: int = PAGE) -> ActivityView:
    """The entries below an id, newest first."""
    entries = unit.journal.entries(
        limit + 1, before, wanted.subject, wanted.kind, wanted.actor, wanted.via, wanted.since, wanted.until
    )
    shown = entries[:limit]
    return ActivityView(
        tuple(ActivityRow(entry, sentence(entry)) for entry in shown),
        shown[-1].id if len(entries) > limit else None,
    )


def sentence(entry: JournalEntry) -> str:
    """What happened, going on after the name of the one who did it."""
    name = _spoken(entry.subject)
    tell = _TOLD.get(entry.kind)
    if tell is not None:
        return tell(name, entry.facts)
    template = _SENTENCES.get(entry.kind)
    if template is None:
        return f"{entry.kind.replace('_', ' ')}: {name}"
    return template.format_map({**entry.facts, "name": name})


def _spoken(subject: str) -> str:
    """How people speak of a subject: a resource by its short name, everything else by its name."""
    try:
        return parse_resource_key(subject).short
    except CallerError:
        return subject.partition("/")[2]


_Facts = Mapping[str, Any]

_SENTENCES: Mapping[str, str] = {
    "source_added": "followed {url}, branch {branch}, as {name}",
    "source_changed": "changed the {fields} of source {name}",
    "source_removed": "stopped following {url}",
    "source_failed": "could not sync {name}: {reason}",
    "source_stalled": "stopped syncing {name}: {reason}",
    "source_resumed": "resumed syncing {name}",
    "sync_asked": "asked {name} to sync",
    "template_added": "added the {template_kind} template {name}",
    "template_connected": "had {name} read from {source}",
    "upload_asked": "asked to register {name} {version} from {place}",
    "template_discovered": "discovered the {template_kind} template {name} in {source}",
    "major_removed": "saw major {major} of {name} disappear from its branch",
    "major_returned": "saw major {major} of {name} return to its branch",
    "version_deleted": "deleted {name} {version}, which was {state}",
    "template_deleted": "deleted the template {name}",
    "resource_enrolled": "created {name} from {template} {version}",
    "resource_deleted": "deleted {name}",
    "deployment_stalled": "stopped the deployment of {name} until somebody acts: {reason}",
    "drift_asked": "asked whether {name} has drifted",
    "drift_compared": "compared {name} with what was deployed: {state}",
    "rollout_started": "began to update {resources} of {name} together",
    "resource_woken": "ended the snooze of {name}",
    "rollout_paused": "paused the update of {name}: {reason}",
    "rollout_resumed": "resumed the update of {name}",
    "rollout_ended": "ended the update of {name}, {status}: {updated} updated, {failed} failed",
    "tags_changed": "tagged {name}: {keys}",
    "outputs_told": "told the outputs of {name}: {keys}",
    "description_changed": "described {name}: {fields}",
    "deployment_deleted": "deleted the deployment {deployment} of {name}",
    "user_added": "let {name} in as {role}",
    "user_removed": "let {name} in no longer",
    "user_changed": "changed {name}: {changes}",
    "user_renamed": "came back as {name}, known as {before} before",
    "password_changed": "changed the password of {name}",
    "waits_lifted": "forgot the wrong passwords for {name}",
    "token_created": "created the token “{label}” for {name}: {scopes}",
    "token_revoked": "revoked the token “{label}” of {name}",
    "signed_in": "signed in",
    "sign_in_refused": "was refused at the door",
    "signed_out": "signed out",
}


def _synced(name: str, facts: _Facts) -> str:
    count = facts["registered"]
    registered = f" and registered {count} version{'s' if count != 1 else ''}" if count else ""
    return f"read {name} up to {_short(facts['after'])}{registered}"


def _version_registered(name: str, facts: _Facts) -> str:
    origin = f"{name} {facts['version']} from commit {_short(facts['commit'])}"
    if facts["errors"]:
        return f"could not register {origin}: {facts['errors']} error{'s' if facts['errors'] != 1 else ''}"
    return f"registered {origin} as {'a draft' if facts['state'] == 'DRAFT' else facts['state']}"


def _published(name: str, facts: _Facts) -> str:
    note = f", saying “{facts['note']}”" if facts["note"] else ""
    behind = "1 resource is" if facts["behind"] == 1 else f"{facts['behind']} resources are"
    return f"published {name} {facts['version']}{note}; {behind} behind"


def _withdrawn(name: str, facts: _Facts) -> str:
    why = f", because “{facts['reason']}”" if facts["reason"] else ""
    return f"withdrew {name} {facts['version']}{why}"


def _moved(name: str, facts: _Facts) -> str:
    which = "version" if facts["major"] is None else f"minor of major {facts['major']}"
    before, after = facts["before"] or "none", facts["after"] or "none"
    return f"moved the recommended {which} of {name} from {before} to {after}"


def _asked(name: str, facts: _Facts) -> str:
    if facts["before"] == facts["after"] and facts["action"] == "update":
        return f"asked to deploy {name} again at {facts['after']}"
    start = f" from {facts['before']}" if facts["before"] else ""
    return f"asked to {facts['action']} {name}{start} {'to' if start else 'at'} {facts['after']}"


def _settled(name: str, facts: _Facts) -> str:
    why = f": {facts['reason']}" if facts["reason"] else ""
    status = facts["status"].replace("_", " ").lower()
    return f"saw the deployment of {name} at {facts['version']} end: {status}{why}"


def _resumed(name: str, facts: _Facts) -> str:
    return {
        "cancel": f"asked to cancel the deployment of {name}",
        "continue": f"asked the stack of {name} to go on with its rollback",
    }.get(facts["how"], f"let the deployment of {name} go on")


def _forgotten(name: str, facts: _Facts) -> str:
    return f"forgot {name}" + (f" and left the stack {facts['stack']} as it is" if facts["stack"] else "")


def _given(name: str, facts: _Facts) -> str:
    return f"gave {name} from {facts['before'] or 'nobody'} to {facts['after'] or 'nobody'}"


def _sessions_ended(name: str, facts: _Facts) -> str:
    return f"ended {facts['count']} session{'' if facts['count'] == 1 else 's'} of {name}"


def _snoozed(name: str, facts: _Facts) -> str:
    if facts["until"] is None and facts["version"] is None:
        return f"snoozed {name}"
    if facts["until"] is None:
        return f"snoozed {name} until something newer than {facts['version']} is recommended"
    return f"snoozed {name} until {facts['until'][:10]}"


def _repository_changed(name: str, facts: _Facts) -> str:
    branch = f", branch {facts['branch_name']}" if facts["branch_name"] else ""
    return f"named the repository of {name}: {facts['repository_id'] or 'none'}{branch}"


def _role_changed(name: str, facts: _Facts) -> str:
    return f"had {name} reached by {facts['after'] or 'no role'}, before by {facts['before'] or 'none'}"


def _pruned(name: str, facts: _Facts) -> str:
    what = "journal entries" if name == "journal" else name
    return f"let go of {facts['count']} old {what}, from before {facts['before'][:10]}"


_TOLD: Mapping[str, Callable[[str, _Facts], str]] = {
    "source_synced": _synced,
    "version_registered": _version_registered,
    "version_published": _published,
    "version_withdrawn": _withdrawn,
    "recommended_moved": _moved,
    "deployment_asked": _asked,
    "deployment_settled": _settled,
    "deployment_resumed": _resumed,
    "resource_forgotten": _forgotten,
    "owner_changed": _given,
    "resource_snoozed": _snoozed,
    "repository_changed": _repository_changed,
    "role_changed": _role_changed,
    "sessions_ended": _sessions_ended,
    "records_pruned": _pruned,
}

KINDS = tuple(sorted({*_SENTENCES, *_TOLD}))
"""Every kind of event, for a filter to offer."""


def _short(commit: str) -> str:
    return commit[:7]
