"""What can be said about a template before any value is known."""

import difflib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from jinja2 import Environment, TemplateSyntaxError, meta, nodes

from upkeep.domain.findings import Finding, error, has_errors, warning
from upkeep.domain.namespaces import ANYTHING, INPUTS_OF, SHAPES, Shape, moved_name
from upkeep.domain.parts import Part

_METHODS_OF_MAPS = frozenset(name for name in dir(dict) if not name.startswith("_"))
_LOADS_ANOTHER = (nodes.Include, nodes.Import, nodes.FromImport, nodes.Extends)

Declared = Mapping[Part, Collection[str]]
"""The inputs each part's schema type declares, as far as that is known."""


def check(environment: Environment, path: str, text: str, part: Part, declared: Declared) -> list[Finding]:
    """Findings for syntax, names outside the part's namespace, unknown filters and tests, and other files.

    Names that are only used where `is defined`, `default` or `in` guard them are left alone. What fails only when a
    branch or a loop is entered is a warning, because other resources can be rendered.
    """
    try:
        tree = environment.parse(text)
    except TemplateSyntaxError as fault:
        return [_syntax(path, fault)]
    walk = _Walk(environment, path, part, declared, _undeclared(tree))
    walk.all(tree.body, _Scope({name: _Value(shape, name) for name, shape in SHAPES[part].items()}))
    if not has_errors(walk.findings):
        try:
            environment.compile(tree)
        except TemplateSyntaxError as fault:
            return [_syntax(path, fault)]
        except SyntaxError as fault:
            return [error("jinja-syntax", f"Jinja cannot compile this: {fault.msg}", path)]
    return sorted(dict.fromkeys(walk.findings), key=lambda finding: finding.line or 0)


def _syntax(path: str, fault: TemplateSyntaxError) -> Finding:
    return error("jinja-syntax", fault.message or "Jinja cannot read this", path, fault.lineno)


def _undeclared(tree: nodes.Template) -> Collection[str] | None:
    """Names Jinja itself would look up in the namespace; None where it fails over unknown filters."""
    try:
        return meta.find_undeclared_variables(tree)
    except TemplateSyntaxError:
        return None


@dataclass(frozen=True, slots=True)
class _Value:
    """What an expression stands for: its shape, and its path in the namespace when it is a place there."""

    shape: Shape = ANYTHING
    path: str | None = None

    def item(self) -> "_Value":
        """One item of a list."""
        return _Value(self.shape.each or ANYTHING, f"{self.path}[]" if self.path else None)


_UNKNOWN = _Value()


@dataclass(frozen=True, slots=True)
class _Scope:
    """Names that stand for something here, spelled paths that are guarded, and whether each rendering comes by."""

    names: dict[str, _Value]
    guarded: frozenset[str] = frozenset()
    certain: bool = True

    def inner(self, *names: str) -> "_Scope":
        """A scope within this one, in which some more names are bound to values nothing is known of."""
        return replace(self, names={**self.names, **dict.fromkeys(names, _UNKNOWN)})

    def perhaps(self, certain: bool = False) -> "_Scope":
        """This scope where it depends on values whether a rendering comes by."""
        return replace(self, certain=self.certain and certain)

    def guarding(self, conditions: Iterable[nodes.Node]) -> "_Scope":
        return replace(self, guarded=self.guarded.union(*map(_guards, conditions)))

    def guards(self, spelled: str | None) -> bool:
        """Whether a path, one before it or one behind it was asked about."""
        return spelled is not None and any(
            asked == spelled or asked.startswith((f"{spelled}.", f"{spelled}[")) or spelled.startswith(f"{asked}.")
            for asked in self.guarded
        )


def _spelled(node: nodes.Node) -> str | None:
    """The dotted path an expression spells out, such as `service_instances[].name`; None for other expressions."""
    match node:
        case nodes.Name(name=name):
            return str(name)
        case nodes.Getattr(node=holder, attr=step) | nodes.Getitem(node=holder, arg=nodes.Const(value=str(step))):
            place = _spelled(holder)
            return f"{place}.{step}" if place else None
        case nodes.Getitem(node=holder):
            place = _spelled(holder)
            return f"{place}[]" if place else None
    return None


def _guards(condition: nodes.Node) -> frozenset[str]:
    """Paths a condition asks about before they are used."""
    found: set[str | None] = set()
    for node in (condition, *condition.find_all(nodes.Node)):
        match node:
            case nodes.Test(name="defined" | "undefined", node=asked):
                found.add(_spelled(asked))
            case nodes.Filter(name="default" | "d", node=nodes.Node() as asked):
                found.add(_spelled(asked))
            case nodes.Compare(expr=nodes.Const(value=str(name)), ops=[nodes.Operand(op="in" | "notin", expr=holder)]):
                place = _spelled(holder)
                found.add(f"{place}.{name}" if place else None)
    return frozenset(path for path in found if path)


@dataclass(slots=True)
class _Walk:
    """One way through the tree, remembering what each name stands for."""

    environment: Environment
    path: str
    part: Part
    declared: Declared
    undeclared: Collection[str] | None
    findings: list[Finding] = field(default_factory=list)

    def report(self, slug: str, node: nodes.Node, message: str, cure: str | None, certain: bool = True) -> None:
        if certain:
            self.findings.append(error(slug, message, self.path, node.lineno, cure))
        else:
            message += "; rendering fails where it comes to that"
            self.findings.append(warning(slug, message, self.path, node.lineno, cure))

    def all(self, body: Iterable[nodes.Node], scope: _Scope) -> None:
        for node in body:
            self.visit(node, scope)

    def visit(self, node: nodes.Node, scope: _Scope) -> None:
        """Walk through a statement, or through an expression for whose value nobody asks."""
        match node:
            case nodes.Expr():
                self.value(node, scope)
            case nodes.For():
                self.loop(node, scope)
            case nodes.If():
                guarded = scope.guarding([node.test, *(other.test for other in node.elif_)])
                self.value(node.test, guarded)
                self.all([*node.body, *node.elif_, *node.else_], guarded.perhaps())
            case nodes.Assign():
                self.bind(node.target, self.value(node.node, scope), scope)
            case nodes.AssignBlock():
                self.all([*([node.filter] if node.filter else []), *node.body], scope.inner())
                self.bind(node.target, _UNKNOWN, scope)
            case nodes.Macro():
                scope.names[node.name] = _UNKNOWN
                self.callable(node, scope)
            case nodes.CallBlock():
                self.value(node.call, scope)
                self.callable(node, scope)
            case nodes.With():
                inner = scope.inner()
                for target, given in zip(node.targets, node.values, strict=True):
                    self.bind(target, self.value(given, scope), inner)
                self.all(node.body, inner)
            case nodes.FilterBlock() | nodes.Block() | nodes.Scope() | nodes.ScopedEvalContextModifier():
                self.all(node.iter_child_nodes(), scope.inner())
            case _ if isinstance(node, _LOADS_ANOTHER):
                kind = type(node).__name__.removeprefix("From").lower()
                message = f"`{kind}` needs another file, and a template stands alone"
                certain = scope.certain and not (isinstance(node, nodes.Include) and node.ignore_missing)
                self.report("jinja-loads", node, message, "put the text into this file", certain)
            case _:
                self.all(node.iter_child_nodes(), scope)

    def loop(self, node: nodes.For, scope: _Scope) -> None:
        items = self.value(node.iter, scope)
        # A service has at least one instance; any other list may be empty.
        inner = scope.inner("loop").perhaps(items.path == "service_instances")
        self.bind(node.target, items.item(), inner)
        if node.test is not None:
            inner = inner.guarding([node.test])
            self.value(node.test, inner)
            inner = inner.perhaps()
        self.all(node.body, inner)
        self.all(node.else_, scope.inner().perhaps())

    def callable(self, node: nodes.Macro | nodes.CallBlock, scope: _Scope) -> None:
        self.all(node.defaults, scope)
        inner = scope.inner("caller", "varargs", "kwargs").perhaps()
        for argument in node.args:
            self.bind(argument, _UNKNOWN, inner)
        self.all(node.body, inner)

    def bind(self, target: nodes.Node, value: _Value, scope: _Scope) -> None:
        match target:
            case nodes.Name(name=name):
                scope.names[name] = value
            case nodes.Tuple(items=items):
                for item in items:
                    self.bind(item, _UNKNOWN, scope)

    def value(self, node: nodes.Node, scope: _Scope) -> _Value:
        """What an expression stands for; what is wrong in it is reported on the way."""
        match node:
            case nodes.Name(ctx="load"):
                return self.name(node, scope)
            case nodes.Getattr(node=holder, attr=step) | nodes.Getitem(node=holder, arg=nodes.Const(value=str(step))):
                return self.member(node, self.value(holder, scope), step, scope)
            case nodes.Getitem(node=holder, arg=key):
                self.value(key, scope)
                items = self.value(holder, scope)
                return items if isinstance(key, nodes.Slice) else items.item()
            case nodes.Filter():
                return self.filter(node, scope)
            case nodes.Test():
                self.known("test", node, self.environment.tests)
                self.all(node.iter_child_nodes(), scope.guarding([node]))
            case nodes.And() | nodes.Or():
                self.value(node.left, scope.guarding([node]))
                self.value(node.right, scope.guarding([node]).perhaps())
            case nodes.CondExpr(test=test):
                self.value(test, scope.guarding([node]))
                self.all(node.iter_child_nodes(exclude=("test",)), scope.guarding([node]).perhaps())
            case _:
                self.all(node.iter_child_nodes(), scope)
        return _UNKNOWN

    def filter(self, node: nodes.Filter, scope: _Scope) -> _Value:
        self.known("filter", node, self.environment.filters)
        items = self.value(node.node, scope.guarding([node])) if node.node is not None else _UNKNOWN
        self.all(node.iter_child_nodes(exclude=("node",)), scope)
        return items.item() if node.name in ("first", "last") else _UNKNOWN

    def known(self, what: str, node: nodes.Filter | nodes.Test, names: Mapping[str, Any]) -> None:
        if node.name not in names:
            near = difflib.get_close_matches(node.name, names, 1)
            cure = f"did you mean `{near[0]}`?" if near else None
            self.report(f"unknown-{what}", node, f"there is no {what} `{node.name}`", cure)

    def name(self, node: nodes.Name, scope: _Scope) -> _Value:
        name = node.name
        if name in scope.names:
            return scope.names[name]
        bound_elsewhere = self.undeclared is not None and name not in self.undeclared
        if name not in self.environment.globals and not scope.guards(name) and not bound_elsewhere:
            message = f"`{name}` is not defined in {self.part} templates"
            self.report("unknown-name", node, message, self.cure_of(name), scope.certain)
        return _UNKNOWN

    def cure_of(self, name: str) -> str:
        roots = SHAPES[self.part]
        today = moved_name(self.part, "", name)
        if today:
            return f"write `{today}`: this is a name of AWS Proton's preview"
        if name == "service_instance" and "service_instances" in roots:
            return "use it within {% for service_instance in service_instances %}"
        near = difflib.get_close_matches(name, [*roots, *self.environment.globals], 1)
        return f"did you mean `{near[0]}`?" if near else f"the names are {_listed(roots)}"

    def member(self, node: nodes.Expr, holder: _Value, step: str, scope: _Scope) -> _Value:
        members = holder.shape.members
        if members and step in members:
            return _Value(members[step], f"{holder.path}.{step}")
        if holder.path is not None and step not in _METHODS_OF_MAPS and not scope.guards(_spelled(node)):
            if members is not None:
                self.unknown_member(node, holder.path, members, step, scope)
            elif holder.path in INPUTS_OF[self.part]:
                self.input(node, holder.path, step, scope)
        return _UNKNOWN

    def unknown_member(
        self, node: nodes.Expr, place: str, members: Mapping[str, Shape], step: str, scope: _Scope
    ) -> None:
        near = difflib.get_close_matches(step, members, 1)
        today = moved_name(self.part, place, step)
        cure = f"the names are {_listed(members)}"
        if near:
            cure = f"did you mean `{place}.{near[0]}`?"
        elif today:
            cure = f"write `{today}`: inputs and outputs had no map of their own in AWS Proton's preview"
        self.report("unknown-name", node, f"`{place}` has no `{step}` in {self.part} templates", cure, scope.certain)

    def input(self, node: nodes.Expr, place: str, step: str, scope: _Scope) -> None:
        declared = self.declared.get(INPUTS_OF[self.part][place])
        if declared is not None and step not in declared:
            near = difflib.get_close_matches(step, declared, 1)
            cure = "declare it in schema/schema.yaml, or guard it with `is defined`"
            if near:
                cure = f"did you mean `{place}.{near[0]}`?"
            message = f"`{place}.{step}` is not an input of the schema"
            self.report("unknown-name", node, message, cure, scope.certain)


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)
