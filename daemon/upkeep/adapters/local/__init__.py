"""A provisioner that makes files instead of stacks, so that everything else can be tried without a cloud."""

from upkeep.adapters.local.provisioner import LocalProvisioner

__all__ = ["LocalProvisioner"]
