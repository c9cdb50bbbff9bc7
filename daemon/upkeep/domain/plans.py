"""A plan: what moving one resource to a version and inputs would change in its stack, looked at before it happens."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from upkeep.domain.changesets import Proposal, ProposalState, Risk, StackChange, worst_first
from upkeep.domain.names import ResourceKey, TemplateName, Version


@dataclass(frozen=True, slots=True)
class Plan:
    """One look ahead. `id` is a UUID and the client token of its change set, which is discarded once it is read.

    `digest` stands for all rows it was made from (see `digest_of`), None until a worker began with it; `handle` is
    the change set's while it is worked out. At `made_at` it has a `proposal`, or a `failure` that says why it has none.
    `deployment` is the one that was approved with it.
    """

    id: str
    resource: ResourceKey
    template: TemplateName
    version: Version
    inputs: Mapping[str, Any]
    asked_by: str
    asked_at: datetime
    digest: str | None = None
    handle: str | None = None
    proposal: Proposal | None = None
    failure: str | None = None
    made_at: datetime | None = None
    deployment: str | None = None

    @property
    def usable(self) -> bool:
        """Whether it shows what an approval can rest on."""
        return self.proposal is not None and self.proposal.state in (ProposalState.READY, ProposalState.EMPTY)

    @property
    def risk(self) -> Risk:
        """The worst of its changes; NOT_CHECKED until they are known."""
        return self.proposal.risk if self.proposal is not None else Risk.NOT_CHECKED

    @property
    def changes(self) -> tuple[StackChange, ...]:
        """Its changes, those that can cost most first."""
        return worst_first(self.proposal.changes) if self.proposal is not None else ()


def digest_of(facts: object) -> str:
    """A short name for facts: the same for the same facts, whatever the order of mappings."""
    written = json.dumps(facts, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(written.encode()).hexdigest()


def same_changes(one: Proposal, other: Proposal) -> bool:
    """Whether two change sets say the same, in whatever order."""
    return one.state is other.state and _said(one) == _said(other)


def _said(proposal: Proposal) -> frozenset[tuple[object, ...]]:
    return frozenset(
        (
            change.action,
            change.logical_id,
            change.resource_type,
            change.replacement,
            frozenset(change.scope),
            frozenset(change.causes),
        )
        for change in proposal.changes
    )
