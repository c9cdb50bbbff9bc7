"""Facts: what programs are told of the things in the store, as mappings with names of their own.

The command line prints them as JSON and YAML, and the API answers with the same names.
"""

from collections.abc import Mapping
from typing import Any

from upkeep.domain.bundles import BundleFile
from upkeep.domain.changesets import StackChange, StackEvent
from upkeep.domain.consoles import console_url
from upkeep.domain.deliveries import Delivery
from upkeep.domain.deployments import Deployment
from upkeep.domain.events import JournalEntry
from upkeep.domain.findings import Finding
from upkeep.domain.lag import Lag, Standing
from upkeep.domain.names import Version
from upkeep.domain.people import Scope, Token, User
from upkeep.domain.plans import Plan
from upkeep.domain.resources import Counters, Resource, Service
from upkeep.domain.rollouts import Member, Rollout, Turn
from upkeep.domain.sources import Source
from upkeep.domain.stateful import endangered
from upkeep.domain.versions import Template, TemplateVersion
from upkeep.flows.browse.differences import FileDifference


def source_row(source: Source) -> dict[str, Any]:
    """A source and how far it has been read."""
    if source.stall is not None:
        state = "stalled"
    elif source.failures:
        state = "failing"
    else:
        state = "synced" if source.synced_commit else "new"
    return {
        "name": source.name,
        "url": source.url,
        "branch": source.branch,
        "subdirectory": source.subdirectory,
        "state": state,
        "reason": source.stall.reason if source.stall else source.failure,
        "fix": source.stall.cure if source.stall else None,
        "commit": source.synced_commit and source.synced_commit[:12],
        "synced_commit": source.synced_commit,
        "synced_at": source.synced_at,
        "checked_at": source.checked_at,
        "next_poll_at": source.next_poll_at,
        "poll_every_seconds": int(source.poll_every_for.total_seconds()),
        "drafts": source.drafts.value,
        "origin": source.origin.value,
        "credential": _reference(source.credential.kind.value, source.credential.reference),
        "webhook_secret": _reference(source.webhook_secret.kind.value, source.webhook_secret.reference),
        "findings": [finding_row(finding) for finding in source.findings],
    }


def _reference(kind: str, reference: str) -> str | None:
    return None if kind == "none" else f"{kind} {reference}"


def delivery_row(delivery: Delivery) -> dict[str, Any]:
    """A webhook delivery and its outcome."""
    return {
        "id": delivery.id,
        "event": delivery.event,
        "received_at": delivery.received_at,
        "status": delivery.status.value,
        "reason": delivery.reason,
        "repository": delivery.repository,
        "ref": delivery.ref,
        "commit": delivery.after and delivery.after[:12],
        "sources": list(delivery.sources),
        "settled_at": delivery.settled_at,
        "attempts": delivery.attempts,
    }


def finding_row(finding: Finding) -> dict[str, Any]:
    """A finding with its place and cure."""
    return {
        "severity": finding.severity.value,
        "slug": finding.slug,
        "message": finding.message,
        "where": finding.where,
        "path": finding.path,
        "line": finding.line,
        "cure": finding.cure,
    }


def template_row(template: Template, drafts: list[str], counters: Counters) -> dict[str, Any]:
    """A template, the drafts that wait, and how its resources stand."""
    return {
        "name": template.name,
        "kind": template.kind.value,
        "recommended": str(template.recommended) if template.recommended else None,
        "pinned": template.pinned,
        "drafts": drafts,
        "resources": counters.total,
        "behind": counters.behind_minor + counters.behind_major,
        "source": template.source,
        "path": template.path,
        "created_at": template.created_at,
    }


def version_row(found: TemplateVersion, template: Template, in_use: Mapping[Version, int]) -> dict[str, Any]:
    """A version, where it comes from and what became of it."""
    return {
        "template": found.template,
        "version": str(found.version),
        "state": found.state.value,
        "recommended": template.recommended == found.version,
        "in_use": in_use.get(found.version, 0),
        "commit": found.commit.id,
        "short_commit": found.commit.id[:12],
        "subject": found.commit.subject,
        "author": found.commit.author_name,
        "author_email": found.commit.author_email,
        "committed_at": found.commit.at,
        "tree": found.tree,
        "path": found.path,
        "created_at": found.created_at,
        "has_pipeline": found.has_pipeline,
        "compatible_environments": [str(each) for each in found.compatible_environments],
        "published_at": found.published_at,
        "published_by": found.published_by,
        "withdrawn_at": found.withdrawn_at,
        "note": found.note,
        "findings": [finding_row(finding) for finding in found.findings],
    }


def lag_text(lag: Lag) -> str:
    """A lag in a few words."""
    parts = [
        f"{number} {unit}{'s' if number != 1 else ''}"
        for number, unit in ((lag.majors, "major"), (lag.minors, "minor"))
        if number
    ]
    if parts:
        return f"{' and '.join(parts)} behind"
    return {Standing.UP_TO_DATE: "up to date", Standing.AHEAD: "ahead"}.get(lag.standing, "not deployed")


def resource_row(resource: Resource) -> dict[str, Any]:
    """A resource as it stands."""
    key = resource.key
    name = f"{key.service}/{key.name}" if key.kind.value == "instance" else str(key.name)
    return {
        "key": str(key),
        "name": name,
        "kind": key.kind.value,
        "template": resource.template,
        "version": str(resource.version) if resource.version else None,
        "lag": lag_text(resource.lag),
        "standing": resource.lag.standing.value,
        "minors_behind": resource.lag.minors,
        "majors_behind": resource.lag.majors,
        "behind_since": resource.lag.since,
        "snoozed_by": resource.snooze.by if resource.snooze else None,
        "snoozed_until": resource.snooze.until if resource.snooze else None,
        "snoozed_for": str(resource.snooze.version) if resource.snooze and resource.snooze.version else None,
        "status": resource.status.value,
        "owner": resource.owner,
        "environment": resource.environment,
        "account_id": resource.account_id,
        "region": resource.region or None,
        "role_arn": resource.role_arn or None,
        "external_id": resource.external_id or None,
        "stack": resource.stack,
        "tags": dict(resource.tags),
        "drift": resource.drift.state.value if resource.drift else None,
        "drifted_resources": list(resource.drift.resources) if resource.drift else [],
        "drift_checked_at": resource.drift_checked_at,
        "inputs": dict(resource.inputs),
        "outputs": dict(resource.outputs),
        "last_deployment": resource.last_deployment,
        "deployed_at": resource.deployed_at,
        "created_at": resource.created_at,
    }


def service_row(service: Service, instances: list[str], pipeline: bool) -> dict[str, Any]:
    """A service with the names of its instances."""
    return {
        "name": service.name,
        "template": service.template,
        "instances": instances,
        "pipeline": pipeline,
        "owner": service.owner,
        "created_at": service.created_at,
        "spec": service.spec,
    }


def deployment_row(deployment: Deployment) -> dict[str, Any]:
    """A deployment and how it went."""
    return {
        "id": deployment.id,
        "resource": str(deployment.resource),
        "action": deployment.action.value,
        "from": str(deployment.initial.version) if deployment.initial else None,
        "to": str(deployment.target.version),
        "status": deployment.status.value,
        "phase": deployment.phase.value,
        "message": deployment.message,
        "waits_for": deployment.stall.reason if deployment.stall else None,
        "fix": deployment.stall.cure if deployment.stall else None,
        "stack": deployment.stack,
        "stack_status": deployment.stack_status,
        "console": console_url(deployment.stack),
        "asked_by": deployment.asked_by,
        "created_at": deployment.created_at,
        "begun_at": deployment.begun_at,
        "proposed_at": deployment.proposed_at,
        "executed_at": deployment.executed_at,
        "deadline_at": deployment.deadline_at,
        "completed_at": deployment.completed_at,
        "inputs": dict(deployment.target.inputs),
        "outputs": dict(deployment.outputs) if deployment.outputs is not None else None,
    }


def rollout_row(rollout: Rollout) -> dict[str, Any]:
    """A rollout and how far it is."""
    return {
        "id": rollout.id,
        "template": rollout.template,
        "to": str(rollout.to) if rollout.to else "recommended",
        "status": rollout.status.value,
        "message": rollout.message,
        "automatic": rollout.automatic,
        "max_parallel": rollout.max_parallel,
        "stop_after": rollout.stop_after,
        **{turn.name.lower(): len(rollout.of(turn)) for turn in Turn},
        "asked_by": rollout.actor.name,
        "created_at": rollout.created_at,
        "ended_at": rollout.ended_at,
    }


def member_row(member: Member) -> dict[str, Any]:
    """A resource in a rollout."""
    return {
        "resource": str(member.resource),
        "from": str(member.running) if member.running else None,
        "to": str(member.to) if member.to else None,
        "turn": member.turn.value,
        "reason": member.reason,
        "deployment": member.deployment,
        "ended_at": member.ended_at,
    }


def change_row(change: StackChange) -> dict[str, Any]:
    """One change of a change set, with what it risks."""
    return {
        "risk": change.risk.value,
        "action": change.action,
        "resource": change.logical_id,
        "type": change.resource_type,
        "physical_id": change.physical_id,
        "replacement": change.replacement,
        "scope": list(change.scope),
        "causes": list(change.causes),
    }


def plan_row(plan: Plan, *, stale: bool) -> dict[str, Any]:
    """A plan and what it would change. `stale` says that what it was made from has moved."""
    return {
        "id": plan.id,
        "resource": str(plan.resource),
        "template": plan.template,
        "version": str(plan.version),
        "inputs": dict(plan.inputs),
        "state": plan.proposal.state.value if plan.proposal else "failed" if plan.failure else "working",
        "risk": plan.risk.value,
        "changes": [change_row(change) for change in plan.changes],
        "to_name": [change.logical_id for change in endangered(plan.changes)],
        "failure": plan.failure or (plan.proposal.reason if plan.proposal else None),
        "stale": stale,
        "asked_by": plan.asked_by,
        "asked_at": plan.asked_at,
        "made_at": plan.made_at,
        "deployment": plan.deployment,
    }


def stack_event_row(event: StackEvent) -> dict[str, Any]:
    """One event of a stack."""
    return {
        "id": event.id,
        "at": event.at,
        "resource": event.logical_id,
        "type": event.resource_type,
        "status": event.status,
        "reason": event.reason,
    }


def counters_row(counters: Counters) -> dict[str, Any]:
    """The counters of a fleet."""
    return {
        "total": counters.total,
        "up_to_date": counters.up_to_date,
        "behind_minor": counters.behind_minor,
        "behind_major": counters.behind_major,
        "failed": counters.failed,
        "ahead": counters.ahead,
    }


def bundle_file_row(file: BundleFile) -> dict[str, Any]:
    """A file of a bundle, without its content."""
    return {"path": file.path, "mode": file.mode, "blob": file.blob, "size": file.size}


def file_difference_row(difference: FileDifference) -> dict[str, Any]:
    """A file that differs between two bundles."""
    return {
        "path": difference.path,
        "change": difference.change.value,
        "diff": difference.diff,
        "not_shown": difference.silent,
    }


def journal_row(entry: JournalEntry, sentence: str) -> dict[str, Any]:
    """An entry of the audit trail, with the sentence that goes on after the actor's name."""
    return {
        "id": entry.id,
        "at": entry.at,
        "kind": entry.kind,
        "subject": entry.subject,
        "actor": entry.actor,
        "via": entry.via.value,
        "sentence": sentence,
        "facts": dict(entry.facts),
    }


def user_row(user: User) -> dict[str, Any]:
    """Somebody who may come in."""
    return {
        "name": user.name,
        "role": user.role.value,
        "email": user.email,
        "provider": user.provider,
        "teams": sorted(user.teams),
        "created_at": user.created_at,
        "seen_at": user.seen_at,
    }


def token_row(token: Token) -> dict[str, Any]:
    """A token, without its secret, which is stored nowhere."""
    return {
        "id": token.id,
        "user": token.user,
        "label": token.label,
        "scopes": [scope.value for scope in Scope if scope in token.scopes],
        "created_at": token.created_at,
        "expires_at": token.expires_at,
        "used_at": token.used_at,
    }
