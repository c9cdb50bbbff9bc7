"""The button that asks whether what runs is still what was deployed."""

from flask import Blueprint, flash, redirect
from flask.typing import ResponseReturnValue

from upkeep.domain.names import ResourceKey, environment_key, instance_key, pipeline_key
from upkeep.flows import drift
from upkeep.web.identity import actor
from upkeep.web.rooms import rooms
from upkeep.web.wording import resource_url

blueprint = Blueprint("drift", __name__)


@blueprint.post("/environments/<name>/drift")
def environment(name: str) -> ResponseReturnValue:
    """Have an environment compared."""
    return _ask(environment_key(name))


@blueprint.post("/services/<service>/instances/<name>/drift")
def instance(service: str, name: str) -> ResponseReturnValue:
    """Have an instance compared."""
    return _ask(instance_key(service, name))


@blueprint.post("/services/<service>/pipeline/drift")
def pipeline(service: str) -> ResponseReturnValue:
    """Have a pipeline compared."""
    return _ask(pipeline_key(service))


def _ask(key: ResourceKey) -> ResponseReturnValue:
    here = rooms()
    with here.store.write() as unit:
        drift.ask(unit, key, actor=actor(), now=here.clock())
    here.store.ring()
    flash(f"{key.short} is being compared with what was deployed. Look again in a moment.")
    return redirect(resource_url(key), 303)
