"""Rows become domain values and back. No rule lives here, only spelling."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from upkeep.domain.answers import KeptAnswer
from upkeep.domain.changesets import Drift, DriftState, Proposal, ProposalState, StackChange, StackEvent
from upkeep.domain.deliveries import Delivery, DeliveryStatus
from upkeep.domain.deployments import Action, Deployment, DeploymentStatus, State
from upkeep.domain.events import JournalEntry
from upkeep.domain.findings import Finding, Severity
from upkeep.domain.lag import Lag, Standing
from upkeep.domain.names import ResourceKey, ResourceKind, SourceName, TemplateName, Version, parse_resource_key
from upkeep.domain.notices import Link, Notice, OwedNotice
from upkeep.domain.people import Actor, Role, Scope, Session, Token, User, Via
from upkeep.domain.previews import Preview, PreviewGroup
from upkeep.domain.resources import Repository, Resource, Service
from upkeep.domain.rollouts import Member, Rollout, RolloutStatus, Stage, Turn
from upkeep.domain.snoozes import Snooze
from upkeep.domain.sources import Credential, CredentialKind, Drafts, Origin, Source, Stall
from upkeep.domain.versions import (
    Commit,
    CompatibleEnvironment,
    Major,
    Template,
    TemplateKind,
    TemplateVersion,
    VersionState,
)
from upkeep.domain.work import DueWork, WorkKind

Values = dict[str, Any]


def _findings(findings: Iterable[Finding]) -> list[Values]:
    return [
        {"severity": f.severity, "slug": f.slug, "message": f.message, "path": f.path, "line": f.line, "cure": f.cure}
        for f in findings
    ]


def _findings_of(kept: Iterable[Values]) -> tuple[Finding, ...]:
    return tuple(Finding(**{**finding, "severity": Severity(finding["severity"])}) for finding in kept)


def version_in(major: int | None, minor: int | None) -> Version | None:
    """Two columns that hold a version, or none."""
    return None if major is None or minor is None else Version(major, minor)


def source_values(source: Source) -> Values:
    """A row of `sources`."""
    return {
        "name": source.name,
        "url": source.url,
        "branch": source.branch,
        "subdirectory": source.subdirectory,
        "credential_kind": source.credential.kind,
        "credential_reference": source.credential.reference,
        "webhook_secret_kind": source.webhook_secret.kind,
        "webhook_secret_reference": source.webhook_secret.reference,
        "drafts": source.drafts,
        "poll_every_for": source.poll_every_for,
        "origin": source.origin,
        "synced_commit": source.synced_commit,
        "synced_at": source.synced_at,
        "checked_at": source.checked_at,
        "next_poll_at": source.next_poll_at,
        "failures": source.failures,
        "failure": source.failure,
        "stall_reason": source.stall.reason if source.stall else None,
        "stall_cure": source.stall.cure if source.stall else None,
        "stalled_at": source.stall.at if source.stall else None,
        "findings": _findings(source.findings),
    }


def source_of(row: Any) -> Source:
    """A row of `sources`, read."""
    return Source(
        name=SourceName(row.name),
        url=row.url,
        branch=row.branch,
        subdirectory=row.subdirectory,
        credential=Credential(CredentialKind(row.credential_kind), row.credential_reference),
        webhook_secret=Credential(CredentialKind(row.webhook_secret_kind), row.webhook_secret_reference),
        drafts=Drafts(row.drafts),
        poll_every_for=row.poll_every_for,
        origin=Origin(row.origin),
        synced_commit=row.synced_commit,
        synced_at=row.synced_at,
        checked_at=row.checked_at,
        next_poll_at=row.next_poll_at,
        failures=row.failures,
        failure=row.failure,
        stall=None if row.stalled_at is None else Stall(row.stall_reason, row.stall_cure, row.stalled_at),
        findings=_findings_of(row.findings),
    )


def delivery_values(delivery: Delivery) -> Values:
    """A row of `deliveries`."""
    return {
        "id": delivery.id,
        "event": delivery.event,
        "received_at": delivery.received_at,
        "status": delivery.status,
        "reason": delivery.reason,
        "repository": delivery.repository,
        "ref": delivery.ref,
        "after": delivery.after,
        "settled_at": delivery.settled_at,
        "attempts": delivery.attempts,
        "sources": list(delivery.sources),
    }


def delivery_of(row: Any) -> Delivery:
    """A row of `deliveries`, read."""
    return Delivery(
        id=row.id,
        event=row.event,
        received_at=row.received_at,
        status=DeliveryStatus(row.status),
        reason=row.reason,
        repository=row.repository,
        ref=row.ref,
        after=row.after,
        sources=tuple(SourceName(name) for name in row.sources),
        settled_at=row.settled_at,
        attempts=row.attempts,
    )


def template_values(template: Template) -> Values:
    """A row of `templates`."""
    return {
        "name": template.name,
        "kind": template.kind,
        "source": template.source,
        "path": template.path,
        "created_at": template.created_at,
        "recommended_major": template.recommended.major if template.recommended else None,
        "recommended_minor": template.recommended.minor if template.recommended else None,
        "pinned": template.pinned,
    }


def template_of(row: Any) -> Template:
    """A row of `templates`, read."""
    return Template(
        name=TemplateName(row.name),
        kind=TemplateKind(row.kind),
        source=None if row.source is None else SourceName(row.source),
        path=row.path,
        created_at=row.created_at,
        recommended=version_in(row.recommended_major, row.recommended_minor),
        pinned=row.pinned,
    )


def major_values(major: Major) -> Values:
    """A row of `majors`."""
    return {
        "template": major.template,
        "major": major.major,
        "path": major.path,
        "next_minor": major.next_minor,
        "recommended_minor": major.recommended_minor,
        "removed_at": major.removed_at,
    }


def major_of(row: Any) -> Major:
    """A row of `majors`, read."""
    return Major(
        template=TemplateName(row.template),
        major=row.major,
        path=row.path,
        next_minor=row.next_minor,
        recommended_minor=row.recommended_minor,
        removed_at=row.removed_at,
    )


def version_values(version: TemplateVersion) -> Values:
    """A row of `versions`."""
    return {
        "template": version.template,
        "major": version.version.major,
        "minor": version.version.minor,
        "state": version.state,
        "tree": version.tree,
        "commit_id": version.commit.id,
        "author_name": version.commit.author_name,
        "author_email": version.commit.author_email,
        "committed_at": version.commit.at,
        "message": version.commit.message,
        "path": version.path,
        "created_at": version.created_at,
        "findings": _findings(version.findings),
        "schema": version.schema,
        "has_pipeline": version.has_pipeline,
        "compatible_environments": [[entry.template, entry.major] for entry in version.compatible_environments],
        "published_at": version.published_at,
        "published_by": version.published_by,
        "withdrawn_at": version.withdrawn_at,
        "note": version.note,
    }


def version_of(row: Any) -> TemplateVersion:
    """A row of `versions`, read."""
    return TemplateVersion(
        template=TemplateName(row.template),
        version=Version(row.major, row.minor),
        state=VersionState(row.state),
        tree=row.tree,
        commit=Commit(row.commit_id, row.author_name, row.author_email, row.committed_at, row.message),
        path=row.path,
        created_at=row.created_at,
        findings=_findings_of(row.findings),
        schema=row.schema,
        has_pipeline=row.has_pipeline,
        compatible_environments=tuple(
            CompatibleEnvironment(TemplateName(name), major) for name, major in row.compatible_environments
        ),
        published_at=row.published_at,
        published_by=row.published_by,
        withdrawn_at=row.withdrawn_at,
        note=row.note,
    )


def preview_values(preview: Preview) -> Values:
    """A row of `previews`."""
    return {
        "template": preview.template,
        "major": preview.version.major,
        "minor": preview.version.minor,
        "at": preview.at,
        "groups": [
            {"resources": g.resources, "running": g.running, "diff": g.diff, "failure": g.failure, "whole": g.whole}
            for g in preview.groups
        ],
    }


def preview_of(row: Any) -> Preview:
    """A row of `previews`, read. Those of an earlier release have no whole diffs."""
    groups = tuple(
        PreviewGroup(
            tuple(kept["resources"]), tuple(kept["running"]), kept["diff"], kept["failure"], kept.get("whole", "")
        )
        for kept in row.groups
    )
    return Preview(TemplateName(row.template), Version(row.major, row.minor), row.at, groups)


def service_values(service: Service) -> Values:
    """A row of `services`."""
    return {
        "name": service.name,
        "template": service.template,
        "spec": service.spec,
        "created_at": service.created_at,
        "owner": service.owner,
        "branch_name": service.repository.branch_name,
        "repository_id": service.repository.repository_id,
        "repository_connection_arn": service.repository.repository_connection_arn,
    }


def service_of(row: Any) -> Service:
    """A row of `services`, read."""
    return Service(
        name=row.name,
        template=TemplateName(row.template),
        spec=row.spec,
        created_at=row.created_at,
        owner=row.owner,
        repository=Repository(row.branch_name, row.repository_id, row.repository_connection_arn),
    )


def resource_values(resource: Resource) -> Values:
    """A row of `resources`, without what is derived from it."""
    return {
        "key": str(resource.key),
        "label": resource.key.short,
        "search": f"{resource.key} {resource.key.short}".lower(),
        "kind": resource.key.kind,
        "name": resource.key.name,
        "service": resource.key.service,
        "template": resource.template,
        "status": resource.status,
        "created_at": resource.created_at,
        "major": resource.version.major if resource.version else None,
        "minor": resource.version.minor if resource.version else None,
        "inputs": dict(resource.inputs),
        "outputs": dict(resource.outputs),
        "owner": resource.owner,
        "environment": resource.environment,
        "account_id": resource.account_id,
        "standing": resource.lag.standing,
        "minors": resource.lag.minors,
        "majors": resource.lag.majors,
        "since": resource.lag.since,
        "last_deployment": resource.last_deployment,
        "last_succeeded_deployment": resource.last_succeeded_deployment,
        "deployed_at": resource.deployed_at,
        "region": resource.region or None,
        "role_arn": resource.role_arn or None,
        "external_id": resource.external_id or None,
        "stack": resource.stack,
        "tags": dict(resource.tags) or None,
        "drift_state": resource.drift.state if resource.drift else None,
        "drift_resources": list(resource.drift.resources) if resource.drift else None,
        "drift_reason": resource.drift.reason if resource.drift else None,
        "drift_checked_at": resource.drift_checked_at,
        "drift_handle": resource.drift_handle,
        "replaces": resource.replaces,
        **snooze_values(resource.snooze),
    }


def resource_of(row: Any) -> Resource:
    """A row of `resources`, read."""
    return Resource(
        key=ResourceKey(ResourceKind(row.kind), row.name, row.service),
        template=TemplateName(row.template),
        status=DeploymentStatus(row.status),
        created_at=row.created_at,
        version=version_in(row.major, row.minor),
        inputs=row.inputs,
        outputs=row.outputs,
        owner=row.owner,
        environment=row.environment,
        account_id=row.account_id,
        lag=Lag(Standing(row.standing), row.minors, row.majors, row.since),
        last_deployment=row.last_deployment,
        last_succeeded_deployment=row.last_succeeded_deployment,
        deployed_at=row.deployed_at,
        region=row.region or "",
        role_arn=row.role_arn or "",
        external_id=row.external_id or "",
        stack=row.stack,
        tags=row.tags or {},
        drift=_drift_of(row),
        drift_checked_at=row.drift_checked_at,
        drift_handle=row.drift_handle,
        replaces=row.replaces,
        snooze=_snooze_of(row),
        id=row.id,
    )


def snooze_values(snooze: Snooze | None) -> Values:
    """The columns of a snooze in a row of `resources`."""
    version = snooze.version if snooze else None
    return {
        "snoozed_at": snooze.at if snooze else None,
        "snoozed_by": snooze.by if snooze else None,
        "snoozed_until": snooze.until if snooze else None,
        "snoozed_major": version.major if version else None,
        "snoozed_minor": version.minor if version else None,
    }


def _snooze_of(row: Any) -> Snooze | None:
    if row.snoozed_at is None:
        return None
    version = version_in(row.snoozed_major, row.snoozed_minor)
    return Snooze(row.snoozed_at, row.snoozed_by, row.snoozed_until, version)


def _drift_of(row: Any) -> Drift | None:
    if row.drift_state is None:
        return None
    return Drift(DriftState(row.drift_state), tuple(row.drift_resources or ()), row.drift_reason)


def deployment_values(deployment: Deployment) -> Values:
    """A row of `deployments`."""
    initial = deployment.initial
    return {
        "id": deployment.id,
        "resource": str(deployment.resource),
        "action": deployment.action,
        "status": deployment.status,
        "target_major": deployment.target.version.major,
        "target_minor": deployment.target.version.minor,
        "target_inputs": dict(deployment.target.inputs),
        "asked_by": deployment.asked_by,
        "created_at": deployment.created_at,
        "initial_major": initial.version.major if initial else None,
        "initial_minor": initial.version.minor if initial else None,
        "initial_inputs": dict(initial.inputs) if initial else None,
        "begun_at": deployment.begun_at,
        "handle": deployment.handle,
        "message": deployment.message,
        "outputs": None if deployment.outputs is None else dict(deployment.outputs),
        "completed_at": deployment.completed_at,
        "proposed_at": deployment.proposed_at,
        "executed_at": deployment.executed_at,
        "accepted_at": deployment.accepted_at,
        "cancelled_at": deployment.cancelled_at,
        "deadline_at": deployment.deadline_at,
        "stack": deployment.stack,
        "stack_status": deployment.stack_status,
        "stall_reason": deployment.stall.reason if deployment.stall else None,
        "stall_cure": deployment.stall.cure if deployment.stall else None,
        "stalled_at": deployment.stall.at if deployment.stall else None,
        "replaces": deployment.replaces,
        "replaced_at": deployment.replaced_at,
        "continue_token": deployment.continue_token,
    }


def deployment_of(row: Any) -> Deployment:
    """A row of `deployments`, read."""
    initial = version_in(row.initial_major, row.initial_minor)
    return Deployment(
        id=row.id,
        resource=parse_resource_key(row.resource),
        action=Action(row.action),
        status=DeploymentStatus(row.status),
        target=State(Version(row.target_major, row.target_minor), row.target_inputs),
        asked_by=row.asked_by,
        created_at=row.created_at,
        initial=None if initial is None else State(initial, row.initial_inputs),
        begun_at=row.begun_at,
        handle=row.handle,
        message=row.message,
        outputs=row.outputs,
        completed_at=row.completed_at,
        proposed_at=row.proposed_at,
        executed_at=row.executed_at,
        accepted_at=row.accepted_at,
        cancelled_at=row.cancelled_at,
        deadline_at=row.deadline_at,
        stack=row.stack,
        stack_status=row.stack_status,
        stall=None if row.stalled_at is None else Stall(row.stall_reason, row.stall_cure, row.stalled_at),
        replaces=row.replaces,
        replaced_at=row.replaced_at,
        continue_token=row.continue_token,
    )


def proposal_values(deployment: str, proposal: Proposal) -> Values:
    """A row of `proposals`."""
    return {
        "deployment": deployment,
        "state": proposal.state,
        "changes": [
            {
                "action": change.action,
                "logical_id": change.logical_id,
                "resource_type": change.resource_type,
                "physical_id": change.physical_id,
                "replacement": change.replacement,
                "scope": list(change.scope),
                "causes": list(change.causes),
            }
            for change in proposal.changes
        ],
        "reason": proposal.reason,
        "stack": proposal.stack,
    }


def proposal_of(row: Any) -> Proposal:
    """A row of `proposals`, read."""
    return proposal_in(row.state, row.changes, row.reason, row.stack)


def proposal_in(state: str, changes: Iterable[Values], reason: str | None, stack: str | None) -> Proposal:
    """The columns of a proposal, read."""
    kept = tuple(StackChange(**{**c, "scope": tuple(c["scope"]), "causes": tuple(c["causes"])}) for c in changes)
    return Proposal(ProposalState(state), kept, reason, stack)


def stack_event_values(deployment: str, event: StackEvent) -> Values:
    """A new row of `stack_events`."""
    return {
        "deployment": deployment,
        "id": event.id,
        "at": event.at,
        "logical_id": event.logical_id,
        "resource_type": event.resource_type,
        "status": event.status,
        "reason": event.reason,
    }


def stack_event_of(row: Any) -> StackEvent:
    """A row of `stack_events`, read."""
    return StackEvent(row.id, row.at, row.logical_id, row.resource_type, row.status, row.reason)


def rollout_values(rollout: Rollout) -> Values:
    """A row of `rollouts`."""
    return {
        "id": rollout.id,
        "template": rollout.template,
        "to_major": rollout.to.major if rollout.to else None,
        "to_minor": rollout.to.minor if rollout.to else None,
        "asked_by": rollout.actor.name,
        "role": rollout.actor.role,
        "via": rollout.actor.via,
        "created_at": rollout.created_at,
        "status": rollout.status,
        "max_parallel": rollout.max_parallel,
        "stop_after": rollout.stop_after,
        "automatic": rollout.automatic,
        "stages": [[stage.name, stage.soak_for.total_seconds()] for stage in rollout.stages],
        "message": rollout.message,
        "ended_at": rollout.ended_at,
    }


def rollout_of(row: Any, members: tuple[Member, ...]) -> Rollout:
    """A row of `rollouts`, read, with its members."""
    return Rollout(
        id=row.id,
        template=row.template,
        to=version_in(row.to_major, row.to_minor),
        actor=Actor(row.asked_by, Role(row.role), Via(row.via)),
        created_at=row.created_at,
        members=members,
        status=RolloutStatus(row.status),
        max_parallel=row.max_parallel,
        stop_after=row.stop_after,
        automatic=row.automatic,
        stages=tuple(Stage(name, timedelta(seconds=seconds)) for name, seconds in row.stages),
        message=row.message,
        ended_at=row.ended_at,
    )


def member_values(rollout: str, position: int, member: Member) -> Values:
    """A row of `rollout_members`."""
    return {
        "rollout": rollout,
        "position": position,
        "resource": str(member.resource),
        "running_major": member.running.major if member.running else None,
        "running_minor": member.running.minor if member.running else None,
        "to_major": member.to.major if member.to else None,
        "to_minor": member.to.minor if member.to else None,
        "turn": member.turn,
        "stage": member.stage,
        "deployment": member.deployment,
        "reason": member.reason,
        "stalled": member.stalled,
        "forgiven": member.forgiven,
        "ended_at": member.ended_at,
    }


def member_of(row: Any) -> Member:
    """A row of `rollout_members`, read."""
    return Member(
        resource=parse_resource_key(row.resource),
        running=version_in(row.running_major, row.running_minor),
        to=version_in(row.to_major, row.to_minor),
        turn=Turn(row.turn),
        stage=row.stage,
        deployment=row.deployment,
        reason=row.reason,
        stalled=row.stalled,
        forgiven=row.forgiven,
        ended_at=row.ended_at,
    )


def entry_of(row: Any) -> JournalEntry:
    """A row of `journal`, read."""
    return JournalEntry(row.id, row.at, row.kind, row.subject, row.actor, Via(row.via), row.facts)


def notice_values(notice: Notice, at: datetime) -> Values:
    """A new row of `outbox`."""
    return {
        "channel": notice.channel,
        "key": notice.key,
        "headline": notice.headline,
        "lines": list(notice.lines),
        "links": [[link.label, link.path] for link in notice.links],
        "thread": notice.thread,
        "owed_at": at,
        "attempts": 0,
    }


def owed_of(row: Any) -> OwedNotice:
    """A row of `outbox`, read."""
    return OwedNotice(
        id=row.id,
        notice=Notice(
            key=row.key,
            channel=row.channel,
            headline=row.headline,
            lines=tuple(row.lines),
            links=tuple(Link(label, path) for label, path in row.links),
            thread=row.thread,
        ),
        owed_at=row.owed_at,
        attempts=row.attempts,
        sent_at=row.sent_at,
        receipt=row.receipt,
        failure=row.failure,
        not_before=row.not_before,
        given_up_at=row.given_up_at,
    )


def due_work_of(row: Any) -> DueWork:
    """A row of `work`, read. While it is leased it is due when the lease ends."""
    return DueWork(
        kind=WorkKind(row.kind),
        subject=row.subject,
        due_at=row.due_at,
        asked_at=row.asked_at,
        attempts=row.attempts,
        leased_until=None if row.token is None else row.due_at,
        failure=row.failure,
    )


def user_values(user: User) -> Values:
    """A row of `users`."""
    return {
        "name": user.name,
        "role": user.role,
        "password_hash": user.password_hash,
        "created_at": user.created_at,
        "email": user.email,
        "provider": user.provider,
        "provider_id": user.provider_id,
        "teams": sorted(user.teams),
        "seen_at": user.seen_at,
    }


def user_of(row: Any) -> User:
    """A row of `users`, read."""
    return User(
        row.name,
        Role(row.role),
        row.password_hash,
        row.created_at,
        row.email,
        row.provider,
        row.provider_id,
        frozenset(row.teams or ()),
        row.seen_at,
    )


def session_values(session: Session) -> Values:
    """A row of `sessions`."""
    return {
        "token_hash": session.token_hash,
        "user": session.user,
        "created_at": session.created_at,
        "expires_at": session.expires_at,
        "seen_at": session.seen_at,
        "address": session.address,
        "agent": session.agent,
    }


def session_of(row: Any) -> Session:
    """A row of `sessions`, read."""
    return Session(row.token_hash, row.user, row.created_at, row.expires_at, row.seen_at, row.address, row.agent)


def token_values(token: Token) -> Values:
    """A row of `tokens`."""
    return {
        "id": token.id,
        "token_hash": token.token_hash,
        "user": token.user,
        "label": token.label,
        "scopes": sorted(token.scopes),
        "created_at": token.created_at,
        "expires_at": token.expires_at,
        "used_at": token.used_at,
    }


def token_of(row: Any) -> Token:
    """A row of `tokens`, read."""
    return Token(
        row.id,
        row.token_hash,
        row.user,
        row.label,
        frozenset(Scope(scope) for scope in row.scopes),
        row.created_at,
        row.expires_at,
        row.used_at,
    )


def answer_values(answer: KeptAnswer) -> Values:
    """A row of `answers`."""
    return {
        "actor": answer.actor,
        "key": answer.key,
        "request": answer.request,
        "status": answer.status,
        "headers": dict(answer.headers),
        "body": answer.body,
        "at": answer.at,
    }


def answer_of(row: Any) -> KeptAnswer:
    """A row of `answers`, read."""
    return KeptAnswer(row.actor, row.key, row.request, row.status, row.headers, row.body, row.at)
