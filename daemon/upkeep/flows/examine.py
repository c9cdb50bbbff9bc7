"""Examine: everything there is to say about a bundle before anybody uses it."""

from dataclasses import replace

from upkeep.domain import bundles, schemas
from upkeep.domain.bundles import Bundle, Inspection
from upkeep.domain.errors import BundleError, StalledError, TransientError, UpkeepError
from upkeep.domain.findings import Finding, error
from upkeep.domain.limits import LIMITS, BundleLimits
from upkeep.domain.parts import Part
from upkeep.flows.ports import Mirror, Renderer


def examine(bundle: Bundle, renderer: Renderer, limits: BundleLimits = LIMITS.bundle) -> Inspection:
    """Inspect a bundle's files and schema, and check its templates against the inputs the schema declares.

    What nobody foresaw becomes a finding too, so that one strange bundle never keeps others from being registered.
    Raises TransientError or StalledError when the renderer is out of order.
    """
    try:
        inspection = bundles.inspect(bundle, limits)
        checked = _template_findings(renderer, inspection)
    except (TransientError, StalledError):
        raise
    except UpkeepError as fault:
        return unreadable(f"{fault.where}: {fault.message}" if fault.where else fault.message, fault.cure)
    except Exception as bug:
        return unreadable(f"Upkeep failed to read this bundle ({type(bug).__name__})", "report it with the bundle")
    return replace(inspection, findings=tuple(dict.fromkeys([*inspection.findings, *checked])))


def _template_findings(renderer: Renderer, inspection: Inspection) -> tuple[Finding, ...]:
    """What the renderer finds wrong with the templates of a bundle, knowing the inputs of its schema."""
    declared = None
    if inspection.schema is not None:
        schema = schemas.parse(inspection.schema)
        declared = {part: inputs.properties for part in Part if (inputs := schema.inputs_of(part)) is not None}
    return tuple(
        finding
        for part, template in inspection.templates.items()
        for finding in renderer.check(template, part, declared)
    )


def read(mirror: Mirror, tree: str) -> tuple[Bundle, Inspection | None]:
    """Read a bundle from a mirror; a folder that cannot be one comes as an empty bundle with what is wrong with it."""
    try:
        return mirror.bundle(tree), None
    except BundleError as broken:
        return Bundle(tree, ()), unreadable(broken.message, broken.cure)


def unreadable(message: str, cure: str | None) -> Inspection:
    """The inspection of what could not be inspected."""
    return Inspection(None, (error("bundle-unreadable", message, cure=cure),))


def compatibility(before: str | None, after: str | None) -> tuple[Finding, ...]:
    """What a minor's schema breaks for those who run the version before it. Only two good schemas are compared."""
    if before is None or after is None:
        return ()
    old, _ = schemas.inspect(before)
    new, _ = schemas.inspect(after)
    return () if old is None or new is None else tuple(schemas.compatibility(old, new))
