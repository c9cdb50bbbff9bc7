"""The account: its settings, and what there is in it.

https://docs.aws.amazon.com/proton/latest/APIReference/API_AccountSettings.html
"""

from upkeep.domain.errors import CallerError
from upkeep.domain.lag import Standing
from upkeep.domain.names import ResourceKind
from upkeep.domain.versions import TemplateKind
from upkeep.flows.ports import FleetFilter
from upkeep.web.proton.protocol import Answer, Call, reads

_COUNTED_TO = 10_000_000


@reads("GetAccountSettings")
def get(call: Call) -> Answer:
    """The role of pipelines, as the configuration has it."""
    return {"accountSettings": {"pipelineServiceRoleArn": call.door.pipeline_role or None}}


@reads("UpdateAccountSettings")
def update(call: Call) -> Answer:
    """Accept what holds already. The role of pipelines stands in the configuration, not in rows."""
    role = call.door.pipeline_role
    others = sorted(set(call.given) - {"pipelineServiceRoleArn", "deletePipelineProvisioningRepository"})
    if others or call.given.get("pipelineServiceRoleArn", role) != role:
        named = ", ".join(f"`{name}`" for name in others) or "`pipelineServiceRoleArn`"
        raise CallerError(
            f"{named} cannot be set by a call",
            cure="set `cloudformation.pipelines.role_arn` in the configuration; there is no other provisioning",
        )
    return get(call)


@reads("GetResourcesSummary")
def summary(call: Call) -> Answer:
    """How much there is, and how much of it is behind."""
    kinds = [template.kind for template in call.unit.registry.templates()]
    return {
        "counts": {
            "components": {"total": 0, "failed": 0},
            "environments": _counts(call, ResourceKind.ENVIRONMENT),
            "environmentTemplates": {"total": kinds.count(TemplateKind.ENVIRONMENT)},
            "pipelines": _counts(call, ResourceKind.PIPELINE),
            "serviceInstances": _counts(call, ResourceKind.INSTANCE),
            "services": {"total": len(call.unit.fleet.services())},
            "serviceTemplates": {"total": kinds.count(TemplateKind.SERVICE)},
        }
    }


def _counts(call: Call, kind: ResourceKind) -> Answer:
    def counted(standing: Standing | None = None, *, failed: bool = False) -> int:
        return call.unit.fleet.count(FleetFilter(kind=kind, standing=standing, failed=failed), _COUNTED_TO)

    return {
        "total": counted(),
        "upToDate": counted(Standing.UP_TO_DATE),
        "behindMinor": counted(Standing.BEHIND_MINOR),
        "behindMajor": counted(Standing.BEHIND_MAJOR),
        "failed": counted(failed=True),
    }
