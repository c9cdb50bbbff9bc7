"""A draft of a template with thousands of lines, and what it would change where it runs."""

from datetime import datetime, timedelta

from tests import builders
from tests.flows.given import registered
from upkeep.adapters.jinja import JinjaRenderer
from upkeep.domain.names import TemplateName, Version, environment_key
from upkeep.domain.versions import VersionState
from upkeep.domain.work import WorkKind
from upkeep.flows.ports import Store
from upkeep.flows.preview import preview, subject_of

TEMPLATE = TemplateName("large-env")
ENVIRONMENTS = 12


def body(resources: int, changed: bool = False) -> str:
    """A template of ten lines a resource; when it is `changed`, every hundredth of them has another size, the first one
    is gone, and one is new."""
    written = ["Description: everything\nResources:\n"]
    for number in range(1 if changed else 0, resources):
        size = "large" if changed and number % 100 == 50 else "small"
        written.append(
            f"  Queue{number:03}:\n"
            "    Type: AWS::SQS::Queue\n"
            "    Properties:\n"
            f"      QueueName: queue-{number}-{{{{ environment.name }}}}\n"
            f"      Size: {size}\n"
            "      RedrivePolicy:\n"
            "        maxReceiveCount: 5\n"
            "      Tags:\n"
            "        - Key: number\n"
            f'          Value: "{number}"\n'
        )
    if changed:
        written.append("  Alarm:\n    Type: AWS::CloudWatch::Alarm\n")
    return "".join(written) + "Outputs:\n  Name:\n    Value: {{ environment.inputs.cidr }}\n"


def files(text: str) -> dict[str, str | bytes]:
    """The bundle of such a template."""
    return builders.environment_files(builders.ENVIRONMENT_SCHEMA, text)


def furnish_large(store: Store, renderer: JinjaRenderer, now: datetime, resources: int = 300) -> None:
    """1.0 runs in a dozen environments, 1.1 is a draft whose preview is worked out."""
    with store.write() as unit:
        before = builders.a_bundle(files(body(resources)))
        registered(unit, TEMPLATE, "1.0", before, now - timedelta(days=9), VersionState.PUBLISHED)
        registered(unit, TEMPLATE, "1.1", builders.a_bundle(files(body(resources, changed=True))), now)
        for number in range(ENVIRONMENTS):
            unit.fleet.add(builders.a_resource(environment_key(f"large-{number}"), TEMPLATE, "1.0"))
    subject = subject_of(TEMPLATE, Version(1, 1))
    with store.write() as unit:
        unit.work.ask(WorkKind.PREVIEW, subject, now - timedelta(days=1))
        claim = unit.work.claim([WorkKind.PREVIEW], now, timedelta(minutes=1))
    assert claim is not None
    assert claim.subject == subject
    preview(store, renderer, claim, now=now)
