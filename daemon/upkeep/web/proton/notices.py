"""What deployments outside of Upkeep tell of themselves.

https://docs.aws.amazon.com/proton/latest/APIReference/API_NotifyResourceDeploymentStatusChange.html
"""

from upkeep.domain.errors import CallerError
from upkeep.domain.names import ResourceKey
from upkeep.flows import adjust
from upkeep.web.proton.protocol import Answer, Call, writes


@writes("NotifyResourceDeploymentStatusChange")
def notify(call: Call) -> Answer:
    """Take the outputs of what others make. Of a stack that Upkeep makes, the stack itself tells."""
    key = call.names.read(call.given["resourceArn"])
    if not isinstance(key, ResourceKey):
        raise CallerError("the ARN names nothing that is deployed", cure="name an environment, instance or pipeline")
    told = {each["key"]: each["valueString"] for each in call.given.get("outputs", ()) if len(each) == 2}
    adjust.tell_outputs(
        call.unit,
        key,
        told,
        deployment=call.text("deploymentId"),
        failed=call.text("status") == "FAILED",
        actor=call.actor,
        now=call.now,
    )
    return {}
