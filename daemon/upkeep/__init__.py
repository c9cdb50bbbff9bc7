"""Upkeep keeps deployed infrastructure up to date with its templates."""
