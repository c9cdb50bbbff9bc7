"""`upkeep template lint` and `render`: what they print and how they exit, without any configuration."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from tests.builders import (
    ENVIRONMENT_BODY,
    ENVIRONMENT_SPEC,
    INSTANCE_BODY,
    MANIFEST,
    SERVICE_SPEC,
    environment_files,
    service_files,
    under,
    write_files,
)
from upkeep.cli import cli
from upkeep.cli.template import template
from upkeep.domain.errors import BundleError, CallerError, NotFound, UpkeepError


def run(*arguments: object) -> Result:
    """Run `upkeep template …`; what is refused is raised."""
    done = CliRunner().invoke(template, [str(argument) for argument in arguments])
    if isinstance(done.exception, UpkeepError):
        raise done.exception
    return done


def linted(path: Path) -> tuple[int, list[dict[str, Any]]]:
    done = run("lint", path, "-o", "json")
    return done.exit_code, json.loads(done.stdout)


TWO_INSTANCES = SERVICE_SPEC + '  - name: "prod"\n    environment: "live"\n    spec: {}\n'


@pytest.fixture
def service(tmp_path: Path) -> Path:
    """A service bundle beside its specs and outputs."""
    files = under("web-svc/v1", service_files())
    extra = {"spec.yaml": TWO_INSTANCES, "outputs.yaml": "NetworkId: vpc-1\n"}
    return write_files(tmp_path, {**files, **extra})


# ------------------------------------------------------------------------------------------------------- lint


def test_good_bundles_are_listed_with_template_major_and_kind(tmp_path):
    write_files(tmp_path, {**under("a/network-env/v1", environment_files()), **under("web-svc/v2", service_files())})
    code, found = linted(tmp_path)
    assert code == 0
    assert [(one["path"], one["template"], one["major"], one["kind"], one["findings"]) for one in found] == [
        ("a/network-env/v1", "network-env", 1, "environment", []),
        ("web-svc/v2", "web-svc", 2, "service", []),
    ]


def test_an_error_in_one_bundle_makes_the_exit_code_1_and_the_others_are_still_told(tmp_path):
    broken = environment_files(body=ENVIRONMENT_BODY + "{% if %}")
    write_files(tmp_path, {**under("bad/v1", broken), **under("good/v1", environment_files())})
    code, found = linted(tmp_path)
    assert code == 1
    bad, good = found
    assert good["findings"] == []
    (finding,) = bad["findings"]
    assert finding["severity"] == "error"
    assert (finding["path"], finding["line"]) == ("bad/v1/infrastructure/cloudformation.yaml", 9)


def test_an_input_the_schema_does_not_have_is_an_error_of_the_template(tmp_path):
    write_files(
        tmp_path, under("x/v1", environment_files(body=ENVIRONMENT_BODY.replace("inputs.cidr", "inputs.range")))
    )
    code, (bundle,) = linted(tmp_path)
    assert code == 1
    assert "`environment.inputs.range`" in bundle["findings"][0]["message"]


def test_warnings_do_not_change_the_exit_code(tmp_path):
    files = environment_files()
    files["infrastructure/manifest.yaml"] = MANIFEST.replace("rendering_engine", "engine")
    write_files(tmp_path, under("x/v1", files))
    code, (bundle,) = linted(tmp_path)
    assert code == 0
    assert [(finding["severity"], finding["slug"]) for finding in bundle["findings"]] == [
        ("warning", "manifest-engine")
    ]


def test_a_bundle_needs_no_version_folder(tmp_path):
    write_files(tmp_path, environment_files())
    assert linted(tmp_path)[1][0]["path"] == "."
    code, (bundle,) = linted(write_files(tmp_path / "deeper", under("loose", environment_files())))
    assert (code, bundle["template"], bundle["findings"]) == (0, None, [])


def test_the_version_folder_itself_knows_its_template(tmp_path):
    write_files(tmp_path, under("network-env/v3", environment_files()))
    (bundle,) = linted(tmp_path / "network-env" / "v3")[1]
    assert (bundle["path"], bundle["template"], bundle["major"], bundle["findings"]) == (".", "network-env", 3, [])
    (bundle,) = linted(tmp_path / "network-env")[1]
    assert (bundle["path"], bundle["template"], bundle["major"], bundle["findings"]) == ("v3", "network-env", 3, [])


def test_places_that_cannot_be_registered_are_told(tmp_path):
    write_files(
        tmp_path,
        {
            **under("here/twice/v1", environment_files()),
            **under("there/twice/v1", environment_files()),
            **under("odd/1", environment_files()),
            **under("nest/v2/v1", environment_files()),
        },
    )
    code, found = linted(tmp_path)
    told = {one["path"]: [(finding["severity"], finding["slug"]) for finding in one["findings"]] for one in found}
    assert code == 1
    assert told == {
        "here/twice/v1": [("error", "template-name-twice")],
        "there/twice/v1": [("error", "template-name-twice")],
        "odd/1": [("warning", "unusual-version-folder")],
        "nest/v2/v1": [("error", "nested-major")],
    }


def test_a_customer_managed_environment_is_named_as_such(tmp_path):
    schema = str(environment_files()["schema/schema.yaml"]).replace('          default: "10.0.0.0/16"\n', "")
    write_files(tmp_path, under("x/v1", {"schema/schema.yaml": schema}))
    (bundle,) = linted(tmp_path)[1]
    assert (bundle["kind"], bundle["customer_managed"], bundle["findings"]) == ("environment", True, [])


@pytest.mark.parametrize("form", ["json", "table"])
def test_a_path_without_bundles_is_said_and_exits_1(tmp_path, form):
    done = run("lint", tmp_path, "-o", form)
    assert done.exit_code == 1
    assert "there is no bundle" in done.stderr
    assert done.stdout == ("[]\n" if form == "json" else "")


def test_a_path_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(NotFound):
        run("lint", tmp_path / "gone")


def test_a_person_reads_places_as_they_typed_the_path(tmp_path, monkeypatch):
    write_files(tmp_path, under("repo/x/v1", environment_files(schema="a: 1")))
    monkeypatch.chdir(tmp_path)
    done = run("lint", "repo")
    assert done.stdout.splitlines()[0].startswith("repo/x/v1/schema/schema.yaml:1: error: ")
    assert "fix: start the file with `schema:`" in done.stdout
    assert "x/v1" in done.stdout.splitlines()[-1]


# ----------------------------------------------------------------------------------------------------- render


def render(bundle: Path, spec: Path, *more: object) -> str:
    done = run("render", bundle, "--spec", spec, *more)
    assert done.exit_code == 0, done.stderr
    return done.stdout


def namespace(*arguments: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(render(*arguments, "--context"))
    return found


def test_an_environment_is_rendered_with_the_inputs_of_its_spec(tmp_path):
    write_files(tmp_path, {**environment_files(), "spec.yaml": ENVIRONMENT_SPEC})
    expected = ENVIRONMENT_BODY.replace("{{ environment.inputs.cidr }}", "10.1.0.0/16").removesuffix("\n")
    assert render(tmp_path, tmp_path / "spec.yaml") == expected


def test_a_service_is_rendered_as_its_first_instance_unless_another_is_named(service):
    arguments = (service / "web-svc/v1", service / "spec.yaml", "--environment-outputs", service / "outputs.yaml")
    first = render(*arguments)
    assert 'GroupDescription: "sample-service/test on 8080"' in first
    assert 'VpcId: "vpc-1"' in first
    assert "sample-service/prod on 80" in render(*arguments, "--instance", "prod")
    assert render(*arguments, "--part", "instance", "--instance", "test") == first


def test_a_pipeline_sees_all_instances(service):
    rendered = render(service / "web-svc/v1", service / "spec.yaml", "--part", "pipeline")
    assert "sample-service: make check" in rendered
    assert "test in test" in rendered
    assert "prod in live" in rendered


def test_outputs_of_instances_are_made_up_from_their_template_unless_they_are_given(service):
    arguments = (service / "web-svc/v1", service / "spec.yaml", "--environment-outputs", service / "outputs.yaml")
    made_up = namespace(*arguments, "--part", "pipeline")["service_instances"]
    assert ["GroupId" in instance["outputs"] for instance in made_up] == [True, True]
    assert made_up[0]["outputs"] != made_up[1]["outputs"]


def test_a_pipeline_is_rendered_though_an_instance_cannot_be(service):
    done = run("render", service / "web-svc/v1", "--spec", service / "spec.yaml", "--part", "pipeline", "--context")
    assert [one["outputs"] for one in json.loads(done.stdout)["service_instances"]] == [{}, {}]
    assert "warning: instance test has no outputs" in done.stderr


def test_outputs_that_were_not_given_are_asked_for(service):
    with pytest.raises(BundleError) as refusal:
        render(service / "web-svc/v1", service / "spec.yaml")
    assert refusal.value.cure == "give the outputs of the environment by --environment-outputs FILE"


def test_the_context_is_the_namespace_as_json(service):
    found = namespace(service / "web-svc/v1", service / "spec.yaml", "--instance", "prod", "--account-id", "42")
    assert found["environment"] == {"name": "live", "account_id": "42", "outputs": {}}
    assert found["service_instance"]["inputs"] == {"port": 80}
    assert found["service_instance"]["components"] == {"default": {}}


def test_outputs_may_stand_in_sections_and_are_texts_as_written(service):
    write_files(service, {"o.yaml": "environment:\n  NetworkId: 012\n  Ready: yes\nservice:\n  Port: 80\n"})
    arguments = (service / "web-svc/v1", service / "spec.yaml", "--environment-outputs", service / "o.yaml")
    found = namespace(*arguments, "--part", "pipeline")
    assert found["service_instances"][0]["outputs"] == {"Port": "80"}
    assert found["service_instances"][0]["environment"]["outputs"] == {"NetworkId": "012", "Ready": "yes"}


def test_an_output_may_be_called_environment(service):
    write_files(service, {"o.yaml": "environment: test\n"})
    found = namespace(service / "web-svc/v1", service / "spec.yaml", "--environment-outputs", service / "o.yaml")
    assert found["environment"]["outputs"] == {"environment": "test"}


def test_inputs_the_schema_does_not_know_are_warned_about(service):
    write_files(service, {"more.yaml": SERVICE_SPEC + "      colour: blue\n"})
    done = run("render", service / "web-svc/v1", "--spec", service / "more.yaml", "--context")
    assert "instances[0].spec.colour" in done.stderr
    assert "colour" not in done.stdout


def test_text_beyond_ascii_is_written_as_utf_8(tmp_path):
    write_files(tmp_path, {**environment_files(body="A: ä→🎉\n"), "spec.yaml": ENVIRONMENT_SPEC})
    done = CliRunner(charset="latin-1").invoke(template, ["render", str(tmp_path), "--spec", f"{tmp_path}/spec.yaml"])
    assert done.stdout_bytes == "A: ä→🎉".encode()


@pytest.mark.parametrize(
    ("changes", "more", "where", "said"),
    [
        ({}, ["--part", "environment"], None, "no environment template"),
        ({}, ["--part", "pipeline", "--instance", "test"], None, "an instance cannot be chosen"),
        ({}, ["--instance", "gone"], "spec.yaml", "no instance `gone`"),
        ({}, [], "web-svc/v1/instance_infrastructure/cloudformation.yaml:6", "environment.outputs.NetworkId"),
        ({"spec.yaml": ENVIRONMENT_SPEC}, [], "spec.yaml:1", "`ServiceSpec` was expected"),
        ({"spec.yaml": SERVICE_SPEC.replace("8080", "x")}, [], "spec.yaml:8", "`instances[0].spec.port` is"),
        ({"spec.yaml": b"\xff"}, [], "spec.yaml:1", "is not UTF-8"),
        ({"web-svc/v1/schema/schema.yaml": "a: 1"}, [], "web-svc/v1/schema/schema.yaml:1", "no `schema:`"),
        ({"outputs.yaml": "- a"}, ["--environment-outputs", "outputs.yaml"], "outputs.yaml:1", "no mapping"),
        ({"outputs.yaml": "a: [b]"}, ["--environment-outputs", "outputs.yaml"], "outputs.yaml:1", "no text"),
        ({}, ["--environment-outputs", "gone.yaml"], "gone.yaml", "No such file"),
    ],
)
def test_what_cannot_be_rendered_is_refused_with_its_place(service, monkeypatch, changes, more, where, said):
    write_files(service, changes)
    monkeypatch.chdir(service)
    with pytest.raises((CallerError, BundleError)) as caught:
        run("render", "web-svc/v1", "--spec", "spec.yaml", *more)
    assert caught.value.where == where
    assert said in caught.value.message


def test_a_refusal_is_printed_with_its_cure_and_exits_1(service, capsys):
    with pytest.raises(SystemExit) as left:
        cli.main(["template", "render", str(service / "web-svc/v1"), "--spec", str(service / "spec.yaml")])
    assert left.value.code == 1
    told = capsys.readouterr()
    assert told.out == ""
    assert f"where: {service}/web-svc/v1/instance_infrastructure/cloudformation.yaml:6" in told.err
    assert "fix: " in told.err


def test_the_exit_code_of_lint_reaches_the_shell(tmp_path):
    with pytest.raises(SystemExit) as left:
        cli.main(["template", "lint", str(write_files(tmp_path, environment_files(body="{{")))])
    assert left.value.code == 1
    write_files(tmp_path, environment_files())
    with pytest.raises(SystemExit) as left:
        cli.main(["template", "lint", str(tmp_path), "-o", "name"])
    assert left.value.code == 0


def test_instances_are_rendered_in_the_same_bytes_each_time(service):
    arguments = (service / "web-svc/v1", service / "spec.yaml", "--environment-outputs", service / "outputs.yaml")
    assert render(*arguments) == render(*arguments)
    assert INSTANCE_BODY.count("\n") - 1 == render(*arguments).count("\n")
