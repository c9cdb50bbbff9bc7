"""A plan: what moving one resource to a version and inputs would change in its stack, looked at before it happens."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from upkeep.domain.changesets import Proposal, Risk, StackChange
from upkeep.domain.names import ResourceKey, TemplateName, Version
from upkeep.domain.resources import Inputs, Outputs, Placement


@dataclass(frozen=True, slots=True)
class Plan:
    """One look ahead. `id` is a UUID and the client token of its change set, which is discarded once it is read.

    `digest` stands for all rows it was made from (see `Grounds`), None until a worker began with it; `handle` is
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
        return self.proposal is not None and self.proposal.usable

    @property
    def risk(self) -> Risk:
        """The worst of its changes; NOT_CHECKED until they are known."""
        return self.proposal.risk if self.proposal is not None else Risk.NOT_CHECKED

    @property
    def changes(self) -> tuple[StackChange, ...]:
        """Its changes, those that can cost most first."""
        return self.proposal.worst_first if self.proposal is not None else ()


@dataclass(frozen=True, slots=True)
class Grounds:
    """What a plan rests on, besides the version and the inputs it was asked for: the resource as it runs, the version's
    tree, the spec of its service if it has one, and what its environment gives it: outputs and placement, its own for
    an environment. What is None is not there any more."""

    running: Version | None
    inputs: Inputs
    stack: str | None
    last_deployment: str | None
    tags: Mapping[str, str]
    tree: str | None
    spec: str | None
    home: tuple[Outputs, Placement] | None

    def digest(self, to: Version, inputs: Inputs) -> str:
        """All of it by one name. What is rendered from it is kept beside a plan and compared by itself."""
        home = None
        if self.home is not None:
            outputs, place = self.home
            home = [outputs, place.account_id, place.region, place.role_arn, place.external_id]
        return digest_of(
            [
                str(self.running),
                self.inputs,
                self.stack,
                self.last_deployment,
                self.tags,
                str(to),
                self.tree,
                inputs,
                self.spec,
                home,
            ]
        )


def outlook(said: Proposal, digest: str | None, to: Version, inputs: Inputs, grounds: Grounds) -> Proposal | None:
    """What a plan said an update would change, for as long as it rests on the same grounds; None when it does not, or
    when there was nothing to see."""
    if not said.usable or grounds.tree is None or grounds.digest(to, inputs) != digest:
        return None
    return said


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
