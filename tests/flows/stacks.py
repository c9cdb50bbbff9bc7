"""A provisioner in memory that behaves as CloudFormation does, saying what it was told to, and a store that dies."""

from collections.abc import Callable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

from upkeep.domain.changesets import Drift, DriftState, Proposal, ProposalState, StackChange, StackEvent
from upkeep.domain.deployments import Action, Progress, ProgressState
from upkeep.domain.errors import Conflict
from upkeep.domain.notices import Routing
from upkeep.domain.work import WorkKind
from upkeep.flows import settle
from upkeep.flows.ports import Request, Store

CHANGED = StackChange("Modify", "Network", "AWS::EC2::VPC", "vpc-1", "True", ("Properties",), ("CidrBlock",))


ROUTING = Routing(default="platform", operators="operators")


class Killed(BaseException):
    """What a worker that is killed does not survive."""


@dataclass
class Stacks:
    """Stacks by resource. `answer` is how the next ones end, `proposes` what change sets say.

    `executed` are the requests that were acted on, each deployment once; `calls` all calls as they came in. What is
    under `before` or `after` a call's name is run then, and may raise.
    """

    outputs: Mapping[str, str] = field(default_factory=lambda: {"NetworkId": "vpc-1"})
    answer: ProgressState = ProgressState.SUCCEEDED
    reason: str | None = "Resource VPC failed: limit exceeded"
    proposes: Proposal = field(default_factory=lambda: Proposal(ProposalState.READY, (CHANGED,)))
    status: str | None = None
    events: tuple[StackEvent, ...] = ()
    executed: dict[str, Request] = field(default_factory=dict)
    proposed: dict[str, Request] = field(default_factory=dict)
    discarded: list[str] = field(default_factory=list)
    cancelled: list[str] = field(default_factory=list)
    continued: list[str] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    before: dict[str, Callable[[], None]] = field(default_factory=dict)
    after: dict[str, Callable[[], None]] = field(default_factory=dict)

    def propose(self, request: Request) -> str:
        with_handle = f"{request.action}/{request.deployment}"
        return self._called("propose", lambda: self._propose(request, with_handle))

    def _propose(self, request: Request, handle: str) -> str:
        self.proposed.setdefault(handle, request)
        return handle

    def proposal(self, handle: str) -> Proposal:
        return self._called("proposal", lambda: self.proposes)

    def discard(self, handle: str) -> None:
        self._called("discard", lambda: self.discarded.append(handle))

    def execute(self, handle: str, request: Request) -> None:
        assert handle in self.proposed, "what is executed was proposed before"
        self._called("execute", lambda: self.executed.setdefault(request.deployment, request))

    def observe(self, handle: str) -> Progress:
        return self._called("observe", lambda: self._progress(handle))

    def cancel(self, handle: str) -> None:
        def ask() -> None:
            if self.answer is not ProgressState.RUNNING:
                raise Conflict("the stack is not being updated", cure="wait")
            self.cancelled.append(handle)

        self._called("cancel", ask)

    def continue_rollback(self, stack: str, placement: object, token: str) -> None:
        self._called("continue_rollback", lambda: self.continued.append(token))

    def ask_drift(self, stack: str, placement: object) -> str:
        return stack

    def drift(self, handle: str) -> Drift:
        return Drift(DriftState.IN_SYNC)

    def _progress(self, handle: str) -> Progress:
        request = self.proposed[handle]
        stack = f"arn:aws:cloudformation:eu-west-1:123456789012:stack/{request.resource.short}/1"
        if request.action is Action.DELETE and request.deployment.endswith("-clear"):
            return Progress(ProgressState.SUCCEEDED, stack=request.stack, status="DELETE_COMPLETE")
        word = {Action.CREATE: "CREATE", Action.UPDATE: "UPDATE", Action.DELETE: "DELETE"}[request.action]
        told = Progress(self.answer, None, {}, stack, self.status, self.events)
        match self.answer:
            case ProgressState.SUCCEEDED:
                return replace(told, outputs=self.outputs, status=self.status or f"{word}_COMPLETE")
            case ProgressState.RUNNING:
                return replace(told, status=self.status or f"{word}_IN_PROGRESS")
        ended = {"CREATE": "ROLLBACK_COMPLETE", "UPDATE": "UPDATE_ROLLBACK_COMPLETE", "DELETE": "DELETE_FAILED"}[word]
        return replace(told, reason=self.reason, status=self.status or ended)

    def _called(self, name: str, act: Callable[[], Any]) -> Any:
        self.calls.append(name)
        if name in self.before:
            self.before[name]()
        answer = act()
        if name in self.after:
            self.after[name]()
        return answer


class Texts:
    """A renderer that writes the namespace's own names, so that tests can read what a template would see."""

    def check(self, template, part):
        return ()

    def render(self, template, namespace):
        return f"{template.path}: {sorted(namespace)}"

    def render_each(self, asked):
        return [self.render(*each) for each in asked]


def fail_with(fault):
    """What a call is told to do when it should fail."""

    def fail():
        raise fault

    return fail


def work(store, stacks, now, rounds=20, terms=None):
    """Do due DEPLOY work, once a minute, until none is left or for so many rounds; returns the rounds it took."""
    for done in range(rounds):
        at = now + timedelta(minutes=1) * done
        with store.write() as unit:
            claim = unit.work.claim([WorkKind.DEPLOY], at, timedelta(minutes=1))
        if claim is None:
            with store.read() as unit:
                if not [due for due in unit.work.list(10) if due.kind is WorkKind.DEPLOY]:
                    return done
            continue
        settle.settle(store, Texts(), stacks, claim, routing=ROUTING, now=at, terms=terms)
    return rounds


@dataclass
class DyingStore:
    """A store whose worker is killed at one of its writing transactions: before it is committed, or after."""

    store: Store
    turn: int
    committed: bool

    @contextmanager
    def write(self):
        self.turn -= 1
        with self.store.write() as unit:
            yield unit
            if self.turn == 0 and not self.committed:
                raise Killed
        if self.turn == 0:
            raise Killed

    def read(self):
        return self.store.read()
