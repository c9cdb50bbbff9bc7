"""What an update would change in a resource, looked at before anybody decides."""

from flask import render_template, request
from flask.typing import ResponseReturnValue

from upkeep.domain.errors import UpkeepError
from upkeep.domain.names import ResourceKey, parse_version
from upkeep.domain.outlines import section_changes
from upkeep.flows import preview
from upkeep.flows.browse.comparisons import resource_difference
from upkeep.web.diffs import Reading
from upkeep.web.pages.resources import of_each
from upkeep.web.rooms import rooms
from upkeep.web.wording import resource_url


@of_each("diff")
def diff(key: ResourceKey) -> ResponseReturnValue:
    """The rendered difference with the inputs as they are, to the version in `to` or else to the one it should take;
    with `show=after` the template that would be deployed."""
    to, after = request.args.get("to"), request.args.get("show") == "after"
    here = rooms()
    with here.store.read() as unit:
        view = resource_difference(unit, key, parse_version(to) if to else None)
    found, fault = None, None
    if view.to is not None:
        try:
            found = preview.preview_resource(here.store, here.renderer, key, view.to)
        except UpkeepError as refused:
            fault = refused
    reading = Reading(request.args, resource_url(key, "diff"), to=to, show="after" if after else None)
    shown = None
    if found is not None and found.diff and after:
        shown = reading.lay_file(
            f"Template of {key.short} at {view.to}", [line for block in found.blocks for line in block.new]
        )
    elif found is not None and found.diff:
        shown = reading.lay(str(key), f"Rendered change of {key.short}", found.blocks)
    return render_template(
        "difference.html",
        view=view,
        resource=view.resource,
        key=key,
        found=found,
        fault=fault,
        sections=section_changes(found.blocks) if found and found.diff and not after else (),
        reading=reading,
        shown=shown,
        after=after,
    )
