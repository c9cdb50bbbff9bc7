"""Service pipelines: https://docs.aws.amazon.com/proton/latest/APIReference/API_ServicePipeline.html."""

from upkeep.domain import specs
from upkeep.domain.deployments import UpdateType
from upkeep.domain.names import pipeline_key
from upkeep.web.proton import words
from upkeep.web.proton.protocol import Answer, Call, reads, writes
from upkeep.web.proton.updates import cancelled, updated


@writes("UpdateServicePipeline")
def update(call: Call) -> Answer:
    """Deploy a pipeline in one of the four ways. The spec, which Proton always asks for, is the whole service's."""
    spec = specs.parse_service_spec(call.given["spec"])
    inputs = None if call.given["deploymentType"] == UpdateType.NONE else spec.pipeline
    found = updated(call, pipeline_key(call.given["serviceName"]), inputs)
    return {"pipeline": words.pipeline(call, found)}


@writes("CancelServicePipelineDeployment")
def cancel(call: Call) -> Answer:
    """Cancel what is being deployed to a pipeline."""
    return {"pipeline": words.pipeline(call, cancelled(call, pipeline_key(call.given["serviceName"])))}


@reads("ListServicePipelineOutputs")
def list_outputs(call: Call) -> Answer:
    """The outputs of a pipeline, or of one deployment of it."""
    return {"outputs": words.outputs(words.outputs_of(call, pipeline_key(call.given["serviceName"])))}


@reads("ListServicePipelineProvisionedResources")
def list_provisioned(call: Call) -> Answer:
    """The stack of a pipeline."""
    return {"provisionedResources": words.stack(call.unit.fleet.get(pipeline_key(call.given["serviceName"])))}
