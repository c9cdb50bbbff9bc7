"""Foresee: work out what an update would change in a stack, by a change set that is looked at and discarded."""

from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta

from upkeep.domain.changesets import Proposal, ProposalState, Risk
from upkeep.domain.deployments import Action, State
from upkeep.domain.errors import BundleError, CallerError, LostLease, StalledError, TransientError
from upkeep.domain.plans import Plan
from upkeep.domain.tags import stack_tags
from upkeep.domain.work import Claim
from upkeep.flows.compose import Composer
from upkeep.flows.measure import offered_to
from upkeep.flows.plan import digest, moved
from upkeep.flows.ports import Provisioner, Renderer, Request, Store, Unit
from upkeep.flows.settle import Terms, placement_of

LOOK_AGAIN_AFTER = timedelta(seconds=2)

WITHIN = timedelta(minutes=15)
"""So long a change set is waited for. CloudFormation needs seconds."""


def foresee(
    store: Store,
    renderer: Renderer,
    provisioner: Provisioner,
    claim: Claim,
    *,
    now: datetime,
    terms: Terms | None = None,
) -> None:
    """Do one PLAN work: composed, rendered, proposed and described, as far as it goes for now.

    What keeps it from being worked out is kept as its failure; a TransientError is raised for the worker to try again,
    until it has taken too long.
    """
    try:
        plan = _begun(store, renderer, claim, now)
        if plan is None:
            return
        request = _request(store, plan, terms or Terms())
        if plan.handle is None:
            plan = _save(store, claim, replace(plan, handle=provisioner.propose(request)))
        handle = plan.handle or ""
        proposal = provisioner.proposal(handle)
    except LostLease:
        raise
    except (BundleError, CallerError) as fault:
        _fail(store, claim, str(fault), now)
        return
    except StalledError as fault:
        _fail(store, claim, f"{fault.message}: {fault.cure}" if fault.cure else fault.message, now)
        return
    except TransientError as fault:
        if not _late(store, claim, now):
            raise
        _fail(store, claim, f"there was no answer: {fault.message}", now)
        return
    if proposal.state is not ProposalState.WORKING:
        _end(store, claim, plan, proposal, now)
    elif not _late(store, claim, now):
        with store.write() as unit:
            unit.work.hold(claim)
            unit.work.done(claim, again_at=now + LOOK_AGAIN_AFTER)
        return
    else:
        _fail(store, claim, "the change set was not worked out in time", now)
    # It served its purpose; one that stays behind harms nobody.
    with suppress(StalledError, CallerError, TransientError):
        provisioner.discard(handle)


def _begun(store: Store, renderer: Renderer, claim: Claim, now: datetime) -> Plan | None:
    """The plan with its template rendered and kept; None when nothing is left to do."""
    with store.write() as unit:
        unit.work.hold(claim)
        plan = unit.plans.find(claim.subject)
        resource = unit.fleet.find(plan.resource) if plan is not None else None
        if plan is None or resource is None or plan.made_at is not None:
            unit.work.done(claim)
            return None
        if plan.digest is not None:
            return plan
        target = unit.registry.version(plan.template, plan.version)
        composer = Composer(unit)
        if composer.is_customer_managed(resource, plan.version):
            raise CallerError(f"{plan.template} {plan.version} has no infrastructure: others make it")
        composition = composer.compose(resource, State(plan.version, plan.inputs))
        begun = replace(plan, digest=digest(unit, resource, target, plan.inputs))
    rendered = renderer.render(composition.template, composition.namespace)
    with store.write() as unit:
        unit.work.hold(claim)
        unit.plans.save(begun)
        unit.plans.keep_rendered(begun.id, rendered)
    return begun


def _request(store: Store, plan: Plan, terms: Terms) -> Request:
    with store.read() as unit:
        resource = unit.fleet.get(plan.resource)
        placement = placement_of(unit, resource, terms.pipelines)
        return Request(
            deployment=plan.id,
            resource=plan.resource,
            action=Action.UPDATE,
            template_body=unit.plans.rendered(plan.id) or "",
            tags=stack_tags(resource, plan.version, placement, terms.tags),
            placement=placement,
            stack=resource.stack,
        )


def _save(store: Store, claim: Claim, plan: Plan) -> Plan:
    with store.write() as unit:
        unit.work.hold(claim)
        unit.plans.save(plan)
    return plan


def _late(store: Store, claim: Claim, now: datetime) -> bool:
    with store.read() as unit:
        plan = unit.plans.find(claim.subject)
    return plan is not None and now >= plan.asked_at + WITHIN


def _end(store: Store, claim: Claim, plan: Plan, proposal: Proposal, now: datetime) -> None:
    failed = proposal.state is ProposalState.FAILED
    failure = (proposal.reason or "the change set failed without a reason") if failed else None
    with store.write() as unit:
        unit.work.hold(claim)
        made = replace(plan, proposal=proposal, failure=failure, made_at=now)
        # The resource's row before that of the plan: in this order goes whoever approves it.
        _warn(unit, made)
        unit.plans.save(made)
        unit.work.done(claim)


def _warn(unit: Unit, plan: Plan) -> None:
    """Write on a resource whether the update it is due for replaces something, if it is that update that was seen."""
    resource = unit.fleet.find(plan.resource)
    if resource is None or resource.version is None or not resource.lag.behind:
        return
    if offered_to(unit, resource.template, resource.version.major) == plan.version:
        replaces = plan.risk is Risk.REPLACES and not moved(unit, plan)
        unit.fleet.save(replace(resource, replaces=replaces))


def _fail(store: Store, claim: Claim, failure: str, now: datetime) -> None:
    with store.write() as unit:
        unit.work.hold(claim)
        plan = unit.plans.find(claim.subject)
        if plan is not None:
            unit.plans.save(replace(plan, failure=failure, made_at=now))
        unit.work.done(claim)
