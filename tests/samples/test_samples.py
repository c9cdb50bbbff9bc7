"""Bundles that others published: all are found, registered and rendered as their authors meant them."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from upkeep.adapters.folders import find_bundles, read_bundle
from upkeep.cli.template import template
from upkeep.domain.bundles import Inspection, inspect
from upkeep.domain.documents import dump, load_template
from upkeep.domain.findings import has_errors
from upkeep.domain.versions import TemplateKind

SPECS = {
    "loadbalanced-public-svc": "../../specs/svc-public-spec.yaml",
    "private-fargate-svc": "../../specs/svc-private-spec.yaml",
}
"""Specs of bundles that neither have their own `spec/` nor share the usual one of their folder."""


def run(*arguments: object) -> Result:
    done = CliRunner().invoke(template, [str(argument) for argument in arguments])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done


def linted(folder: Path) -> tuple[int, dict[str, dict[str, Any]]]:
    done = run("lint", folder, "-o", "json")
    return done.exit_code, {bundle["path"]: bundle for bundle in json.loads(done.stdout)}


def rendered(bundle: Path, *arguments: object) -> str:
    return run("render", bundle, *arguments).stdout_bytes.decode()


def spec_of(bundle: Path, kind: TemplateKind | None) -> Path:
    """The spec its authors gave with a bundle: its own, or the one of its group."""
    home = bundle.parent
    if (own := home / "spec" / "spec.yaml").is_file():
        return own
    if home.name in SPECS:
        return (home / SPECS[home.name]).resolve()
    return home.parent / "specs" / ("env-spec.yaml" if kind is TemplateKind.ENVIRONMENT else "svc-spec.yaml")


def made_up_outputs(template_body: str) -> dict[str, str]:
    """A value for each output a rendered template has: its own where it is a plain text."""
    outputs = load_template(template_body, "rendered").value.get("Outputs") or {}
    values = {name: output["Value"] for name, output in outputs.items()}
    return {name: value if isinstance(value, str) else f"{name.lower()}-1" for name, value in values.items()}


@pytest.mark.parametrize(("collection", "count"), [("aws-samples", 23), ("tutorial", 2)])
def test_all_bundles_are_found_and_can_be_registered(samples, collection, count):
    code, found = linted(samples / collection)
    assert (code, len(found)) == (0, count)
    assert [finding for bundle in found.values() for finding in bundle["findings"]] == []
    assert all(bundle["template"] and bundle["major"] == 1 for bundle in found.values())


@pytest.mark.parametrize(("collection", "count"), [("aws-samples", 40), ("tutorial", 3)])
def test_all_templates_render_with_their_own_specs(samples, collection, count, tmp_path):
    folder = samples / collection
    inspections = {place: inspect(read_bundle(folder / place)) for place in find_bundles(folder)}
    environment_outputs: dict[str, dict[str, str]] = {}
    done = 0
    for place, inspection in inspections.items():
        if inspection.kind is TemplateKind.ENVIRONMENT:
            bundle = folder / place
            body = rendered(bundle, "--spec", spec_of(bundle, inspection.kind))
            environment_outputs[bundle.parent.name] = made_up_outputs(body)
            done += 1
    for place, inspection in inspections.items():
        if inspection.kind is TemplateKind.SERVICE:
            done += _render_service(folder / place, inspection, environment_outputs, tmp_path / "outputs.yaml")
    assert done == count


def _render_service(
    bundle: Path, inspection: Inspection, environment_outputs: dict[str, dict[str, str]], outputs: Path
) -> int:
    """Render the instance and the pipeline; returns how many there are."""
    outputs.write_text(dump(environment_outputs[inspection.compatible_environments[0].template]))
    for part in inspection.templates:
        spec = spec_of(bundle, inspection.kind)
        body = rendered(bundle, "--spec", spec, "--environment-outputs", outputs, "--part", part)
        assert load_template(body, "rendered").value["Resources"]
    return len(inspection.templates)


@pytest.mark.parametrize(
    ("bundle", "part", "account", "expected"),
    [
        ("valid_env_template", "environment", "", "expected_rendered_output.yaml"),
        ("valid_svc_template", "instance", "1111111111", "expected_rendered_output.yaml"),
        ("valid_svc_pipeline_template", "pipeline", "11111111", "expected_pipeline_rendered_output.yaml"),
    ],
)
def test_the_checkers_own_bundles_render_to_the_expected_bytes(samples, bundle, part, account, expected):
    folder = samples / "template-checker" / bundle
    arguments: list[object] = ["--spec", folder / "spec" / "spec.yaml", "--part", part]
    if part != "environment":
        arguments += ["--environment-outputs", folder / "spec" / "sample-outputs.yaml", "--account-id", account]
    assert run("render", folder, *arguments).stdout_bytes == (folder / expected).read_bytes()


def test_the_checkers_bundles_get_the_findings_they_are_meant_to_get(samples):
    code, found = linted(samples / "template-checker")
    errors = {
        path: [(finding["path"].removeprefix(f"{path}/"), finding["line"], finding["message"]) for finding in told]
        for path, bundle in found.items()
        if (told := [finding for finding in bundle["findings"] if finding["severity"] == "error"])
    }
    assert code == 1
    assert len(found) == 6
    assert set(errors) == {"invalid_jinja_syntax_template", "invalid_jinja_template", "invalid_template_bundle"}
    (syntax,) = errors["invalid_jinja_syntax_template"]
    assert syntax[:2] == ("instance_infrastructure/cloudformation.yaml", 31)
    (name,) = errors["invalid_jinja_template"]
    assert name[0] == "instance_infrastructure/cloudformation.yaml"
    assert "this_does" in name[2]
    assert ("schema/schema.yaml", None, "`schema/schema.yaml` is missing") in errors["invalid_template_bundle"]


def test_the_checkers_old_manifest_key_is_named(samples):
    inspection = inspect(read_bundle(samples / "template-checker" / "valid_env_template"))
    assert not has_errors(inspection.findings)
    assert [(finding.slug, finding.line) for finding in inspection.findings] == [("manifest-engine", 4)]


@pytest.mark.parametrize(
    "bundle", ["invalid_jinja_syntax_template", "invalid_jinja_template", "invalid_template_bundle"]
)
def test_a_bad_bundle_alone_is_found_too(samples, bundle):
    code, found = linted(samples / "template-checker" / bundle)
    assert code == 1
    assert list(found) == ["."]
