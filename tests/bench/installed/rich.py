"""Hides this package from the daemon while it is measured: only tests bring it, and structlog would load it."""

raise ModuleNotFoundError("an installation does not have it", name="rich")
