"""What the platform team changes after a while, as edits of the sample templates.

The story is that of AWS's own tutorial for Proton's second day: a compliance rule asks for flow logs, production
wants to be asked before a deployment, and developers want to look into their containers, though only in test.
"""

from dataclasses import dataclass
from pathlib import Path

ENVIRONMENT_TEMPLATE = "vpc-ecs-env"
SERVICE_TEMPLATE = "fargate-svc"


@dataclass(frozen=True, slots=True)
class Edit:
    """One place of one file: `old` stands there exactly once, and `new` takes its place."""

    path: str
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Change:
    """Edits that belong together: what a person would commit at once, with the commit's message."""

    template: str
    message: str
    edits: tuple[Edit, ...]

    @property
    def subject(self) -> str:
        """The first line of the message."""
        return self.message.partition("\n")[0]


def apply(change: Change, folder: Path) -> None:
    """Make a change in the working tree at `folder`. Raises ValueError when a file is not as it is expected."""
    for edit in change.edits:
        path = folder / edit.path
        text = path.read_text()
        if text.count(edit.old) != 1:
            raise ValueError(f"{edit.path} holds {edit.old!r} {text.count(edit.old)} times and not once")
        path.write_text(text.replace(edit.old, edit.new))


FLOW_LOGS = Change(
    ENVIRONMENT_TEMPLATE,
    "Keep flow logs of every network\n\nCompliance asks for them from this quarter on. They are kept for a week.",
    (
        Edit(
            f"{ENVIRONMENT_TEMPLATE}/v1/infrastructure/cloudformation.yaml",
            "  # Flow logs of the network, once somebody asks for them, belong here.\n",
            """\
  FlowLog:
    Type: AWS::EC2::FlowLog
    Properties:
      DeliverLogsPermissionArn: !GetAtt FlowLogRole.Arn
      LogGroupName: !Ref FlowLogGroup
      ResourceId: !Ref VPC
      ResourceType: VPC
      TrafficType: ALL

  FlowLogGroup:
    Type: AWS::Logs::LogGroup
    Properties:
      RetentionInDays: 7

  FlowLogRole:
    Type: AWS::IAM::Role
    Properties:
      AssumeRolePolicyDocument:
        Version: "2012-10-17"
        Statement:
          - Effect: Allow
            Action: sts:AssumeRole
            Principal:
              Service: vpc-flow-logs.amazonaws.com
      Policies:
        - PolicyName: write-flow-logs
          PolicyDocument:
            Version: "2012-10-17"
            Statement:
              - Effect: Allow
                Action: [logs:CreateLogStream, logs:PutLogEvents, logs:DescribeLogStreams]
                Resource: !GetAtt FlowLogGroup.Arn
""",
        ),
    ),
)

APPROVAL_AND_EXEC = Change(
    SERVICE_TEMPLATE,
    "Ask before production, open a shell in test\n\nProduction stages wait for a person; ECS exec works in test only.",
    (
        Edit(
            f"{SERVICE_TEMPLATE}/v1/pipeline_infrastructure/cloudformation.yaml",
            "        # An approval stage may go here; it holds back everything that comes after it.\n",
            """\
{%- if 'production' in service_instance.environment.name %}
        - Name: Preproduction_Approval
          Actions:
            - Name: Approval
              ActionTypeId:
                Category: Approval
                Owner: AWS
                Provider: Manual
                Version: "1"
{%- endif %}
""",
        ),
        Edit(
            f"{SERVICE_TEMPLATE}/v1/instance_infrastructure/cloudformation.yaml",
            "  # Rights that the containers themselves need belong here.\n",
            """\
  TaskRole:
    Type: AWS::IAM::Role
    Properties:
      AssumeRolePolicyDocument:
        Version: "2012-10-17"
        Statement:
          - Effect: Allow
            Action: sts:AssumeRole
            Principal:
              Service: ecs-tasks.amazonaws.com
      Policies:
        - PolicyName: open-a-shell
          PolicyDocument:
            Version: "2012-10-17"
            Statement:
              - Effect: Allow
                Action:
                  - ssmmessages:CreateControlChannel
                  - ssmmessages:CreateDataChannel
                  - ssmmessages:OpenControlChannel
                  - ssmmessages:OpenDataChannel
                Resource: "*"
""",
        ),
        Edit(
            f"{SERVICE_TEMPLATE}/v1/instance_infrastructure/cloudformation.yaml",
            "      TaskRoleArn: !Ref AWS::NoValue\n",
            "      TaskRoleArn: !GetAtt TaskRole.Arn\n",
        ),
        Edit(
            f"{SERVICE_TEMPLATE}/v1/instance_infrastructure/cloudformation.yaml",
            """\
      LaunchType: FARGATE
      DesiredCount:""",
            """\
      LaunchType: FARGATE
{%- if 'test' in environment.name %}
      EnableExecuteCommand: true
{%- endif %}
      DesiredCount:""",
        ),
    ),
)
