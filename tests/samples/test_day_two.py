"""The tutorial's own templates on their second day: the edits it asks for become 1.1."""

from datetime import datetime
from pathlib import Path

from tests.flows.test_sync import staged
from upkeep.adapters.jinja import JinjaRenderer
from upkeep.adapters.store import SqlStore
from upkeep.demo.edits import APPROVAL_AND_EXEC, FLOW_LOGS

ENVIRONMENT = "vpc-ecscluster-env/v1/infrastructure/cloudformation.yaml"
INSTANCE = "lb-fargate-svc/v1/instance_infrastructure/cloudformation.yaml"
PIPELINE = "lb-fargate-svc/v1/pipeline_infrastructure/cloudformation.yaml"

LOOP = "{%- for service_instance in service_instances %}\n"


def test_the_edits_the_tutorial_asks_for_become_minor_versions(
    tmp_path: Path, samples: Path, store: SqlStore, now: datetime
) -> None:
    tutorial = samples / "tutorial"
    files = {str(path.relative_to(tutorial)): path.read_bytes() for path in tutorial.rglob("*") if path.is_file()}
    (flow_logs,) = FLOW_LOGS.edits
    approval, task_role, _, _ = APPROVAL_AND_EXEC.edits

    def edited(path: str, old: str, new: str) -> bytes:
        text = files[path].decode()
        assert text.count(old) == 1
        return text.replace(old, new).encode()

    logged = files | {ENVIRONMENT: edited(ENVIRONMENT, "\nOutputs:\n", f"\n{flow_logs.new}\nOutputs:\n")}
    files[INSTANCE] = edited(INSTANCE, '!Ref "AWS::NoValue"', "!GetAtt TaskRole.Arn")
    files[INSTANCE] = edited(INSTANCE, "\nResources:\n", f"\nResources:\n{task_role.new}\n")
    gated = logged | {INSTANCE: files[INSTANCE], PIPELINE: edited(PIPELINE, LOOP, LOOP + approval.new)}
    with JinjaRenderer() as renderer:
        stage = staged(tmp_path, store, renderer, now)
        stage.push({str(p.relative_to(tutorial)): p.read_bytes() for p in tutorial.rglob("*") if p.is_file()})
        stage.sync()
        stage.push(logged, gated)
        stage.sync()
    assert stage.versions() == {
        "lb-fargate-svc": ["1.0 DRAFT", "1.1 DRAFT"],
        "vpc-ecscluster-env": ["1.0 DRAFT", "1.1 DRAFT"],
    }
