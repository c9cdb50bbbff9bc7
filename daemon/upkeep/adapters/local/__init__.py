"""A provisioner that makes files instead of stacks, so that everything else can be tried without a cloud."""

from upkeep.adapters.local.provisioner import MARK, LocalProvisioner

__all__ = ["MARK", "LocalProvisioner"]
