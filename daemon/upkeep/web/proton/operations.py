"""All operations of the API: those that work, and those that are refused with the reason."""

from collections.abc import Mapping

from upkeep.web.proton import (
    account,
    deployments,
    environments,
    instances,
    notices,
    pipelines,
    repositories,
    services,
    syncs,
    tags,
    templates,
    versions,
)
from upkeep.web.proton.protocol import READS, WRITES, Operation

__all__ = ["MODULES", "OPERATIONS", "REFUSED"]

MODULES = (
    account,
    deployments,
    environments,
    instances,
    notices,
    pipelines,
    repositories,
    services,
    syncs,
    tags,
    templates,
    versions,
)
"""The nouns. Importing one lists its operations."""

OPERATIONS: Mapping[str, Operation] = READS | WRITES
"""What each operation that works does."""

_COMPONENTS = "there are no components; what they added can be an input of the template or a stack beside it"
_CONNECTIONS = (
    "there are no environment account connections; name a role in the other account as `protonServiceRoleArn`, and "
    "Upkeep assumes it"
)
_SERVICE_SYNC = "there is no service sync; a pipeline can call update-service-instance with the spec in its repository"

REFUSED: Mapping[str, str] = {
    **dict.fromkeys(
        (
            "CancelComponentDeployment",
            "CreateComponent",
            "DeleteComponent",
            "GetComponent",
            "ListComponentOutputs",
            "ListComponentProvisionedResources",
            "ListComponents",
            "UpdateComponent",
        ),
        _COMPONENTS,
    ),
    **dict.fromkeys(
        (
            "AcceptEnvironmentAccountConnection",
            "CreateEnvironmentAccountConnection",
            "DeleteEnvironmentAccountConnection",
            "GetEnvironmentAccountConnection",
            "ListEnvironmentAccountConnections",
            "RejectEnvironmentAccountConnection",
            "UpdateEnvironmentAccountConnection",
        ),
        _CONNECTIONS,
    ),
    **dict.fromkeys(
        (
            "CreateServiceSyncConfig",
            "DeleteServiceSyncConfig",
            "GetServiceInstanceSyncStatus",
            "GetServiceSyncBlockerSummary",
            "GetServiceSyncConfig",
            "UpdateServiceSyncBlocker",
            "UpdateServiceSyncConfig",
        ),
        _SERVICE_SYNC,
    ),
}
"""What is not there, and what to do instead."""
