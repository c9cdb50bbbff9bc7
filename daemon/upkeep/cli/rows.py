"""Rows: what commands print of the things in the store."""

from collections.abc import Mapping
from typing import Any

from upkeep.cli.printing import Column
from upkeep.domain.changesets import StackChange, StackEvent
from upkeep.domain.consoles import console_url
from upkeep.domain.deliveries import Delivery
from upkeep.domain.deployments import Deployment
from upkeep.domain.findings import Finding
from upkeep.domain.lag import Lag, Standing
from upkeep.domain.names import Version
from upkeep.domain.resources import Counters, Resource, Service
from upkeep.domain.rollouts import Member, Rollout, Turn
from upkeep.domain.sources import Source
from upkeep.domain.versions import Template, TemplateVersion

SOURCES = (
    Column("NAME", "name"),
    Column("URL", "url"),
    Column("BRANCH", "branch"),
    Column("FOLDER", "subdirectory", wide=True),
    Column("STATE", "state"),
    Column("COMMIT", "commit"),
    Column("SYNCED", "synced_at"),
    Column("NEXT POLL", "next_poll_at", wide=True),
    Column("ORIGIN", "origin", wide=True),
    Column("REASON", "reason", wide=True),
)

STACK_EVENTS = (
    Column("AT", "at"),
    Column("RESOURCE", "resource"),
    Column("TYPE", "type", wide=True),
    Column("STATUS", "status"),
    Column("REASON", "reason"),
)

DELIVERIES = (
    Column("DELIVERY", "id"),
    Column("EVENT", "event"),
    Column("RECEIVED", "received_at"),
    Column("STATUS", "status"),
    Column("SOURCES", "sources"),
    Column("REF", "ref", wide=True),
    Column("COMMIT", "commit", wide=True),
    Column("REASON", "reason"),
)

TEMPLATES = (
    Column("NAME", "name"),
    Column("KIND", "kind"),
    Column("RECOMMENDED", "recommended"),
    Column("DRAFTS", "newest_drafts"),
    Column("RESOURCES", "resources"),
    Column("BEHIND", "behind"),
    Column("SOURCE", "source"),
    Column("PATH", "path", wide=True),
)

VERSIONS = (
    Column("VERSION", "version"),
    Column("STATE", "state"),
    Column("RECOMMENDED", "recommended"),
    Column("IN USE", "in_use"),
    Column("COMMIT", "short_commit"),
    Column("SUBJECT", "subject"),
    Column("AUTHOR", "author"),
    Column("REGISTERED", "created_at"),
    Column("TREE", "tree", wide=True),
    Column("PATH", "path", wide=True),
)

RESOURCES = (
    Column("NAME", "name"),
    Column("KIND", "kind", wide=True),
    Column("TEMPLATE", "template"),
    Column("VERSION", "version"),
    Column("LAG", "lag"),
    Column("SINCE", "behind_since", wide=True),
    Column("STATUS", "status"),
    Column("OWNER", "owner"),
    Column("ENVIRONMENT", "environment", wide=True),
    Column("DEPLOYED", "deployed_at", wide=True),
)

SERVICES = (
    Column("NAME", "name"),
    Column("TEMPLATE", "template"),
    Column("INSTANCES", "instances"),
    Column("PIPELINE", "pipeline"),
    Column("OWNER", "owner"),
    Column("CREATED", "created_at", wide=True),
)

DEPLOYMENTS = (
    Column("DEPLOYMENT", "id"),
    Column("RESOURCE", "resource"),
    Column("ACTION", "action"),
    Column("FROM", "from"),
    Column("TO", "to"),
    Column("STATUS", "status"),
    Column("ASKED BY", "asked_by"),
    Column("ASKED", "created_at"),
    Column("ENDED", "completed_at", wide=True),
    Column("MESSAGE", "message", wide=True),
)


ROLLOUTS = (
    Column("ROLLOUT", "id"),
    Column("TEMPLATE", "template"),
    Column("TO", "to"),
    Column("STATUS", "status"),
    Column("UPDATED", "succeeded"),
    Column("FAILED", "failed"),
    Column("UNDER WAY", "under_way"),
    Column("WAITING", "waiting"),
    Column("ASKED BY", "asked_by"),
    Column("ASKED", "created_at"),
    Column("MESSAGE", "message", wide=True),
)

MEMBERS = (
    Column("RESOURCE", "resource"),
    Column("FROM", "from"),
    Column("TO", "to"),
    Column("WHAT", "turn"),
    Column("REASON", "reason"),
)


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
