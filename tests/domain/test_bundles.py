"""Bundles: what they are, and everything that is wrong or unusual about them."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import (
    ENVIRONMENT_SCHEMA,
    MANIFEST,
    PIPELINE_BODY,
    SERVICE_SCHEMA,
    a_bundle,
    environment_files,
    service_files,
)
from upkeep.domain.bundles import (
    Bundle,
    BundleFile,
    Inspection,
    Part,
    inspect,
    is_part_folder,
    printable,
)
from upkeep.domain.findings import Severity
from upkeep.domain.limits import LIMITS
from upkeep.domain.names import TemplateName
from upkeep.domain.versions import CompatibleEnvironment, TemplateKind

Files = dict[str, str | bytes]


def look(files: Files) -> Inspection:
    return inspect(a_bundle(files))


def told(inspection: Inspection, severity: Severity = Severity.ERROR) -> list[tuple[str, str]]:
    return [(finding.slug, finding.where) for finding in inspection.findings if finding.severity is severity]


def with_file(files: Files, path: str, **changes: object) -> Bundle:
    """The files with one more that is not plain, or not read."""
    plain = BundleFile(path, "100644", "0" * 40, 10, b"x" * 10)
    return Bundle("0" * 40, (*a_bundle(files).files, replace(plain, **changes)))


def without(files: Files, *paths: str) -> Files:
    return {path: text for path, text in files.items() if path not in paths}


def renamed(files: Files, old: str, new: str) -> Files:
    return {path.replace(old, new): text for path, text in files.items()}


CUSTOMER_SCHEMA = ENVIRONMENT_SCHEMA.replace('          default: "10.0.0.0/16"\n', "")

# ----------------------------------------------------------------------------------------------- good bundles


def test_an_environment_bundle_is_one():
    found = look(environment_files())
    assert (found.kind, found.findings, found.schema) == (TemplateKind.ENVIRONMENT, (), ENVIRONMENT_SCHEMA)
    assert found.templates[Part.ENVIRONMENT].path == "infrastructure/cloudformation.yaml"
    assert not found.customer_managed


def test_a_service_bundle_has_instances_a_pipeline_and_environments_it_can_live_in():
    found = look(service_files())
    assert (found.kind, found.findings) == (TemplateKind.SERVICE, ())
    assert list(found.templates) == [Part.INSTANCE, Part.PIPELINE]
    assert found.templates[Part.PIPELINE].text == PIPELINE_BODY
    assert found.compatible_environments == (CompatibleEnvironment(TemplateName("network-env"), 1),)


def test_a_service_may_have_no_pipeline():
    schema = SERVICE_SCHEMA.replace('  pipeline_input_type: "Delivery"\n', "")
    found = look(service_files(schema=schema, pipeline=None))
    assert (found.findings, list(found.templates)) == ((), [Part.INSTANCE])


def test_a_schema_alone_is_a_customer_managed_environment():
    found = look({"schema/schema.yaml": CUSTOMER_SCHEMA})
    assert (found.kind, found.findings, found.templates) == (TemplateKind.ENVIRONMENT, (), {})
    assert found.customer_managed


def test_the_manifest_may_name_any_file():
    files = renamed(environment_files(), "cloudformation", "stacks/network.template")
    files["infrastructure/manifest.yaml"] = MANIFEST.replace("cloudformation.yaml", "./stacks/network.template.yaml")
    found = look(files)
    assert found.findings == ()
    assert found.templates[Part.ENVIRONMENT].path == "infrastructure/stacks/network.template.yaml"


def test_other_files_do_not_matter():
    found = look(
        {**environment_files(), "README.md": "hello", "docs/picture.png": b"\x89PNG\xff", "spec/spec.yaml": "x"}
    )
    assert found.findings == ()


# ---------------------------------------------------------------------------------------------- kind and parts


def test_infrastructure_of_both_kinds_is_refused():
    found = look({**service_files(), **without(environment_files(), "schema/schema.yaml")})
    assert found.kind is None
    assert ("kind", "") in told(found)


def test_a_folder_without_anything_of_a_bundle_says_what_is_missing():
    found = look({"spec/spec.yaml": "proton: ServiceSpec"})
    assert found.kind is None
    assert told(found) == [("kind", ""), ("missing", "schema/schema.yaml")]


@pytest.mark.parametrize("path", ["schema/schema.yaml", "infrastructure/manifest.yaml"])
def test_a_missing_file_is_named(path):
    assert ("missing", path) in told(look(without(environment_files(), path)))


def test_a_pipeline_without_instances_is_refused():
    files = {path: text for path, text in service_files().items() if not path.startswith("instance")}
    found = look(files)
    assert found.kind is TemplateKind.SERVICE
    assert told(found) == [("missing", "instance_infrastructure")]


def test_the_schema_must_be_of_the_kind_the_folders_say():
    found = look(environment_files(schema=SERVICE_SCHEMA))
    (finding,) = found.findings
    assert (finding.slug, finding.where) == ("kind", "schema/schema.yaml:4")
    assert "instance_infrastructure/" in finding.cure


def test_a_service_schema_alone_lacks_its_instances():
    found = look({"schema/schema.yaml": SERVICE_SCHEMA})
    assert ("missing", "instance_infrastructure") in told(found)


def test_a_pipeline_needs_its_input_type_and_the_other_way_round():
    schema = SERVICE_SCHEMA.replace('  pipeline_input_type: "Delivery"\n', "")
    assert told(look(service_files(schema=schema))) == [("schema-pipeline", "schema/schema.yaml:4")]
    assert told(look(service_files(pipeline=None))) == [("schema-pipeline", "schema/schema.yaml:5")]


def test_outputs_of_a_customer_managed_environment_are_texts_without_default():
    assert told(look({"schema/schema.yaml": ENVIRONMENT_SCHEMA})) == [("customer-managed", "schema/schema.yaml:10")]
    numbers = CUSTOMER_SCHEMA.replace("type: string", "type: number")
    assert told(look({"schema/schema.yaml": numbers})) == [("customer-managed", "schema/schema.yaml:10")]


def test_findings_of_the_schema_are_findings_of_the_bundle():
    found = look(environment_files(schema=ENVIRONMENT_SCHEMA.replace("type: string", "type: text")))
    assert told(found) == [("schema-type", "schema/schema.yaml:11")]
    assert found.schema is None


def test_all_findings_are_told_not_only_the_first():
    files = service_files(schema="schema: {", compatible="a b")
    files["instance_infrastructure/manifest.yaml"] = "a: [1"
    files["pipeline_infrastructure/cloudformation.yaml"] = b"\xff"
    assert {where.partition(":")[0] for _, where in told(look(files))} == {
        "schema/schema.yaml",
        "instance_infrastructure/manifest.yaml",
        "pipeline_infrastructure/cloudformation.yaml",
        ".template-registration.yaml",
    }


# ------------------------------------------------------------------------------------------------ misspelt names


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("Schema/", "schema/"),
        ("schemas/", "schema/"),
        ("instance-infrastructure/", "instance_infrastructure/"),
        ("Instance_Infrastructure/", "instance_infrastructure/"),
    ],
)
def test_a_misspelt_folder_is_named_with_the_right_spelling(wrong, right):
    found = look(renamed(service_files(), right, wrong))
    assert found.kind is TemplateKind.SERVICE
    (finding,) = [finding for finding in found.findings if finding.slug == "misspelt"]
    assert finding.severity is Severity.ERROR
    assert wrong in finding.message and right in finding.message


@pytest.mark.parametrize("wrong", ["pipeline-infrastructure/", "pipeline_infra/"])
def test_a_misspelt_pipeline_folder_is_named_and_missing_when_the_schema_asks_for_it(wrong):
    found = look(renamed(service_files(), "pipeline_infrastructure/", wrong))
    assert [slug for slug, _ in told(found)] == ["schema-pipeline"]
    assert "misspelt" in [slug for slug, _ in told(found, Severity.WARNING)]


def test_a_pipeline_folder_that_was_put_aside_is_a_warning():
    files = renamed(service_files(), "pipeline_infrastructure/", "pipeline_infrastructure_unused/")
    schema = files["schema/schema.yaml"]
    files["schema/schema.yaml"] = "\n".join(line for line in schema.split("\n") if "pipeline_input_type" not in line)
    found = look(files)
    assert told(found) == []
    assert "misspelt" in [slug for slug, _ in told(found, Severity.WARNING)]


def test_a_misspelt_infrastructure_folder_does_not_make_an_environment_customer_managed():
    found = look(renamed(environment_files(), "infrastructure/", "Infrastructure/"))
    assert "misspelt" in [slug for slug, _ in told(found)]


def test_a_misspelt_folder_beside_the_right_one_is_a_warning():
    found = look({**environment_files(), "Schema/notes.txt": "x"})
    assert (told(found), told(found, Severity.WARNING)) == ([], [("misspelt", "Schema/notes.txt")])


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("schema/schema.yaml", "schema/schema.yml"),
        ("schema/schema.yaml", "schema/Schema.yaml"),
        ("infrastructure/manifest.yaml", "infrastructure/manifest.yml"),
        ("infrastructure/manifest.yaml", "infrastructure/Manifest.YAML"),
    ],
)
def test_a_misspelt_file_is_named_with_the_right_spelling(right, wrong):
    found = look(renamed(environment_files(), right, wrong))
    (finding,) = [finding for finding in found.findings if finding.slug == "missing"]
    assert (finding.path, finding.cure) == (right, f"rename `{wrong}` to `{right}`")


@pytest.mark.parametrize("name", ["schema", "Schema", "infrastructure", "instance-infrastructure"])
def test_folders_of_a_bundle_are_recognised_though_misspelt(name):
    assert is_part_folder(name)


@pytest.mark.parametrize("name", ["spec", "specs", "docs", "src", "v1", "images"])
def test_other_folders_are_not(name):
    assert not is_part_folder(name)


# ------------------------------------------------------------------------------------------------ the manifest


def a_manifest(**entry: object) -> str:
    lines = "\n".join(f"      {key}: {value}" for key, value in entry.items())
    return f"infrastructure:\n  templates:\n    -\n{lines}\n"


GOOD_ENTRY = {"file": "cloudformation.yaml", "rendering_engine": "jinja", "template_language": "cloudformation"}


def manifest_findings(text: str, severity: Severity = Severity.ERROR) -> list[tuple[str, str]]:
    return told(look({**environment_files(), "infrastructure/manifest.yaml": text}), severity)


def test_the_old_key_of_the_engine_is_a_warning():
    text = MANIFEST.replace("rendering_engine", "engine")
    assert manifest_findings(text) == []
    assert manifest_findings(text, Severity.WARNING) == [("manifest-engine", "infrastructure/manifest.yaml:4")]
    assert look({**environment_files(), "infrastructure/manifest.yaml": text}).templates


@pytest.mark.parametrize(
    ("text", "slug", "line"),
    [
        ("", "manifest-templates", 1),
        ("infrastructure:\n  templates: []\n", "manifest-templates", 2),
        ("infrastructure:\n  templates: [x]\n", "manifest-templates", 2),
        (MANIFEST + "    - file: other.yaml\n", "manifest-templates", 6),
        (a_manifest(**{**GOOD_ENTRY, "file": ""}), "manifest-file", 4),
        (a_manifest(**{**GOOD_ENTRY, "file": "gone.yaml"}), "manifest-file", 4),
        (a_manifest(**{**GOOD_ENTRY, "file": "../schema/schema.yaml"}), "manifest-file", 4),
        (a_manifest(**{**GOOD_ENTRY, "file": "/etc/passwd"}), "manifest-file", 4),
        (a_manifest(**{**GOOD_ENTRY, "file": "."}), "manifest-file", 4),
        (a_manifest(**{**GOOD_ENTRY, "rendering_engine": "mustache"}), "manifest-engine", 5),
        (a_manifest(file="a.yaml"), "manifest-engine", 4),
        (a_manifest(file="'*'", rendering_engine="hcl", template_language="terraform"), "not-supported", 5),
        (a_manifest(rendering_engine="codebuild", settings="{image: x}"), "not-supported", 4),
        (a_manifest(**{**GOOD_ENTRY, "template_language": "terraform"}), "not-supported", 6),
    ],
)
def test_what_is_wrong_with_a_manifest_is_told_with_its_line(text, slug, line):
    assert (slug, f"infrastructure/manifest.yaml:{line}") in manifest_findings(text)


@pytest.mark.parametrize(
    "text",
    [
        a_manifest(**{**GOOD_ENTRY, "colour": "blue"}),
        a_manifest(file=GOOD_ENTRY["file"], rendering_engine="jinja"),
        a_manifest(**{**GOOD_ENTRY, "template_language": "CloudFormation"}),
        a_manifest(**{**GOOD_ENTRY, "rendering_engine": "Jinja"}),
    ],
)
def test_what_is_unusual_in_a_manifest_is_a_warning(text):
    assert manifest_findings(text) == []
    assert len(manifest_findings(text, Severity.WARNING)) == 1


# -------------------------------------------------------------------------------------------- the registration


def registered(text: str | None, legacy: str | None = None) -> Inspection:
    files = without(service_files(), ".template-registration.yaml")
    if text is not None:
        files[".template-registration.yaml"] = text
    if legacy is not None:
        files[".compatible-envs"] = legacy
    return look(files)


def environments(found: Inspection) -> list[str]:
    return [str(environment) for environment in found.compatible_environments]


def test_a_registration_lists_environments_and_component_sources():
    found = registered("compatible_environments: [a:1, b-c:12]\nsupported_component_sources: [DIRECTLY_DEFINED]\n")
    assert (environments(found), found.findings) == (["a:1", "b-c:12"], ())
    assert found.supported_component_sources == ("DIRECTLY_DEFINED",)


def test_the_legacy_file_has_one_environment_a_line():
    found = registered(None, "\n# ours\na:1\r\nb:2\n\n")
    assert (environments(found), found.findings) == (["a:1", "b:2"], ())


def test_the_registration_wins_over_the_legacy_file():
    found = registered("compatible_environments: [a:1]\n", "b:1\n")
    assert (environments(found), told(found, Severity.WARNING)) == (["a:1"], [("registration", ".compatible-envs")])


def test_a_service_without_registration_is_a_warning():
    found = registered(None)
    assert (told(found), environments(found)) == ([], [])
    assert told(found, Severity.WARNING) == [("registration-missing", ".template-registration.yaml")]


def test_a_misspelt_registration_file_is_named():
    files = renamed(service_files(), ".template-registration.yaml", ".template-registration.yml")
    (finding,) = look(files).findings
    assert finding.cure == "rename `.template-registration.yml` to `.template-registration.yaml`"


def test_the_misspelt_key_of_the_environments_is_read_with_a_warning():
    found = registered("compatible_environment:\n  - a:1\n")
    assert (told(found), environments(found)) == ([], ["a:1"])
    (finding,) = found.findings
    assert "`compatible_environment`" in finding.message
    assert finding.cure == "rename it to `compatible_environments`"


@pytest.mark.parametrize(
    ("text", "slug", "line"),
    [
        ("", "registration-empty", 1),
        ("compatible_environments:\n", "registration-empty", 1),
        ("compatible_environments: a:1\n", "registration-empty", 1),
        ("compatible_environments:\n  - a:1\n  - a: 1\n", "registration-entry", 3),
        ("compatible_environments:\n  - a:1\n  - b:v2\n", "registration-entry", 3),
        ("compatible_environments:\n  - a:1\n  - b\n", "registration-entry", 3),
        ("compatible_environments:\n  - 1:1\n", "registration-entry", 2),
        ("compatible_environments:\n  - a:01\n", "registration-entry", 2),
        ("compatible_environments: [a:1]\nsupported_component_sources: [ANY]\n", "registration-entry", 2),
        ("compatible_environments: [a:1]\nsupported_component_sources: ANY\n", "registration-entry", 2),
        ("compatible_environments: [a:1\n", "yaml-syntax", 1),
    ],
)
def test_what_is_wrong_with_a_registration_is_told_with_its_line(text, slug, line):
    assert (slug, f".template-registration.yaml:{line}") in told(registered(text))


@pytest.mark.parametrize(
    ("text", "line"), [("a:1\neks: …\n", 2), ("a\n", 1), ("a:v1\n", 1), ("# nothing\n", 1), ("", 1), ("a b:1", 1)]
)
def test_what_is_wrong_with_a_legacy_file_is_told_with_its_line(text, line):
    assert f".compatible-envs:{line}" in [where for _, where in told(registered(None, text))]


@pytest.mark.parametrize("text", ["- a:1", "a: 1", '"a:1"', "a : 1"])
def test_a_line_that_can_be_understood_is_read_with_a_warning(text):
    found = registered(None, text)
    assert (told(found), environments(found)) == ([], ["a:1"])
    assert told(found, Severity.WARNING) == [("registration-entry", ".compatible-envs:1")]


def test_a_registration_of_an_environment_has_no_effect():
    found = look({**environment_files(), ".compatible-envs": "a:1"})
    assert told(found, Severity.WARNING) == [("registration", ".compatible-envs")]


# ------------------------------------------------------------------------------------- files that cannot be read


@pytest.mark.parametrize(
    ("changes", "slug"),
    [
        ({"mode": "120000", "content": None}, "symlink"),
        ({"mode": "160000", "content": None, "size": 0}, "submodule"),
        ({"size": LIMITS.bundle.file_bytes + 1, "content": None}, "too-large"),
        ({"content": None}, "unread"),
        ({"content": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n"}, "lfs-pointer"),
    ],
)
def test_what_cannot_be_read_is_an_error_where_it_is_needed_and_else_a_warning(changes, slug):
    files = without(environment_files(), "infrastructure/cloudformation.yaml")
    needed = inspect(with_file(files, "infrastructure/cloudformation.yaml", **changes))
    assert told(needed) == [(slug, "infrastructure/cloudformation.yaml")]
    elsewhere = inspect(with_file(environment_files(), "docs/picture.png", **changes))
    assert (told(elsewhere), told(elsewhere, Severity.WARNING)) == ([], [(slug, "docs/picture.png")])


@pytest.mark.parametrize("mode", ["120000", "160000"])
def test_a_folder_that_is_a_link_or_submodule_is_not_taken_for_absent(mode):
    found = inspect(with_file({"schema/schema.yaml": ENVIRONMENT_SCHEMA}, "infrastructure", mode=mode, content=None))
    assert not found.customer_managed
    assert ("missing", "infrastructure/manifest.yaml") in told(found)


def test_a_bundle_may_not_be_too_large_altogether():
    size = LIMITS.bundle.bytes // 6
    files = tuple(BundleFile(f"docs/{n}", "100644", "0" * 40, size, b"") for n in range(7))
    found = inspect(Bundle("0" * 40, (*a_bundle(environment_files()).files, *files)))
    assert told(found) == [("too-large", "")]


@pytest.mark.parametrize(
    "path", [".template-registration.yaml", "schema/schema.yaml", "instance_infrastructure/cloudformation.yaml"]
)
def test_contents_that_are_not_utf_8_are_told_with_their_line(path):
    found = look({**service_files(), path: b"a: 1\nb: \xe4\n"})
    assert ("encoding", f"{path}:2") in told(found)


def test_a_template_may_not_hold_a_nul_byte():
    found = look(environment_files(body="a: 1\nb: \0\n"))
    assert told(found) == [("unreadable-character", "infrastructure/cloudformation.yaml:2")]


def test_a_template_may_not_be_empty():
    assert told(look(environment_files(body="\n"))) == [("empty", "infrastructure/cloudformation.yaml")]


def test_a_byte_order_mark_is_a_warning():
    found = look(environment_files(schema="\ufeff" + ENVIRONMENT_SCHEMA))
    assert (told(found), told(found, Severity.WARNING)) == ([], [("byte-order-mark", "schema/schema.yaml")])


def test_names_that_are_not_utf_8_are_told_in_a_way_that_can_be_printed():
    name = b"infrastructure/\xe4\n.yaml".decode("utf-8", "surrogateescape")
    found = inspect(with_file(environment_files(), name))
    (finding,) = found.findings
    assert (finding.slug, finding.path) == ("file-name", "infrastructure/\\xe4\\n.yaml")
    finding.path.encode()


@given(st.binary(max_size=20))
def test_every_path_can_be_printed(name):
    shown = printable(name.decode("utf-8", "surrogateescape"))
    assert shown.isprintable()
    shown.encode()


@given(
    st.dictionaries(
        st.sampled_from([*service_files(), *environment_files(), ".compatible-envs", "Schema/schema.yaml"]),
        st.sampled_from(
            ["", "a", "- a:1", "schema: {}", ENVIRONMENT_SCHEMA, SERVICE_SCHEMA, MANIFEST, b"\xff", "a: [", "\0"]
        )
        | st.binary(max_size=30),
    )
)
def test_no_content_makes_an_inspection_fail(files):
    found = look(files)
    for finding in found.findings:
        str(finding).encode()
        assert finding.message and (finding.cure or finding.severity is not Severity.ERROR)
