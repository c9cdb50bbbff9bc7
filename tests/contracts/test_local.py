import json
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from upkeep import settings, wiring
from upkeep.adapters.local import LocalProvisioner
from upkeep.domain.changesets import Drift, DriftState, ProposalState, Risk, StackChange
from upkeep.domain.deployments import Action, Progress, ProgressState
from upkeep.domain.errors import CallerError, Conflict, SettingsError, StalledError, TransientError
from upkeep.domain.names import ResourceKey, ResourceKind, environment_key, instance_key, pipeline_key
from upkeep.domain.resources import Placement
from upkeep.flows.ports import Request

BODY = """\
Resources:
  Network:
    Type: AWS::EC2::VPC
Outputs:
  NetworkId:
    Value: !Ref Network
"""
PLAN = Request("d-1", environment_key("test"), Action.CREATE, BODY, {"upkeep:version": "1.0"}, Placement())


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "stacks"


@pytest.fixture
def provisioner(folder):
    return LocalProvisioner(folder)


def test_a_folder_keeps_the_mark_that_tells_it_from_others(provisioner, folder, tmp_path):
    mark = provisioner.mark()
    assert mark == LocalProvisioner(folder).mark() == (folder / ".upkeep").read_bytes().strip()
    assert mark != LocalProvisioner(tmp_path / "others").mark()
    assert [path.name for path in folder.iterdir()] == [".upkeep"]


def test_a_worker_whose_stacks_stand_elsewhere_than_those_of_its_database_is_refused(databases, tmp_path):
    with databases.migrated("postgresql") as url:

        def start(folder):
            text = f"database: {{url: '{url}'}}\nlocal: {{folder: {folder}}}"
            chosen = settings.read(text, "upkeep.yaml", folder=tmp_path / "home", environ={})
            with ExitStack() as stack:
                wiring.open_worker(chosen, stack)

        start(tmp_path / "shared")
        start(tmp_path / "shared")
        with pytest.raises(SettingsError, match="is not the folder that the stacks of this database stand in") as told:
            start(tmp_path / "own")
        # What it says makes it start, when the other folder is lost.
        words = str(told.value).split()
        (tmp_path / "own" / ".upkeep").write_text(words[words.index("write") + 1])
        start(tmp_path / "own")


def outcome(provisioner, plan):
    """How it ends: a template that is refused is told by its proposal, everything else by the stack."""
    handle = begun(provisioner, plan)
    return handle if isinstance(handle, Progress) else provisioner.observe(handle)


def begun(provisioner, plan):
    handle = provisioner.propose(plan)
    if plan.action is not Action.DELETE:
        proposal = provisioner.proposal(handle)
        if proposal.state is ProposalState.FAILED:
            provisioner.discard(handle)
            return Progress(ProgressState.FAILED, proposal.reason)
    provisioner.execute(handle, plan)
    return handle


def derived(provisioner, outputs, rest=""):
    """The stand-ins of some outputs, given as YAML lines below `Outputs`."""
    lines = "\n".join(f"  {line}" for line in outputs.splitlines())
    body = f"{rest}Resources:\n  Queue:\n    Type: AWS::SQS::Queue\nOutputs:\n{lines}\n"
    progress = outcome(provisioner, replace(PLAN, deployment=f"d-{abs(hash(body))}", template_body=body))
    assert progress.state is ProgressState.SUCCEEDED, progress.reason
    return progress.outputs


def files(folder):
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


def test_a_deployment_leaves_template_outputs_and_tags_under_the_name_of_its_resource(provisioner, folder):
    assert outcome(provisioner, PLAN) == Progress(
        ProgressState.SUCCEEDED,
        outputs={"NetworkId": "local-test-Network"},
        stack="environment/test",
        status="CREATE_COMPLETE",
    )
    written = files(folder)
    assert written["environment/test/template.yaml"] == BODY
    assert json.loads(written["environment/test/outputs.json"]) == {"NetworkId": "local-test-Network"}
    assert json.loads(written["environment/test/tags.json"]) == {"upkeep:version": "1.0"}
    assert json.loads(written["environment/test/deployment.json"])["deployment"] == "d-1"
    assert len(written) == 4


@pytest.mark.parametrize(
    ("key", "where", "stack"),
    [
        (environment_key("checkout"), "environment/checkout", "checkout"),
        (instance_key("checkout", "prod"), "instance/checkout/prod", "checkout-prod"),
        (pipeline_key("checkout"), "pipeline/checkout", "checkout-pipeline"),
    ],
)
def test_every_kind_of_resource_has_a_folder_and_a_stack_name_of_its_own(provisioner, folder, key, where, stack):
    assert outcome(provisioner, replace(PLAN, resource=key)).outputs == {"NetworkId": f"local-{stack}-Network"}
    assert (folder / where / "template.yaml").is_file()


def test_the_same_plan_twice_acts_once(provisioner, folder):
    handle = begun(provisioner, PLAN)
    written = (folder / "environment/test/template.yaml").stat().st_ino
    provisioner.execute(handle, replace(PLAN, template_body=BODY.replace("Network", "Other")))
    assert (folder / "environment/test/template.yaml").stat().st_ino == written


def test_an_execution_that_slept_writes_nothing_over_what_came_after_it(provisioner, folder):
    handle = begun(provisioner, PLAN)
    later = replace(PLAN, deployment="d-2", action=Action.UPDATE, template_body=BODY.replace("Network", "Net"))
    begun(provisioner, later)
    written = files(folder)
    with pytest.raises(Conflict, match="executed or discarded before"):
        provisioner.execute(handle, PLAN)
    assert files(folder) == written


def test_a_handle_is_understood_after_a_restart(provisioner, folder):
    handle = begun(provisioner, PLAN)
    assert LocalProvisioner(folder).observe(handle).outputs == {"NetworkId": "local-test-Network"}


def test_a_deployment_that_was_cut_short_is_done_again_as_a_whole(provisioner, folder):
    outcome(provisioner, PLAN)
    later = replace(PLAN, deployment="d-2", action=Action.UPDATE, template_body=BODY.replace("Network", "Net"))
    (folder / "environment/test/template.yaml").write_text(later.template_body)  # killed before the rest was written
    assert outcome(provisioner, later).outputs == {"NetId": "local-test-Net"}


def test_a_template_that_fails_leaves_the_last_good_one_in_place(provisioner, folder):
    outcome(provisioner, PLAN)
    broken = replace(PLAN, deployment="d-2", action=Action.UPDATE, template_body="Resources: {}\n")
    failed = outcome(provisioner, broken)
    assert failed.state is ProgressState.FAILED
    assert (folder / "environment/test/template.yaml").read_text() == BODY
    assert outcome(provisioner, broken) == failed


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("", "template.yaml:1: the template is no mapping"),
        ("Parameters: {}\n", "template.yaml:1: At least one Resources member must be defined"),
        ("Resources:\n  A: 1\n B: 2\n", "template.yaml:3: this is not YAML"),
        ("Resources:\n  A:\n    Type: X\n  A:\n    Type: X\n", "template.yaml:4: the key `A` was given"),
        (
            "Resources:\n  A:\n    Type: X\n    Properties:\n      Name:\n",
            "template.yaml:5: [/Resources/A/Properties/Name] 'null' values are not allowed in templates",
        ),
        (BODY + "  Other:\n    Export: {Name: x}\n", "template.yaml:7: Every Outputs member must contain a Value"),
    ],
)
def test_a_template_cloudformation_would_refuse_fails_with_the_line(provisioner, body, reason):
    failed = outcome(provisioner, replace(PLAN, template_body=body))
    assert failed.state is ProgressState.FAILED
    assert failed.reason is not None and failed.reason.startswith(reason)


def test_outputs_are_worked_out_as_far_as_they_can_be(provisioner):
    rest = """\
Parameters:
  Stage: {Type: String, Default: beta}
Mappings:
  Sizes: {beta: {cpu: 256}}
Conditions:
  IsBeta: !Equals [!Ref Stage, beta]
  IsProd: !Not [!Condition IsBeta]
"""
    outputs = """\
Literal: {Value: "https://example.com"}
Number: {Value: 80}
Truth: {Value: true}
Arn: {Value: !GetAtt Queue.Arn}
Name: {Value: !GetAtt Queue.QueueName}
Parameter: {Value: !Ref Stage}
Pseudo: {Value: !Sub "${AWS::StackName} in ${AWS::Region} of ${AWS::AccountId}"}
Sub: {Value: !Sub ["${!Kept}-${Queue}-${Mine}", {Mine: !Ref Stage}]}
Join: {Value: !Join [",", [!Ref Queue, !Ref "AWS::NoValue", "b"]]}
Select: {Value: !Select [1, !Split [",", "a,b,c"]]}
Mapped: {Value: !FindInMap [Sizes, !Ref Stage, cpu]}
Chosen: {Value: !If [IsProd, "prod", "not prod"]}
Imported: {Value: !ImportValue shared}
Unknown: {Value: !Cidr ["10.0.0.0/16", 2, 8]}
Left: {Condition: IsProd, Value: "x"}
Kept: {Condition: IsBeta, Value: !Base64 "x"}"""
    assert derived(provisioner, outputs, rest) == {
        "Literal": "https://example.com",
        "Number": "80",
        "Truth": "true",
        "Arn": "arn:aws:local:local-1:000000000000:test/Queue",
        "Name": "local-test-Queue-QueueName",
        "Parameter": "beta",
        "Pseudo": "test in local-1 of 000000000000",
        "Sub": "${Kept}-local-test-Queue-beta",
        "Join": "local-test-Queue,b",
        "Select": "b",
        "Mapped": "256",
        "Chosen": "not prod",
        "Imported": "local-import-shared",
        "Unknown": "local-test-Cidr",
        "Kept": "eA==",
    }


@pytest.mark.parametrize(
    "rest",
    [
        "Outputs:\n  O: {Condition: C, Value: x}\nConditions:\n  C: !Condition C\n",
        "Outputs:\n  O: {Value: !Join [" + "x" * 90_000 + ", [" + "a, " * 90 + "a]]}\n",
        "Outputs:\n  O: {Value: !Sub '" + "${AWS::StackId}" * 50_000 + "'}\n",
    ],
)
def test_outputs_that_explode_fail_the_deployment_and_nothing_else(provisioner, rest):
    failed = outcome(provisioner, replace(PLAN, template_body=f"{rest}Resources:\n  A: {{Type: X}}\n"))
    assert failed.state is ProgressState.FAILED
    assert "the value of output `O` is too large" in str(failed.reason)


def test_functions_with_nonsense_in_them_still_give_texts(provisioner):
    outputs = """\
A: {Value: !Select [99999999999999999999, [!Ref C]]}
B: {Value: {Fn::Sub: [], Fn::Join: 1}}
C: {Value: !Sub [1, 2, 3]}
D: {Value: !If x}
E: {Value: !GetAtt []}
F: {Value: !Join []}
G: {Value: !FindInMap [a]}
H: {Value: !Split [[], {}]}"""
    found = derived(provisioner, outputs, "Conditions: [a]\nMappings: a\nParameters: 1\n")
    assert set(found) == set("ABCDEFGH")
    assert all(isinstance(value, str) for value in found.values())


def test_deleting_removes_the_folder_and_may_be_done_twice(provisioner, folder):
    key = instance_key("checkout", "prod")
    outcome(provisioner, replace(PLAN, resource=key))
    outcome(provisioner, PLAN)
    delete = Request("d-2", key, Action.DELETE, "", {}, Placement())
    for _ in range(2):
        gone = outcome(provisioner, delete)
        assert gone == Progress(ProgressState.SUCCEEDED, stack=str(key), status="DELETE_COMPLETE")
    assert sorted(path.name for path in folder.iterdir()) == [".proposals", "environment"]


@pytest.mark.parametrize("name", ["..", "../../etc", "/etc", "a/b", ".", "a\0b", ""])
def test_no_name_leads_out_of_the_folder(provisioner, folder, name):
    outside = ResourceKey(ResourceKind.ENVIRONMENT, name)
    with pytest.raises(CallerError):
        provisioner.propose(replace(PLAN, resource=outside))
    with pytest.raises(StalledError):
        provisioner.observe(f"create:d-1:environment/{name}")
    assert not folder.exists()


@pytest.mark.parametrize("handle", ["", "create", "create:d-1", "explode:d-1:environment/test"])
def test_a_handle_it_never_gave_is_refused(provisioner, handle):
    with pytest.raises(StalledError):
        provisioner.observe(handle)


def test_the_handle_of_a_deployment_that_was_followed_by_another_does_not_speak_for_it(provisioner):
    first = begun(provisioner, PLAN)
    begun(provisioner, replace(PLAN, deployment="d-2", action=Action.UPDATE))
    assert provisioner.observe(first).state is ProgressState.FAILED


def test_a_folder_that_cannot_be_used_is_tried_again_later(folder):
    folder.parent.mkdir(exist_ok=True)
    folder.write_text("a file where the folder should be")
    with pytest.raises(TransientError, match="cannot use"):
        LocalProvisioner(folder).propose(PLAN)


def test_no_descriptor_and_no_temporary_file_stays_behind(provisioner, folder):
    descriptors = Path("/proc/self/fd")
    before = len(list(descriptors.iterdir()))
    for number in range(20):
        outcome(provisioner, replace(PLAN, deployment=f"d-{number}"))
    assert len(list(descriptors.iterdir())) == before
    assert len(files(folder)) == 4


def proposed(provisioner, plan):
    return provisioner.proposal(provisioner.propose(plan))


def test_a_proposal_compares_the_resources_with_those_of_the_last_good_template(provisioner):
    first = proposed(provisioner, PLAN)
    assert first.changes == (StackChange("Add", "Network", "AWS::EC2::VPC"),)
    outcome(provisioner, PLAN)
    body = """\
Resources:
  Log: {Type: AWS::Logs::LogGroup}
  Network: {Type: AWS::EC2::VPC, Properties: {CidrBlock: 10.0.0.0/16}}
"""
    later = replace(PLAN, deployment="d-2", action=Action.UPDATE, template_body=body)
    found = proposed(provisioner, later)
    assert found.state is ProposalState.READY
    assert found.changes == (
        StackChange("Add", "Log", "AWS::Logs::LogGroup"),
        StackChange("Modify", "Network", "AWS::EC2::VPC", causes=("CidrBlock",)),
    )
    assert [change.risk for change in found.changes] == [Risk.IN_PLACE, Risk.NOT_CHECKED]
    outcome(provisioner, later)
    back = proposed(provisioner, replace(PLAN, deployment="d-3", action=Action.UPDATE))
    assert [change.action for change in back.changes] == ["Remove", "Modify"]
    assert back.risk is Risk.REPLACES


def test_an_update_that_changes_neither_template_nor_tags_is_empty_and_gives_its_outputs(provisioner):
    outcome(provisioner, PLAN)
    handle = provisioner.propose(replace(PLAN, deployment="d-2", action=Action.UPDATE))
    assert provisioner.proposal(handle).state is ProposalState.EMPTY
    assert provisioner.observe(handle).outputs == {"NetworkId": "local-test-Network"}


def test_a_proposal_is_the_same_until_it_is_discarded(provisioner, folder):
    handle = provisioner.propose(PLAN)
    assert provisioner.propose(replace(PLAN, template_body="Resources: {}")) == handle
    assert LocalProvisioner(folder).proposal(handle).changes
    provisioner.discard(handle)
    provisioner.discard(handle)
    with pytest.raises(StalledError, match="is not kept"):
        provisioner.proposal(handle)
    assert files(folder) == {}


def test_what_ends_at_once_can_neither_be_cancelled_nor_rolled_back(provisioner):
    handle = begun(provisioner, PLAN)
    with pytest.raises(Conflict, match="has ended already"):
        provisioner.cancel(handle)
    with pytest.raises(Conflict):
        provisioner.continue_rollback("test", Placement(), "token")


def test_what_somebody_changed_in_the_folder_is_drift_until_it_is_deployed_again(provisioner, folder):
    stack = outcome(provisioner, PLAN).stack

    def drift():
        return provisioner.drift(provisioner.ask_drift(stack, Placement()))

    assert drift() == Drift(DriftState.IN_SYNC)
    template = folder / "environment/test/template.yaml"
    touched = BODY.replace("Resources:\n", "Resources:\n  Extra:\n    Type: AWS::SQS::Queue\n", 1)
    template.write_text(touched)
    assert drift() == Drift(DriftState.DRIFTED, ("Extra (AWS::SQS::Queue): ADDED",))
    template.write_text(BODY + "# by hand\n")
    assert drift() == Drift(DriftState.DRIFTED, (), "something besides the resources of its template was changed")
    outcome(provisioner, replace(PLAN, deployment="d-2", action=Action.UPDATE, tags={}))
    assert drift() == Drift(DriftState.IN_SYNC)


def test_drift_of_what_is_not_there_any_more_says_so(provisioner, folder):
    stack = outcome(provisioner, PLAN).stack
    (folder / "environment/test/template.yaml").unlink()
    for name in (stack, "environment/other", "test", "../../etc"):
        with pytest.raises(StalledError, match=r"not in|no stack"):
            provisioner.drift(name)
