"""Choose: which version an update of one of Proton's types leads to.

https://docs.aws.amazon.com/proton/latest/APIReference/API_UpdateServiceInstance.html
"""

from upkeep.domain.deployments import UpdateType
from upkeep.domain.errors import CallerError, Conflict
from upkeep.domain.names import TemplateName, Version
from upkeep.domain.resources import Resource
from upkeep.flows.ports import Unit


def choose(unit: Unit, resource: Resource, how: UpdateType, major: int | None, minor: int | None) -> Version:
    """The version that a resource is to be moved to, from what is named of it. CallerError when the type of update does
    not go with what is named, Conflict when nothing of it is published."""
    now = resource.version or unit.deployments.of_resource(resource.key, limit=1)[0].target.version
    match how:
        case UpdateType.MINOR_VERSION:
            if major not in (None, now.major):
                raise CallerError(
                    f"{resource.key.short} runs major {now.major}, and MINOR_VERSION keeps it", cure="use MAJOR_VERSION"
                )
            return _in_major(unit, resource.template, now.major, minor)
        case UpdateType.MAJOR_VERSION if major is None:
            if minor is not None:
                raise CallerError("a minor is named without its major", cure="name the major as well")
            recommended = unit.registry.template(resource.template).recommended
            if recommended is None:
                raise Conflict(f"no version of {resource.template} is recommended", cure="publish one, or name one")
            return recommended
        case UpdateType.MAJOR_VERSION if major is not None:
            return _in_major(unit, resource.template, major, minor)
    if major is not None or minor is not None:
        raise CallerError(f"{how} keeps the version that runs, and one is named", cure="leave the version out")
    return now


def _in_major(unit: Unit, template: TemplateName, major: int, minor: int | None) -> Version:
    if minor is not None:
        return Version(major, minor)
    found = unit.registry.find_major(template, major)
    if found is None or found.recommended_minor is None:
        raise Conflict(f"no version {major}.x of {template} is published", cure="publish one, or name its minor")
    return Version(major, found.recommended_minor)
