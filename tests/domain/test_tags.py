import pytest

from tests.builders import a_pipeline, an_environment, an_instance
from upkeep.domain.consoles import console_url
from upkeep.domain.errors import CallerError
from upkeep.domain.names import Version
from upkeep.domain.resources import Placement
from upkeep.domain.tags import parse_tags, stack_tags

HERE = Placement("123456789012", "eu-west-1")
START = "arn:aws:proton:eu-west-1:123456789012:"


def protons(resource, placement=HERE):
    tags = stack_tags(resource, Version(1, 2), placement, {})
    return {key.removeprefix("proton:"): value for key, value in tags.items() if key.startswith("proton:")}


def test_a_stack_says_which_resource_template_and_version_it_is():
    tags = stack_tags(an_instance(), Version(1, 2), HERE, {})
    assert {key: value for key, value in tags.items() if key.startswith("upkeep:")} == {
        "upkeep:resource": "instance/checkout/test",
        "upkeep:template": "web-svc",
        "upkeep:version": "1.2",
    }


def test_protons_own_tags_are_put_on_the_stacks_of_every_kind():
    assert protons(an_environment()) == {
        "account": "123456789012",
        "template": f"{START}environment-template/network-env",
        "environment": f"{START}environment/test",
    }
    assert protons(an_instance()) == {
        "account": "123456789012",
        "template": f"{START}service-template/web-svc",
        "environment": f"{START}environment/test",
        "service": f"{START}service/checkout",
        "service-instance": f"{START}service/checkout/service-instance/test",
    }
    assert set(protons(a_pipeline())) == {"account", "template", "service"}


@pytest.mark.parametrize(("region", "partition"), [("cn-north-1", "aws-cn"), ("us-gov-west-1", "aws-us-gov")])
def test_an_arn_names_the_partition_of_its_region(region, partition):
    assert protons(an_environment(), Placement("", region))["environment"].startswith(
        f"arn:{partition}:proton:{region}:"
    )


def test_no_value_is_longer_than_aws_accepts():
    long = an_instance("s" * 100, "i" * 100, environment="e" * 100)
    assert max(map(len, protons(long).values())) == 256


def test_the_customers_tags_come_along_and_those_of_a_resource_come_before_those_of_all():
    tags = stack_tags(an_environment(tags={"team": "shop"}), Version(1, 0), HERE, {"team": "all", "cost": "42"})
    assert (tags["team"], tags["cost"]) == ("shop", "42")


def test_tags_are_read_from_texts():
    assert parse_tags(["team=shop", "a/b=c=d", "empty="]) == {"team": "shop", "a/b": "c=d", "empty": ""}


@pytest.mark.parametrize(
    "text", ["team", "=shop", "te?m=shop", "aws:x=y", "Proton:x=y", "upkeep:x=y", f"a={'b' * 257}"]
)
def test_what_aws_refuses_as_a_tag_and_what_is_ours_is_refused(text):
    with pytest.raises(CallerError):
        parse_tags([text])


@pytest.mark.parametrize(
    ("partition", "region", "host"),
    [
        ("aws", "eu-west-1", "eu-west-1.console.aws.amazon.com"),
        ("aws-cn", "cn-north-1", "cn-north-1.console.amazonaws.cn"),
        ("aws-us-gov", "us-gov-west-1", "us-gov-west-1.console.amazonaws-us-gov.com"),
    ],
)
def test_a_stack_has_a_page_in_the_console_of_its_partition(partition, region, host):
    stack = f"arn:{partition}:cloudformation:{region}:123456789012:stack/name/1f-2e"
    found = console_url(stack)
    assert found is not None
    assert found.startswith(f"https://{host}/cloudformation/home?region={region}#/stacks/events?stackId=arn%3A")


@pytest.mark.parametrize("stack", [None, "", "test", "arn:aws:s3:::bucket", "javascript:alert(1)"])
def test_what_is_no_stack_of_aws_has_no_page(stack):
    assert console_url(stack) is None
