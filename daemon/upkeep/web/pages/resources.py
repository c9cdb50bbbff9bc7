"""Environments, services, instances and pipelines, as they are."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from flask import Blueprint, render_template, request
from flask.typing import ResponseReturnValue

from upkeep.domain.names import ResourceKey, ResourceKind, environment_key, instance_key, pipeline_key
from upkeep.flows.browse import resources as browse
from upkeep.flows.browse import stamps
from upkeep.flows.browse.fleet import first_step
from upkeep.flows.ports import FleetFilter, ServiceFilter
from upkeep.web import live
from upkeep.web.pages.fleet import STATUSES, wanted_resources
from upkeep.web.rooms import rooms

blueprint = Blueprint("resources", __name__)
"""Everything under /environments and /services; other modules add to it what people do there."""

_ADDRESSES: dict[ResourceKind, tuple[str, Callable[..., ResourceKey]]] = {
    ResourceKind.ENVIRONMENT: ("/environments/<name>", environment_key),
    ResourceKind.INSTANCE: ("/services/<service>/instances/<name>", instance_key),
    ResourceKind.PIPELINE: ("/services/<service>/pipeline", pipeline_key),
}


def of_each(
    page: str = "", *methods: str, kinds: tuple[ResourceKind, ...] = tuple(ResourceKind)
) -> Callable[[Callable[[ResourceKey], ResponseReturnValue]], Callable[[ResourceKey], ResponseReturnValue]]:
    """Serve a page of resources, or an act upon one, at the addresses of each kind, as `environment_update` …"""

    def served(view: Callable[[ResourceKey], ResponseReturnValue]) -> Callable[[ResourceKey], ResponseReturnValue]:
        for kind in kinds:
            address, key_of = _ADDRESSES[kind]
            blueprint.add_url_rule(
                f"{address}/{page}" if page else address,
                f"{kind}_{page}" if page else str(kind),
                _with_key(view, key_of),
                methods=methods or ("GET",),
            )
        return view

    return served


def _with_key(
    view: Callable[[ResourceKey], ResponseReturnValue], key_of: Callable[..., ResourceKey]
) -> Callable[..., ResponseReturnValue]:
    @wraps(view)
    def shown(**names: Any) -> ResponseReturnValue:
        return view(key_of(**names))

    return shown


@blueprint.get("/environments")
def environments() -> ResponseReturnValue:
    """All environments."""
    wanted = wanted_resources()
    filtered = wanted != FleetFilter()
    with rooms().store.read() as unit:
        view = browse.environments(unit, wanted, request.args.get("after") or None)
        missing = None if view.rows or filtered else first_step(unit)
    return render_template(
        "environments.html", view=view, missing=missing, wanted=wanted, filtered=filtered, statuses=STATUSES
    )


@blueprint.get("/services")
def services() -> ResponseReturnValue:
    """All services."""
    wanted = ServiceFilter(
        **{name: request.args.get(name, "").strip() for name in ("search", "template", "owner")},
    )
    filtered = wanted != ServiceFilter()
    with rooms().store.read() as unit:
        view = browse.services(unit, wanted, request.args.get("after", ""))
        missing = None if view.rows or filtered else first_step(unit)
    return render_template("services.html", view=view, missing=missing, wanted=wanted, filtered=filtered)


@blueprint.get("/services/<service>")
def service(service: str) -> ResponseReturnValue:
    """One service with its parts."""
    with rooms().store.read() as unit:
        row = browse.service(unit, service)
    return render_template("service.html", row=row, service=row.service)


@of_each()
def show(key: ResourceKey) -> ResponseReturnValue:
    """One environment, instance or pipeline."""
    with rooms().store.read() as unit:
        if live.unchanged(stamps.resource(unit, key)):
            return live.NOTHING_NEW
        view = browse.resource(unit, key, request.args.get("before"), request.args.get("after") or None)
    return render_template("resource.html", view=view, resource=view.resource, key=key)
