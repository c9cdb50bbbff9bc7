"""Settle: take a deployment from asked to its outcome, one step at a time, and tell the truth the provisioner tells."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from upkeep.domain import changesets, events, notices, schemas, specs
from upkeep.domain.ages import age
from upkeep.domain.bundles import Part
from upkeep.domain.changesets import ProposalState
from upkeep.domain.deployments import (
    ROLLBACK_FAILED,
    ROLLED_BACK,
    Action,
    Deployment,
    DeploymentStatus,
    Progress,
    ProgressState,
)
from upkeep.domain.errors import (
    BundleError,
    CallerError,
    Conflict,
    LostLease,
    StalledError,
    TransientError,
    UpkeepError,
)
from upkeep.domain.names import ResourceKind, environment_key
from upkeep.domain.notices import Routing
from upkeep.domain.people import DAEMON, Actor
from upkeep.domain.plans import same_changes
from upkeep.domain.resources import Outputs, Placement, Resource
from upkeep.domain.sources import Stall
from upkeep.domain.tags import stack_tags
from upkeep.domain.versions import TemplateVersion
from upkeep.domain.work import Claim
from upkeep.flows import preview
from upkeep.flows.compose import Composer, Composition, compose
from upkeep.flows.measure import lag_of
from upkeep.flows.ports import Provisioner, Renderer, Request, Store, Unit

LOOK_AGAIN_AFTER = timedelta(seconds=2)
LONGEST_LOOK_AFTER = timedelta(seconds=30)
"""How long a deployment that waits, or whose provisioner still works, is left alone: a tenth of the time it has taken
so far, between these two."""

SETTLED_WITHIN = timedelta(hours=6)
"""After this long the waiting ends. CloudFormation itself gives up earlier on most resources."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What holds for all deployments: where pipelines live, the customer's tags on everything, and how long an
    outcome is waited for."""

    pipelines: Placement = field(default_factory=Placement)
    tags: Mapping[str, str] = field(default_factory=dict)
    settled_within: timedelta = SETTLED_WITHIN


def settle(
    store: Store,
    renderer: Renderer,
    provisioner: Provisioner,
    claim: Claim,
    *,
    routing: Routing,
    now: datetime,
    terms: Terms | None = None,
) -> None:
    """Do one DEPLOY work: rendered, proposed, looked at, executed, observed and settled, as far as it goes for now.

    Every step leaves rows that the next one starts from, whoever does it. Faults of the template or the spec end the
    deployment as FAILED with their sentence; what a person must put right stalls it; a TransientError is raised for
    the worker to try again.
    """
    _Settling(store, renderer, provisioner, claim, routing, terms or Terms(), now).run()


def close(
    unit: Unit, deployment: Deployment, status: DeploymentStatus, message: str | None, actor: Actor, now: datetime
) -> Deployment:
    """End a deployment, on its own row and on its resource's."""
    closed = replace(deployment, status=status, message=message, completed_at=now, stall=None, continue_token=None)
    unit.deployments.save(closed)
    unit.fleet.save(replace(unit.fleet.get(closed.resource), status=status))
    took = round((now - closed.created_at).total_seconds())
    unit.journal.record(
        events.DeploymentSettled(str(closed.resource), closed.id, status, str(closed.target.version), message, took),
        actor,
        now,
    )
    return closed


def placement_of(unit: Unit, resource: Resource, pipelines: Placement) -> Placement:
    """Where the stack of a resource lives: an instance where its environment does, a pipeline where `pipelines` do."""
    match resource.key.kind:
        case ResourceKind.PIPELINE:
            return pipelines
        case ResourceKind.INSTANCE if resource.environment is not None:
            return unit.fleet.get(environment_key(resource.environment), kept=False).placement
    return resource.placement


@dataclass(frozen=True, slots=True)
class _Wait:
    """What a deployment waits for; with `fault`, what will never come."""

    reason: str
    fault: bool = False


@dataclass(frozen=True, slots=True)
class _Settling:
    """One DEPLOY work being done, by whoever holds its claim.

    `taken` are steps that the next transaction writes down with what it has to say itself. Only those wait there that
    may be made twice: whoever goes on from the row alone asks again and gets the same.
    """

    store: Store
    renderer: Renderer
    provisioner: Provisioner
    claim: Claim
    routing: Routing
    terms: Terms
    now: datetime
    taken: dict[str, Any] = field(default_factory=dict)

    def run(self) -> None:
        seen: DeploymentStatus | None = None
        try:
            deployment = self._begun()
            if deployment is None:
                return
            seen = deployment.status
            progress = self._progress(deployment)
        except (BundleError, CallerError) as fault:
            progress = Progress(ProgressState.FAILED, reason=str(fault))
        except StalledError as fault:
            reason = f"{fault.where}: {fault.message}" if fault.where else fault.message
            self._stall(reason, fault.cure or "put that right, then retry the deployment", seen)
            return
        except LostLease:
            raise
        except TransientError as fault:
            if not self._put_off(fault, seen):
                raise
            return
        if progress is None:
            return
        settled = self._look(progress)
        if settled.status is DeploymentStatus.SUCCEEDED and settled.executed_at is None and settled.handle:
            # Not sooner: without it nobody could tell any more that nothing had to change.
            with suppress(TransientError):
                self._discard(settled.handle)

    # ------------------------------------------------------------------------------------------- before any call

    def _begun(self) -> Deployment | None:
        """The deployment, rendered and marked as begun; None when there is nothing more to do for now."""
        with self.store.read() as unit:
            deployment = self._held(unit)
            goes_on = deployment.status.under_way and deployment.stall is None
            if goes_on and deployment.begun_at is not None and deployment.deadline_at is not None:
                return deployment
            begins = goes_on and deployment.begun_at is None
            waits = begins and _wait(unit, deployment) is not None
            composition = _composition(unit, deployment) if begins and not waits else None
        rendered = self.renderer.render(composition.template, composition.namespace) if composition else ""
        with self.store.write() as unit:
            deployment = self._held(unit)
            if not goes_on or not deployment.status.under_way:
                unit.work.done(self.claim)
                return None
            if waits:
                self._wait_for_others(unit, deployment)
                return None
            deployment = replace(deployment, deadline_at=self.now + self.terms.settled_within)
            if begins:
                plan = unit.plans.approved_by(deployment.id)
                if plan is not None and unit.plans.rendered(plan.id) != rendered:
                    raise CallerError(f"the rendered template is {_NOT_AS_APPROVED}", cure=_CHECK_AGAIN)
                deployment = replace(deployment, begun_at=self.now, message=None)
                unit.deployments.keep_rendered(deployment.id, rendered)
            unit.deployments.save(deployment)
            return deployment

    def _wait_for_others(self, unit: Unit, deployment: Deployment) -> None:
        """Look again later, or give it up when what it waits for will never come."""
        wait = _wait(unit, deployment)
        if wait is not None and wait.fault:
            close(unit, deployment, DeploymentStatus.CANCELLED, wait.reason, DAEMON, self.now)
            unit.work.done(self.claim)
            return
        unit.deployments.save(replace(deployment, message=wait.reason if wait else None))
        unit.work.done(self.claim, again_at=self.now + (LOOK_AGAIN_AFTER if wait else timedelta()))

    # ------------------------------------------------------------------------------------------------- the calls

    def _progress(self, deployment: Deployment) -> Progress | None:
        """What the provisioner tells after every step that can be made now; None when the deployment was cancelled."""
        with self.store.read() as unit:
            if _customer_managed(unit, deployment):
                return Progress(ProgressState.SUCCEEDED, outputs=_stated_outputs(unit, deployment))
            request = self._request(unit, deployment)
        if deployment.replaces is not None and deployment.replaced_at is None:
            clearing = self._clear(replace(request, stack=deployment.replaces))
            if clearing.state is not ProgressState.SUCCEEDED:
                return clearing
            deployment = self._save(lambda found: replace(found, replaced_at=self.now))
        if deployment.handle is None and deployment.status is DeploymentStatus.CANCELLING:
            # An earlier worker may have proposed it and not lived to tell; asked again, its handle is known.
            with suppress(StalledError, CallerError):
                self._discard(self.provisioner.propose(request))
            self._close_cancelled()
            return None
        handle = deployment.handle
        if handle is None:
            handle = self.taken["handle"] = self.provisioner.propose(request)
        if deployment.executed_at is None and deployment.status is not DeploymentStatus.CANCELLING:
            decided = self._proposed(deployment, handle)
            if isinstance(decided, Progress):
                return decided
            deployment = decided
        if deployment.executed_at is None:
            self._discard(handle)
            self._close_cancelled()
            return None
        if deployment.accepted_at is None:
            try:
                self.provisioner.execute(handle, request)
            except Conflict:
                if deployment.action is Action.DELETE:
                    raise
                return self._anew(handle)
            self.taken["accepted_at"] = self.now
        if deployment.status is DeploymentStatus.CANCELLING and deployment.cancelled_at is None:
            # What cannot be cancelled any more is followed to its end like everything else.
            with suppress(Conflict):
                self.provisioner.cancel(handle)
            deployment = self._save(lambda found: replace(found, cancelled_at=self.now))
        if deployment.continue_token is not None:
            with suppress(Conflict):
                self.provisioner.continue_rollback(
                    deployment.stack or request.stack or "", request.placement, deployment.continue_token
                )
            self._save(lambda found: replace(found, continue_token=None))
            # Not looked at yet: for a moment the stack may still tell of the rollback that failed.
            return Progress(ProgressState.RUNNING)
        return self._observed(handle)

    def _clear(self, failed: Request) -> Progress:
        """Delete the stack that a failed creation left behind. Without rows of its own: each call may come twice."""
        deleting = replace(failed, deployment=f"{failed.deployment}-clear", action=Action.DELETE, template_body="")
        handle = self.provisioner.propose(deleting)
        self.provisioner.execute(handle, deleting)
        progress = self._observed(handle)
        # It is another stack's story: what becomes of the deployment's own is not told yet.
        return Progress(progress.state, progress.reason, events=progress.events)

    def _proposed(self, deployment: Deployment, handle: str) -> Progress | Deployment:
        """How it ends or goes on without being executed; once it may be, the deployment marked so, unless it is being
        cancelled: which of the two came first is decided in one transaction."""
        if deployment.action is Action.DELETE:
            return self._save(self._executing)
        proposal = None
        if deployment.proposed_at is not None:
            with self.store.read() as unit:
                proposal = unit.deployments.proposal(deployment.id)
        fresh = proposal is None
        if proposal is None:
            try:
                proposal = self.provisioner.proposal(handle)
            except Conflict:
                return self._anew(handle)
            except CallerError as fault:
                raise _stalled_by(fault) from fault
            if proposal.state is ProposalState.WORKING:
                return Progress(ProgressState.RUNNING)
        with self.store.write() as unit:
            found = self._held(unit)
            if fresh:
                unit.deployments.keep_proposal(found.id, proposal)
                found = replace(found, proposed_at=self.now, stack=proposal.stack or found.stack)
            plan = unit.plans.approved_by(found.id)
            as_approved = plan is None or plan.proposal is None or same_changes(plan.proposal, proposal)
            if as_approved and proposal.state is ProposalState.READY:
                found = self._executing(found)
            unit.deployments.save(found)
        if not as_approved:
            self._discard(handle)
            raise CallerError(f"what would change in the stack is {_NOT_AS_APPROVED}", cure=_CHECK_AGAIN)
        match proposal.state:
            case ProposalState.FAILED:
                self._discard(handle)
                return Progress(ProgressState.FAILED, proposal.reason or "the change set failed without a reason")
            case ProposalState.EMPTY:
                progress = self._observed(handle)
                with self.store.read() as unit:
                    known = unit.fleet.get(deployment.resource).outputs
                outputs = progress.outputs if progress.state is ProgressState.SUCCEEDED else known
                return Progress(
                    ProgressState.SUCCEEDED, NOTHING_CHANGED, outputs, progress.stack or proposal.stack, progress.status
                )
        return found

    def _anew(self, handle: str) -> Progress:
        """What was proposed is gone, or its stack has moved since: nothing was executed, and it is proposed anew."""
        self._discard(handle)
        self.taken.clear()
        self._save(lambda found: replace(found, handle=None, proposed_at=None, executed_at=None))
        return Progress(ProgressState.RUNNING)

    def _executing(self, deployment: Deployment) -> Deployment:
        """Marked as executed before it is, unless it is being cancelled."""
        if deployment.status is DeploymentStatus.CANCELLING:
            return deployment
        return replace(deployment, executed_at=self.now)

    def _observed(self, handle: str) -> Progress:
        try:
            return self.provisioner.observe(handle)
        except CallerError as fault:
            raise _stalled_by(fault) from fault

    def _discard(self, handle: str) -> None:
        # A change set that stays behind harms nobody.
        with suppress(StalledError, CallerError):
            self.provisioner.discard(handle)

    def _request(self, unit: Unit, deployment: Deployment) -> Request:
        resource = unit.fleet.get(deployment.resource)
        placement = placement_of(unit, resource, self.terms.pipelines)
        return Request(
            deployment=deployment.id,
            resource=resource.key,
            action=deployment.action,
            template_body=unit.deployments.rendered(deployment.id) or "",
            tags=stack_tags(resource, deployment.target.version, placement, self.terms.tags),
            placement=placement,
            stack=None if deployment.action is Action.CREATE else resource.stack,
        )

    # -------------------------------------------------------------------------------------------------- the rows

    def _held(self, unit: Unit) -> Deployment:
        """The deployment as it is now, as long as this is its worker, with the steps that are not written down yet. Its
        row is taken before that of the work: in this order goes whoever cancels it, and would else be waited for while
        it waits."""
        deployment = unit.deployments.get(self.claim.subject)
        unit.work.hold(self.claim)
        return replace(deployment, **self.taken)

    def _save(self, change: Callable[[Deployment], Deployment]) -> Deployment:
        """Write one step down, on the row as it is now."""
        with self.store.write() as unit:
            changed = change(self._held(unit))
            unit.deployments.save(changed)
            return changed

    def _close_cancelled(self) -> None:
        with self.store.write() as unit:
            deployment = self._held(unit)
            close(unit, deployment, DeploymentStatus.CANCELLED, deployment.message, DAEMON, self.now)
            unit.work.done(self.claim)

    def _look(self, progress: Progress) -> Deployment:
        """Write down what the provisioner told, and decide whether that is the end."""
        with self.store.write() as unit:
            deployment = self._held(unit)
            unit.deployments.keep_events(deployment.id, progress.events)
            deployment = self._with_stack(unit, deployment, progress)
            if progress.state is ProgressState.RUNNING:
                self._wait_on(unit, deployment)
            elif progress.status == ROLLBACK_FAILED and progress.state is ProgressState.FAILED:
                reason = f"the update failed and its rollback failed too: {_reason(deployment, progress)}"
                self._stall_in(unit, deployment, reason, f"{_CONTINUE} {deployment.id}`")
            else:
                deployment = self._settle(unit, deployment, progress)
                unit.work.done(self.claim)
            return deployment

    def _with_stack(self, unit: Unit, deployment: Deployment, progress: Progress) -> Deployment:
        deployment = replace(
            deployment,
            stack=progress.stack or deployment.stack,
            stack_status=progress.status or deployment.stack_status,
            message=deployment.message if deployment.status is DeploymentStatus.CANCELLING else None,
        )
        unit.deployments.save(deployment)
        if progress.stack is not None:
            resource = unit.fleet.get(deployment.resource)
            if resource.stack != progress.stack:
                unit.fleet.save(replace(resource, stack=progress.stack))
        return deployment

    def _wait_on(self, unit: Unit, deployment: Deployment) -> None:
        since = deployment.begun_at or self.now
        if self._late(deployment):
            where = (
                f"the stack is still {deployment.stack_status}" if deployment.stack_status else "there is no outcome"
            )
            self._stall_in(
                unit, deployment, f"{where} after {age(since, self.now)}", f"{_WAIT_LONGER} {deployment.id}`"
            )
            return
        look_after = min(max((self.now - since) / 10, LOOK_AGAIN_AFTER), LONGEST_LOOK_AFTER)
        unit.work.done(self.claim, again_at=self.now + look_after)

    def _late(self, deployment: Deployment) -> bool:
        return deployment.deadline_at is not None and self.now >= deployment.deadline_at

    def _put_off(self, fault: TransientError, seen: DeploymentStatus | None) -> bool:
        """Say on the row what is tried again; after the deadline stall it instead and return True."""
        with suppress(UpkeepError):
            with self.store.read() as unit:
                deployment = unit.deployments.get(self.claim.subject)
            if self._late(deployment):
                self._stall(f"until its deadline there was no answer: {fault.message}", _TRY_AGAIN, seen)
                return True
            told = f"is tried again: {fault.message}"
            cancelling = DeploymentStatus.CANCELLING
            self._save(lambda found: found if found.status is cancelling else replace(found, message=told))
        return False

    def _stall(self, reason: str, cure: str, seen: DeploymentStatus | None) -> None:
        with self.store.write() as unit:
            deployment = self._held(unit)
            if seen is not None and deployment.status is not seen:
                # Somebody cancelled it meanwhile, which may lead on.
                unit.work.done(self.claim, again_at=self.now)
                return
            self._stall_in(unit, deployment, reason, cure)

    def _stall_in(self, unit: Unit, deployment: Deployment, reason: str, cure: str) -> None:
        stalled = replace(deployment, stall=Stall(reason, cure, self.now))
        if deployment.status is not DeploymentStatus.CANCELLING:
            stalled = replace(stalled, message=None)
        unit.deployments.save(stalled)
        unit.journal.record(
            events.DeploymentStalled(str(deployment.resource), deployment.id, reason, cure), DAEMON, self.now
        )
        if self.routing.operators:
            unit.outbox.owe(notices.deployment_stalled(self.routing.operators, stalled), self.now)
        unit.work.done(self.claim)

    def _settle(self, unit: Unit, deployment: Deployment, progress: Progress) -> Deployment:
        resource = unit.fleet.get(deployment.resource)
        if progress.state is ProgressState.FAILED:
            status, reason = _failure(deployment, progress)
            settled = close(unit, deployment, status, reason, DAEMON, self.now)
        elif deployment.action is Action.DELETE:
            settled = close(unit, deployment, DeploymentStatus.DELETE_COMPLETE, None, DAEMON, self.now)
            remove(unit, resource)
            unit.journal.record(events.ResourceDeleted(str(resource.key)), DAEMON, self.now)
        else:
            settled = replace(deployment, outputs=progress.outputs)
            unit.fleet.save(_moved(unit, resource, settled, progress.outputs, self.now))
            settled = close(unit, settled, DeploymentStatus.SUCCEEDED, progress.reason, DAEMON, self.now)
            preview.ask_for_drafts(unit, resource.template, deployment.target.version.major, self.now)
        channel = self.routing.of_owner(resource.owner)
        if channel and (settled.status.failed or settled.action is Action.UPDATE):
            unit.outbox.owe(notices.deployment_settled(channel, settled, resource), self.now)
        return settled


NOTHING_CHANGED = "nothing had to change in the stack"

_UNSAID = "the provisioner gave no reason"

_NOT_AS_APPROVED = "not what was approved: something moved in between. Nothing was changed"
_CHECK_AGAIN = "check the update again, then approve what it shows"

_CONTINUE = "put right what stands in the way of the resources named, then `upkeep deployment continue"
_WAIT_LONGER = "look at the stack in AWS; to go on waiting, `upkeep deployment retry"
_TRY_AGAIN = "see whether AWS has an outage, then retry the deployment"


def remove(unit: Unit, resource: Resource) -> None:
    """Take a resource out of the fleet, and its service with the last of its parts."""
    unit.fleet.remove(resource.key)
    service = resource.key.service
    if service is not None and not unit.fleet.of_service(service):
        unit.fleet.remove_service(service)


def _failure(deployment: Deployment, progress: Progress) -> tuple[DeploymentStatus, str]:
    """As what a deployment ends that did not do what was asked, and the sentence for it."""
    reason = _reason(deployment, progress)
    if deployment.action is Action.DELETE:
        return DeploymentStatus.DELETE_FAILED, reason
    if deployment.cancelled_at is not None and progress.status == ROLLED_BACK:
        return DeploymentStatus.CANCELLED, f"{deployment.message}; the stack is as it was before"
    return DeploymentStatus.FAILED, reason


def _reason(deployment: Deployment, progress: Progress) -> str:
    if deployment.action is not Action.DELETE:
        return progress.reason or changesets.first_failure(progress.events) or _UNSAID
    said = [progress.reason] if progress.reason else []
    left = [resource for resource in changesets.not_deleted(progress.events) if resource not in (progress.reason or "")]
    return "; ".join(said + left) or _UNSAID


def _stalled_by(fault: CallerError) -> StalledError:
    """A question that is refused says nothing about the stack, and so cannot end anything."""
    return StalledError(fault.message, where=fault.where, cure=fault.cure)


def _wait(unit: Unit, deployment: Deployment) -> _Wait | None:
    """A first deployment waits for what its template reads: an instance for its environment, a pipeline for its
    instances. Proton cancels the pipeline when an instance fails, in these words."""
    if deployment.action is not Action.CREATE:
        return None
    resource = unit.fleet.get(deployment.resource)
    if resource.key.kind is ResourceKind.INSTANCE and resource.environment is not None:
        home = unit.fleet.get(environment_key(resource.environment), kept=False)
        if home.version is None:
            if home.status.under_way:
                return _Wait(f"waits for environment {home.key.short}")
            return _Wait(f"environment {home.key.short} was never deployed", fault=True)
    if resource.key.kind is ResourceKind.PIPELINE:
        instances = [r for r in unit.fleet.of_service(resource.key.name) if r.key.kind is ResourceKind.INSTANCE]
        if any(instance.status.under_way for instance in instances):
            return _Wait("waits for the service's instances")
        failed = [instance.key.short for instance in instances if instance.version is None]
        if failed:
            return _Wait(
                f"Service Instance(s): [{', '.join(failed)}] failed to deploy - canceling pipeline deployment",
                fault=True,
            )
    return None


def _moved(unit: Unit, resource: Resource, deployment: Deployment, outputs: Outputs, now: datetime) -> Resource:
    return replace(
        resource,
        version=deployment.target.version,
        inputs=deployment.target.inputs,
        outputs=outputs,
        lag=lag_of(unit, resource.template, deployment.target.version),
        last_succeeded_deployment=deployment.id,
        deployed_at=now,
        drift=None,
        drift_checked_at=None,
        drift_handle=None,
        replaces=False,
        snooze=resource.snooze if resource.version == deployment.target.version else None,
    )


def _composition(unit: Unit, deployment: Deployment) -> Composition | None:
    """What its stack is rendered from; None when nothing is made."""
    if deployment.action is Action.DELETE or _customer_managed(unit, deployment):
        return None
    return compose(unit, unit.fleet.get(deployment.resource), deployment.target)


def _customer_managed(unit: Unit, deployment: Deployment) -> bool:
    """Whether the environment is made by others: its bundle has a schema and no infrastructure."""
    if deployment.resource.kind is not ResourceKind.ENVIRONMENT:
        return False
    return Composer(unit).is_customer_managed(unit.fleet.get(deployment.resource), deployment.target.version)


def _stated_outputs(unit: Unit, deployment: Deployment) -> Outputs:
    """A customer-managed environment's inputs state the outputs of what others made."""
    version = _target_version(unit, deployment)
    schema = schemas.parse(version.schema or "")
    merged = specs.merge(schema.inputs_of(Part.ENVIRONMENT), deployment.target.inputs)
    return {name: str(value) for name, value in merged.items()}


def _target_version(unit: Unit, deployment: Deployment) -> TemplateVersion:
    template = unit.fleet.get(deployment.resource).template
    return unit.registry.version(template, deployment.target.version)
