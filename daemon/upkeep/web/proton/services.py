"""Services: https://docs.aws.amazon.com/proton/latest/APIReference/API_Service.html."""

from upkeep.domain import specs
from upkeep.domain.errors import CallerError, NotFound
from upkeep.domain.names import ResourceKind
from upkeep.domain.people import Act, require
from upkeep.domain.resources import Repository, Service
from upkeep.domain.specs import ServiceSpec, keep_current
from upkeep.flows import enroll
from upkeep.flows.browse.documents import current_spec
from upkeep.web.proton import words
from upkeep.web.proton.protocol import Answer, Call, reads, writes
from upkeep.web.proton.repeats import amend, made_before, remember
from upkeep.web.proton.tags import given_tags
from upkeep.web.proton.updates import named_version


@writes("CreateService")
def create(call: Call) -> Answer:
    """Create a service with its instances and its pipeline, and deploy them."""
    there = _there(call)
    if there is not None:
        parts = call.unit.fleet.of_service(there.name)
        made_before(
            call, _subject(there), there.created_at, untouched=all(words.attempts(call, part) == 1 for part in parts)
        )
        return {"service": words.service(call, there)}
    enroll.create_service(
        call.unit,
        call.given["name"],
        call.given["templateName"],
        call.given["spec"],
        version=named_version(call, call.given["templateName"]),
        repository=Repository(
            call.given.get("branchName", ""),
            call.given.get("repositoryId", ""),
            call.given.get("repositoryConnectionArn", ""),
        ),
        tags=given_tags(call),
        actor=call.actor,
        now=call.now,
    )
    made = call.unit.fleet.service(call.given["name"])
    remember(call, _subject(made), "description", "tags")
    return {"service": words.service(call, made)}


@reads("GetService")
def get(call: Call) -> Answer:
    """One service, its spec and its pipeline."""
    return {"service": words.service(call, call.unit.fleet.service(call.given["name"]))}


@reads("ListServices")
def listed(call: Call) -> Answer:
    """A page of services, by name."""
    shown, following = call.page(call.unit.fleet.services(), lambda service: service.name)
    return {"services": [words.service(call, each, summary=True) for each in shown], "nextToken": following}


@writes("UpdateService")
def update(call: Call) -> Answer:
    """Describe a service anew, or bring it to the instances that its spec lists."""
    found = call.unit.fleet.service(call.given["name"])
    if "spec" in call.given:
        _refuse_changes(call, found, specs.parse_service_spec(call.given["spec"]))
        enroll.update_service(call.unit, found.name, call.given["spec"], actor=call.actor, now=call.now)
    else:
        require(call.actor, Act.ENROLL, found.owner, found.name)
    amend(call, _subject(found), found.created_at, "description")
    return {"service": words.service(call, call.unit.fleet.service(found.name))}


@writes("DeleteService")
def delete(call: Call) -> Answer:
    """Delete a service with all its parts; again while they are being deleted changes nothing."""
    found = call.unit.fleet.service(call.given["name"])
    if not all(words.being_deleted(part) for part in call.unit.fleet.of_service(found.name)):
        enroll.delete_service(call.unit, found.name, actor=call.actor, now=call.now)
    return {"service": words.service(call, found)}


def _there(call: Call) -> Service | None:
    try:
        return call.unit.fleet.service(call.given["name"])
    except NotFound:
        return None


def _subject(found: Service) -> str:
    return f"service/{found.name}"


def _refuse_changes(call: Call, found: Service, wanted: ServiceSpec) -> None:
    """An update of a service adds and removes instances. What stays is updated one by one, so it must be as it is."""
    now = current_spec(call.unit, found)
    kept = {one.name: one for one in now.instances}
    changed = [
        f"instance `{one.name}`"
        for one in wanted.instances
        if (before := kept.get(one.name)) is not None
        and (one.environment, keep_current(one.inputs, before.inputs)) != (before.environment, before.inputs)
    ]
    pipeline = any(part.key.kind is ResourceKind.PIPELINE for part in call.unit.fleet.of_service(found.name))
    if pipeline and keep_current(wanted.pipeline or {}, now.pipeline or {}) != (now.pipeline or {}):
        changed.append("the pipeline")
    if changed:
        raise CallerError(
            f"the spec changes {', '.join(changed)}, and updating a service only adds and removes instances",
            where="spec",
            cure="update each by itself, with update-service-instance or update-service-pipeline",
        )
