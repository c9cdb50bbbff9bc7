"""Bundles that others published, deployed on an emulator of AWS: environments, then instances, then pipelines."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from tests.contracts.test_cloudformation import done
from tests.emulator.harness import ACCOUNT, REGION, Emulator
from tests.samples.test_samples import spec_of
from upkeep.adapters.cloudformation import Accounts, CloudFormationProvisioner
from upkeep.adapters.folders import find_bundles, read_bundle
from upkeep.adapters.jinja import JinjaRenderer
from upkeep.domain import namespaces, schemas, specs
from upkeep.domain.bundles import Inspection, inspect
from upkeep.domain.deployments import Action, Progress, ProgressState
from upkeep.domain.errors import BundleError
from upkeep.domain.names import ResourceKey, environment_key, instance_key, pipeline_key
from upkeep.domain.namespaces import EnvironmentFacts, InstanceFacts, ServiceFacts
from upkeep.domain.parts import Part
from upkeep.domain.resources import Inputs, Placement, Repository
from upkeep.domain.versions import TemplateKind
from upkeep.flows.ports import Request

STAGES = {"test": REGION, "prod": "eu-north-1"}
"""Everything is deployed twice, in regions of its own."""

CODE = Repository("main", "acme/shop", f"arn:aws:codestar-connections:{REGION}:{ACCOUNT}:connection/1")

MISSES: dict[str, str] = {}
"""Deployments that do not succeed, by resource, and why that is right."""


@dataclass(frozen=True, slots=True)
class Sample:
    """A bundle with the spec its authors gave with it."""

    name: str
    inspection: Inspection
    spec: str

    @property
    def home(self) -> str:
        """The environment template that a service template is made for."""
        return self.inspection.compatible_environments[0].template

    def merged(self, part: Part, given: Inputs) -> Inputs:
        schema = schemas.parse(self.inspection.schema) if self.inspection.schema else None
        return specs.merge(schema.inputs_of(part) if schema else None, given)


class Cloud:
    """Deploys samples one after another and keeps what became of each."""

    def __init__(self, emulator: Emulator, renderer: JinjaRenderer) -> None:
        self._provisioner = CloudFormationProvisioner(
            Accounts(region=REGION, endpoint_url=emulator.url), template_bucket="templates"
        )
        self._renderer = renderer
        self.ended: dict[ResourceKey, Progress] = {}

    def environment(self, sample: Sample, stage: str) -> EnvironmentFacts:
        """With the outputs of its stack."""
        inputs = sample.merged(Part.ENVIRONMENT, specs.parse_environment_spec(sample.spec).inputs)
        facts = EnvironmentFacts(f"{sample.name}-{stage}", ACCOUNT, inputs)
        namespace = namespaces.environment_namespace(facts)
        outputs = self._deploy(environment_key(facts.name), sample, Part.ENVIRONMENT, namespace, stage)
        return replace(facts, outputs=outputs)

    def service(self, sample: Sample, name: str, homes: Mapping[str, EnvironmentFacts]) -> None:
        """An instance in each home, called like its stage, then the pipeline in the first stage."""
        asked = specs.parse_service_spec(sample.spec)
        service = ServiceFacts(name, CODE)
        instances = []
        for stage, home in homes.items():
            facts = InstanceFacts(stage, home, sample.merged(Part.INSTANCE, asked.instances[0].inputs))
            namespace = namespaces.instance_namespace(service, facts)
            outputs = self._deploy(instance_key(name, stage), sample, Part.INSTANCE, namespace, stage)
            instances.append(replace(facts, outputs=outputs))
        inputs = sample.merged(Part.PIPELINE, asked.pipeline or {})
        namespace = namespaces.pipeline_namespace(service, inputs, instances)
        self._deploy(pipeline_key(name), sample, Part.PIPELINE, namespace, next(iter(homes)))

    def _deploy(
        self, key: ResourceKey, sample: Sample, part: Part, namespace: Mapping[str, Any], stage: str
    ) -> Mapping[str, str]:
        try:
            body = self._renderer.render(sample.inspection.templates[part], namespace)
        except BundleError as fault:
            self.ended[key] = Progress(ProgressState.FAILED, str(fault))
            return {}
        place = Placement(ACCOUNT, STAGES[stage])
        request = Request(f"d-{len(self.ended)}", key, Action.CREATE, body, {"stage": stage}, place)
        handle = self._provisioner.propose(request)
        proposal = self._provisioner.proposal(handle)
        if proposal.changes:
            self.ended[key] = done(self._provisioner, request)
        else:
            self.ended[key] = Progress(ProgressState.FAILED, proposal.reason)
        return self.ended[key].outputs


def read(folder: Path) -> Iterator[Sample]:
    for place in find_bundles(folder):
        inspection = inspect(read_bundle(folder / place))
        yield Sample((folder / place).parent.name, inspection, spec_of(folder / place, inspection.kind).read_text())


def test_the_samples_are_deployed_from_environment_to_pipeline(
    samples: Path, emulator: Emulator, capsys: pytest.CaptureFixture[str]
) -> None:
    bundles, tutorial = list(read(samples / "aws-samples")), list(read(samples / "tutorial"))
    assert (len(bundles), len(tutorial)) == (23, 2)
    emulator.client("s3").create_bucket(Bucket="templates", CreateBucketConfiguration={"LocationConstraint": REGION})
    with JinjaRenderer() as renderer:
        cloud = Cloud(emulator, renderer)
        homes = {
            sample.name: {stage: cloud.environment(sample, stage) for stage in STAGES}
            for sample in bundles + tutorial
            if sample.inspection.kind is TemplateKind.ENVIRONMENT
        }
        for sample in bundles:
            if sample.inspection.kind is TemplateKind.SERVICE:
                for stage in STAGES:
                    cloud.service(sample, f"{sample.name}-{stage}", {stage: homes[sample.home][stage]})
        for sample in tutorial:
            if sample.inspection.kind is TemplateKind.SERVICE:
                cloud.service(sample, sample.name, homes[sample.home])
    failed = {str(key): progress for key, progress in cloud.ended.items() if progress.status != "CREATE_COMPLETE"}
    with capsys.disabled():
        made = len(cloud.ended) - len(failed)
        print(f"\n{made} of {len(cloud.ended)} deployments of the samples reach CREATE_COMPLETE")
        for key, progress in cloud.ended.items():
            said = MISSES.get(str(key)) or progress.reason
            print(f"  {progress.status or 'REFUSED':18} {key}" + (f": {said}" if said else ""))
    assert set(failed) == set(MISSES)
    assert len(cloud.ended) == 2 * 40 + 5
    assert made >= len(cloud.ended) * 70 / 78
