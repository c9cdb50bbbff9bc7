"""Tags of the customer's own: https://docs.aws.amazon.com/proton/latest/APIReference/API_TagResource.html.

What Proton kept to itself, Upkeep also puts on the stacks of environments, instances and pipelines, with their next
deployment.
"""

from collections.abc import Mapping
from datetime import datetime

from upkeep.domain.annotations import Annotation
from upkeep.domain.errors import CallerError, NotFound
from upkeep.domain.names import ResourceKey
from upkeep.domain.people import Act, require
from upkeep.domain.tags import parse_tags
from upkeep.domain.versions import VersionKey
from upkeep.flows import adjust
from upkeep.web.proton import words
from upkeep.web.proton.arns import Named
from upkeep.web.proton.protocol import Answer, Call, reads, writes

MOST = 50


@writes("TagResource")
def tag(call: Call) -> Answer:
    """Add tags, or change their values."""
    _write(call, {**_read(call, _named(call)), **given_tags(call)})
    return {}


@writes("UntagResource")
def untag(call: Call) -> Answer:
    """Take tags away. One that is not there is none to take."""
    gone = set(call.given["tagKeys"])
    _write(call, {key: value for key, value in _read(call, _named(call)).items() if key not in gone})
    return {}


@reads("ListTagsForResource")
def listed(call: Call) -> Answer:
    """A page of the tags of one thing, by key."""
    shown, following = call.page(list(_read(call, _named(call)).items()), lambda pair: pair[0])
    return {"tags": [{"key": key, "value": value} for key, value in shown], "nextToken": following}


def given_tags(call: Call) -> dict[str, str]:
    """The tags among the parameters, as stacks can have them."""
    given = call.given.get("tags", ())
    if any("=" in each["key"] for each in given):
        raise CallerError("a key of a tag holds `=`", cure="choose a key without it")
    return parse_tags(f"{each['key']}={each['value']}" for each in given)


def _named(call: Call) -> Named:
    return call.names.read(call.given["resourceArn"])


def _read(call: Call, named: Named) -> Mapping[str, str]:
    if isinstance(named, ResourceKey):
        return call.unit.fleet.get(named).tags
    said = words.facts(call, *_subject(call, named))
    return {each["key"]: each["value"] for each in said.get("tags", ())}


def _write(call: Call, tags: Mapping[str, str]) -> None:
    if len(tags) > MOST:
        raise CallerError(f"that makes {len(tags)} tags", cure=f"keep to {MOST}")
    named = _named(call)
    if isinstance(named, ResourceKey):
        adjust.label(call.unit, named, tags, actor=call.actor, now=call.now)
        return
    kind, _, name = str(named).partition("/")
    if kind == "service":
        require(call.actor, Act.ENROLL, call.unit.fleet.service(name).owner, name)
    else:
        require(call.actor, Act.REVIEW)
    subject, since = _subject(call, named)
    listed = [{"key": key, "value": value} for key, value in tags.items()]
    said = {**words.facts(call, subject, since), "tags": listed}
    call.unit.annotations.save(Annotation(subject, call.now, said))


def _subject(call: Call, named: Named) -> tuple[str, datetime]:
    """The subject of what is tagged, and since when it is there; NotFound when it is not."""
    if isinstance(named, VersionKey):
        call.unit.registry.version(named.template, named.version)
        subject = f"version/{named.template}/{named.version}"
        return subject, call.unit.registry.template(named.template).created_at
    kind, _, name = str(named).partition("/")
    if kind == "service":
        return str(named), call.unit.fleet.service(name).created_at
    if kind == "template":
        return str(named), call.unit.registry.template(name).created_at
    linked = call.unit.annotations.find(str(named))
    if linked is None:
        raise NotFound(f"there is no {named}", cure="list-repositories shows all")
    return str(named), linked.at
