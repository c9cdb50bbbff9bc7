"""Stamps: a short name for the rows that a page shows, the same for as long as they are.

A page on which something is under way is asked for again and again. Its stamp costs a few small rows where the page
would cost all of them. It stands on rows alone, so that it is the same after a restart and on every replica. What is
journaled everywhere, such as a version published or a deployment settled, is in it by the journal's last entry.
"""

from upkeep.domain.names import ResourceKey, Version, parse_source_name
from upkeep.domain.plans import digest_of
from upkeep.domain.work import WorkKind
from upkeep.flows.browse import deployments as attempts
from upkeep.flows.browse import sources as origins
from upkeep.flows.browse.deployments import DeploymentFilter
from upkeep.flows.ports import Unit
from upkeep.flows.preview import subject_of


def deployment(unit: Unit, deployment_id: str) -> str:
    """A deployment's page. While it is under way, nothing else happens to its resource."""
    found = unit.deployments.get(deployment_id)
    return digest_of([found, unit.deployments.told(found.id)])


def deployments(unit: Unit, wanted: DeploymentFilter, after: str | None) -> str:
    """A page of the list of deployments."""
    return digest_of(attempts.deployments(unit, wanted, after).rows)


def resource(unit: Unit, key: ResourceKey) -> str:
    """A resource's page."""
    return digest_of([unit.fleet.get(key), unit.deployments.under_way(key), _journaled(unit)])


def update(unit: Unit, key: ResourceKey, plan_id: str) -> str:
    """The form that moves a resource, with a plan that is worked out."""
    return digest_of([unit.plans.find(plan_id), resource(unit, key)])


def source(unit: Unit, name: str) -> str:
    """A source's page."""
    found = unit.sources.get(parse_source_name(name))
    delivered = unit.deliveries.recent(origins.DELIVERIES, found.name)
    return digest_of([found, _work(unit, WorkKind.SYNC, found.name), delivered, _journaled(unit)])


def template(unit: Unit, name: str) -> str:
    """A template's page."""
    found = unit.registry.template(name)
    origin = None
    if found.source is not None:
        origin = [unit.sources.get(found.source), _work(unit, WorkKind.SYNC, found.source)]
    drafts = [subject_of(found.name, draft.version) for draft in unit.registry.drafts(found.name)]
    return digest_of([origin, [_work(unit, WorkKind.PREVIEW, draft) for draft in drafts], _journaled(unit)])


def review(unit: Unit, name: str, number: Version) -> str:
    """The review of a draft."""
    found = unit.registry.template(name).name
    return digest_of(
        [
            _work(unit, WorkKind.PREVIEW, subject_of(found, number)),
            unit.registry.previewed_at(found, number),
            unit.plans.standing(found, number),
            _journaled(unit),
        ]
    )


def rollout(unit: Unit, rollout_id: str) -> str:
    """A rollout's page."""
    return digest_of(unit.rollouts.get(rollout_id))


def _work(unit: Unit, kind: WorkKind, subject: str) -> object:
    """What a page says of work: whether it is there, running, or failed. A lease is prolonged without a word."""
    found = unit.work.find(kind, subject)
    return found and [found.leased_until is not None, found.attempts, found.failure]


def _journaled(unit: Unit) -> int:
    return next((entry.id for entry in unit.journal.entries(1)), 0)
