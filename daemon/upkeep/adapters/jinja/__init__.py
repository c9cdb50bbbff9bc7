"""The one door to Jinja: templates are checked and rendered in worker processes with limits of their own."""

from upkeep.adapters.jinja.renderer import JinjaRenderer

__all__ = ["JinjaRenderer"]
