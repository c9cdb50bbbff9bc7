"""Names of things as AWS writes them.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference-arns.html
"""

from dataclasses import dataclass

from upkeep.domain.errors import CallerError
from upkeep.domain.names import (
    ResourceKey,
    ResourceKind,
    TemplateName,
    Version,
    environment_key,
    instance_key,
    parse_resource_name,
    parse_template_name,
    parse_version,
    pipeline_key,
)
from upkeep.domain.versions import TemplateKind, VersionKey

Named = ResourceKey | VersionKey | str
"""What an ARN leads to: a resource, a version, or the subject of something else: `service/NAME`, `template/NAME`,
`repository/PROVIDER/OWNER/NAME`."""

_PARTITIONS = (("cn-", "aws-cn"), ("us-gov-", "aws-us-gov"))


@dataclass(frozen=True, slots=True)
class Names:
    """The region and account under which everything here is named, whatever account its stacks live in."""

    region: str
    account: str

    def resource(self, key: ResourceKey) -> str:
        """Of an environment, a service instance or a pipeline."""
        match key.kind:
            case ResourceKind.ENVIRONMENT:
                return self._arn(f"environment/{key.name}")
            case ResourceKind.INSTANCE:
                return self._arn(f"service/{key.service}/service-instance/{key.name}")
        return self._arn(f"service/{key.name}/pipeline")

    def service(self, name: str) -> str:
        """Of a service."""
        return self._arn(f"service/{name}")

    def template(self, name: str, kind: TemplateKind, version: Version | None = None) -> str:
        """Of a template, or of one of its versions."""
        return self._arn(f"{kind}-template/{name}" + (f":{version}" if version is not None else ""))

    def deployment(self, key: ResourceKey, deployment_id: str) -> str:
        """Of one deployment of a resource."""
        return f"{self.resource(key)}/deployment/{deployment_id}"

    def repository(self, provider: str, name: str) -> str:
        """Of a repository that is linked."""
        return self._arn(f"repository/{provider.lower()}:{name}")

    def read(self, arn: str) -> Named:
        """What an ARN names. CallerError when it is not one of ours."""
        start = self._arn("")
        if arn.startswith(start):
            match arn.removeprefix(start).split("/"):
                case ["environment", name]:
                    return environment_key(name)
                case ["service", service]:
                    return f"service/{parse_resource_name(service)}"
                case ["service", service, "pipeline"]:
                    return pipeline_key(service)
                case ["service", service, "service-instance", name]:
                    return instance_key(service, name)
                case ["environment-template" | "service-template", name]:
                    return _template(name)
                case ["repository", owner, name] if ":" in owner:
                    provider, _, owner = owner.partition(":")
                    return f"repository/{provider}/{owner}/{name}"
        raise CallerError(f"`{arn}` names nothing here", cure=f"ARNs here begin with {start}")

    def _arn(self, path: str) -> str:
        partition = next((name for begin, name in _PARTITIONS if self.region.startswith(begin)), "aws")
        return f"arn:{partition}:proton:{self.region}:{self.account}:{path}"


def _template(text: str) -> Named:
    name, colon, version = text.partition(":")
    template: TemplateName = parse_template_name(name)
    return VersionKey(template, parse_version(version)) if colon else f"template/{template}"
