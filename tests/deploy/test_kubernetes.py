"""The manifests, by the schemas of Kubernetes itself and by the rules of its restricted pods."""

import copy
import shutil
import subprocess
from functools import cache
from typing import Any

import kubernetes_validate
import pytest

from tests.deploy.shipped import DEPLOY, SECRETS, check_config, loaded, secrets_in, yaml_documents

FOLDER = DEPLOY / "kubernetes"
CONFIGURATION = (FOLDER / "upkeep.yaml").read_text(encoding="utf-8")
PLACE = "/run/secrets/upkeep"
OLDEST = "1.29"
"""The manifests are held to the oldest version that is of use to anybody, and to the newest whose schemas there are."""


@cache
def manifests() -> dict[tuple[str, str], dict[str, Any]]:
    """What the base consists of, by kind and name."""
    kustomization = loaded("kubernetes", "kustomization.yaml")
    found = [each for name in kustomization["resources"] for each in yaml_documents(FOLDER / name)]
    return {(each["kind"], each["metadata"]["name"]): each for each in found}


def pods() -> dict[str, dict[str, Any]]:
    """The templates of pods, by the name of what makes them."""
    return {
        name: each["spec"]["template"] for (_, name), each in manifests().items() if "template" in each.get("spec", {})
    }


@pytest.mark.parametrize("version", [OLDEST, kubernetes_validate.latest_version()])
def test_every_manifest_fits_the_schema_of_its_kind(version):
    example = list(yaml_documents(FOLDER / "secret.example.yaml"))
    for each in [*manifests().values(), *example]:
        # It writes into what it is given.
        kubernetes_validate.validate(copy.deepcopy(each), version, strict=True)


def test_a_manifest_with_a_wrong_field_does_not_fit():
    wrong = copy.deepcopy(manifests()["Deployment", "upkeep-web"])
    wrong["spec"]["template"]["spec"]["containers"][0]["readinesProbe"] = {}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, kubernetes_validate.latest_version(), strict=True)


def test_kustomize_makes_one_of_them():
    if shutil.which("kubectl") is None:
        pytest.skip("there is no kubectl here")
    made = subprocess.run(["kubectl", "kustomize", FOLDER], capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stderr
    # The names of config maps end in a digest, wherever they are used.
    assert "name: upkeep\n        name: configuration" not in made.stdout
    assert made.stdout.count("kind: ") >= len(manifests())
    assert "image: upkeep\n" not in made.stdout


@pytest.mark.parametrize("name", ["upkeep-migrate", "upkeep-web", "upkeep-worker"])
def test_pods_keep_the_rules_of_restricted_ones(name):
    """https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted, and a root that is read-only."""
    pod = pods()[name]["spec"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] == 10001
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    assert not {"hostNetwork", "hostPID", "hostIPC"} & pod.keys()
    assert all(volume.keys() & {"configMap", "secret", "emptyDir"} for volume in pod["volumes"])
    (container,) = pod["containers"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert {"requests", "limits"} <= container["resources"].keys()
    mounted = {mount["name"]: mount for mount in container["volumeMounts"]}
    assert mounted.keys() == {volume["name"] for volume in pod["volumes"]}
    assert (mounted["secrets"]["mountPath"], mounted["secrets"]["readOnly"]) == (PLACE, True)
    assert container["args"] == [name.removeprefix("upkeep-")]


def test_web_servers_are_asked_what_they_can_answer_and_one_is_always_there():
    web = manifests()["Deployment", "upkeep-web"]
    (container,) = pods()["upkeep-web"]["spec"]["containers"]
    assert web["spec"]["replicas"] >= 2
    assert container["livenessProbe"]["httpGet"]["path"] == "/healthz"
    assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"
    assert manifests()["PodDisruptionBudget", "upkeep-web"]["spec"]["minAvailable"] == 1


def test_what_selects_pods_finds_them():
    own = {"app.kubernetes.io/name": "upkeep"}
    labels = [pod["metadata"]["labels"] | own for pod in pods().values()]
    for (kind, name), each in manifests().items():
        spec = each.get("spec", {})
        wanted = spec.get("selector", spec.get("podSelector")) if kind not in ("Job",) else None
        if not wanted or name == "upkeep-nobody":
            continue
        pairs = wanted.get("matchLabels", wanted)
        assert any(pairs.items() <= found.items() for found in labels), f"{kind} {name} selects nobody"
    (labelled,) = loaded("kubernetes", "kustomization.yaml")["labels"]
    assert labelled == {"includeTemplates": True, "pairs": own}


def test_what_is_not_public_leads_nowhere():
    (rule,) = manifests()["Ingress", "upkeep"]["spec"]["rules"]
    paths = {each["path"]: each["backend"]["service"]["name"] for each in rule["http"]["paths"]}
    assert paths == {"/": "upkeep-web", "/readyz": "upkeep-nobody", "/metrics": "upkeep-nobody"}


def test_the_worker_alone_enters_aws():
    accounts = {name: each for (kind, name), each in manifests().items() if kind == "ServiceAccount"}
    assert {name for name, each in accounts.items() if each["metadata"].get("annotations")} == {"upkeep-worker"}
    assert {name: pod["spec"]["serviceAccountName"] for name, pod in pods().items()} == {
        "upkeep-migrate": "upkeep-web",
        "upkeep-web": "upkeep-web",
        "upkeep-worker": "upkeep-worker",
    }


def test_the_configuration_has_no_fault_and_the_secret_holds_what_it_asks_for(tmp_path):
    done = check_config(CONFIGURATION, PLACE, tmp_path)
    assert done.exit_code == 0, done.output
    (example,) = yaml_documents(FOLDER / "secret.example.yaml")
    assert example["stringData"].keys() == secrets_in(CONFIGURATION, PLACE) == SECRETS.keys()
    (generated,) = loaded("kubernetes", "kustomization.yaml")["configMapGenerator"]
    assert generated == {"name": "upkeep", "files": ["upkeep.yaml"]}


def test_workers_without_a_folder_in_common_keep_no_stacks_in_one():
    """One that is not the first would find another folder than its database knows, and would not start."""
    assert loaded("kubernetes", "upkeep.yaml")["provisioner"] == "cloudformation"
