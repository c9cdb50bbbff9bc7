"""CloudFormation: the only door to boto3. The worker alone opens it, because boto3 costs time and memory to load."""

from upkeep.adapters.cloudformation.accounts import Accounts
from upkeep.adapters.cloudformation.provisioner import CloudFormationProvisioner

__all__ = ["Accounts", "CloudFormationProvisioner"]
