"""Templates: https://docs.aws.amazon.com/proton/latest/APIReference/API_ServiceTemplate.html.

Each operation is there for environment templates and for service templates.
"""

from functools import partial

from upkeep.domain.errors import CallerError
from upkeep.domain.names import parse_template_name
from upkeep.domain.people import Act, require
from upkeep.domain.versions import Template, TemplateKind
from upkeep.flows import register, review
from upkeep.web.proton import words
from upkeep.web.proton.protocol import Answer, Call, reads, writes
from upkeep.web.proton.repeats import amend, made_before, remember

_KEPT = ("description", "displayName", "encryptionKey", "provisioning", "pipelineProvisioning", "tags")


def create(kind: TemplateKind, call: Call) -> Answer:
    """Make a template, without any version yet."""
    there = call.unit.registry.find_template(call.given["name"])
    if there is None:
        name = parse_template_name(call.given["name"])
        there = register.add_template(call.unit, name, kind, actor=call.actor, now=call.now)
        remember(call, _subject(there), *_KEPT)
    else:
        made_before(call, _subject(there), there.created_at)
    return _answer(call, there)


def get(kind: TemplateKind, call: Call) -> Answer:
    """One template."""
    return _answer(call, family_of(call, call.given["name"], kind))


def listed(kind: TemplateKind, call: Call) -> Answer:
    """A page of the templates of a kind, by name."""
    known = [each for each in call.unit.registry.templates() if each.kind is kind]
    shown, following = call.page(known, lambda template: template.name)
    return {"templates": [words.template(call, each) for each in shown], "nextToken": following}


def update(kind: TemplateKind, call: Call) -> Answer:
    """Describe a template anew."""
    found = family_of(call, call.given["name"], kind)
    require(call.actor, Act.REVIEW)
    amend(call, _subject(found), found.created_at, "description", "displayName")
    return _answer(call, found)


def delete(kind: TemplateKind, call: Call) -> Answer:
    """Delete a template that has no versions."""
    found = family_of(call, call.given["name"], kind)
    answer = _answer(call, found)
    review.delete_template(call.unit, found.name, actor=call.actor, now=call.now)
    call.unit.annotations.remove(_subject(found))
    return answer


for _kind, _word in ((TemplateKind.ENVIRONMENT, "Environment"), (TemplateKind.SERVICE, "Service")):
    writes(f"Create{_word}Template")(partial(create, _kind))
    reads(f"Get{_word}Template")(partial(get, _kind))
    reads(f"List{_word}Templates")(partial(listed, _kind))
    writes(f"Update{_word}Template")(partial(update, _kind))
    writes(f"Delete{_word}Template")(partial(delete, _kind))


def family_of(call: Call, name: str, kind: TemplateKind) -> Template:
    """The template of a kind; NotFound when there is none, CallerError when it is of the other kind."""
    found = call.unit.registry.template(name)
    if found.kind is not kind:
        raise CallerError(f"{name} is not a template for the kind {kind} but {found.kind}", cure="call its operations")
    return found


def _answer(call: Call, found: Template) -> Answer:
    said = words.facts(call, _subject(found), found.created_at)
    return {f"{found.kind}Template": words.template(call, found) | {"encryptionKey": said.get("encryptionKey")}}


def _subject(found: Template) -> str:
    return f"template/{found.name}"
