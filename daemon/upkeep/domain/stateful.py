"""Which kinds of stack resources hold what cannot be made again."""

from collections.abc import Iterable

from upkeep.domain.changesets import Risk, StackChange

STATEFUL = frozenset(
    {
        "AWS::Backup::BackupVault",
        "AWS::CloudFormation::Stack",
        "AWS::Cognito::UserPool",
        "AWS::DocDB::DBCluster",
        "AWS::DocDB::DBInstance",
        "AWS::DynamoDB::GlobalTable",
        "AWS::DynamoDB::Table",
        "AWS::EC2::Volume",
        "AWS::ECR::Repository",
        "AWS::EFS::FileSystem",
        "AWS::ElastiCache::CacheCluster",
        "AWS::ElastiCache::ReplicationGroup",
        "AWS::Elasticsearch::Domain",
        "AWS::FSx::FileSystem",
        "AWS::KMS::Key",
        "AWS::Kinesis::Stream",
        "AWS::Logs::LogGroup",
        "AWS::Neptune::DBCluster",
        "AWS::Neptune::DBInstance",
        "AWS::OpenSearchService::Domain",
        "AWS::RDS::DBCluster",
        "AWS::RDS::DBInstance",
        "AWS::Redshift::Cluster",
        "AWS::S3::Bucket",
        "AWS::SDB::Domain",
        "AWS::SQS::Queue",
        "AWS::SecretsManager::Secret",
    }
)
"""Resource types that lose data when they are replaced: those cfn-lint's rule I3011 wants a deletion policy for, and
image repositories. https://github.com/aws-cloudformation/cfn-lint/blob/main/docs/rules.md
"""


def endangered(changes: Iterable[StackChange]) -> tuple[StackChange, ...]:
    """The changes that replace or remove something stateful, or may do so."""
    return tuple(
        change
        for change in changes
        if change.resource_type in STATEFUL and change.risk in (Risk.REPLACES, Risk.MAY_REPLACE)
    )
