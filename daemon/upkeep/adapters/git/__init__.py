"""Repositories through git, driven by GitPython's command layer: mirrors of sources, and local ones to look into."""

from upkeep.adapters.git.mirror import GitMirror, open_local
from upkeep.adapters.git.repositories import GitRepositories

__all__ = ["GitMirror", "GitRepositories", "open_local"]
