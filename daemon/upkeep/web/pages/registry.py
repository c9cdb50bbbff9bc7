"""Templates, their versions, and the review of a draft."""

from collections.abc import Iterator
from urllib.parse import urlencode

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from upkeep.domain.differences import lines_of
from upkeep.domain.errors import Conflict, NotFound, reaction
from upkeep.domain.names import TemplateName, Version, parse_resource_key, parse_version
from upkeep.domain.outlines import SectionChange, section_changes
from upkeep.flows import plan
from upkeep.flows import preview as previews
from upkeep.flows import review as decisions
from upkeep.flows.browse import comparisons, registry, reviews
from upkeep.flows.browse.differences import FileDifference
from upkeep.flows.browse.reviews import Group, ReviewView
from upkeep.web.diffs import Reading, Shown, download
from upkeep.web.identity import actor
from upkeep.web.rooms import rooms

blueprint = Blueprint("registry", __name__, url_prefix="/templates")


@blueprint.get("")
def templates() -> ResponseReturnValue:
    """All templates."""
    with rooms().store.read() as unit:
        rows = registry.templates(unit)
        followed = bool(unit.sources.list())
    return render_template("templates.html", rows=rows, followed=followed)


@blueprint.get("/<name>")
def template(name: str) -> ResponseReturnValue:
    """One template."""
    with rooms().store.read() as unit:
        view = registry.template(unit, name)
    return render_template("template.html", view=view)


@blueprint.get("/<name>/<number>")
def version(name: str, number: str) -> ResponseReturnValue:
    """One version."""
    with rooms().store.read() as unit:
        view = registry.version(unit, name, parse_version(number))
        files = comparisons.file_paths(unit, view.row.version)
    return render_template("version.html", view=view, version=view.row.version, files=files)


@blueprint.get("/<name>/<number>/compare")
def compare(name: str, number: str) -> ResponseReturnValue:
    """A version beside another one: all files, or the one that `file` names."""
    wanted, only = request.args.get("with"), request.args.get("file")
    with rooms().store.read() as unit:
        view = comparisons.comparison(unit, name, parse_version(number), parse_version(wanted) if wanted else None)
    other = str(view.compared.other.version) if view.compared.other else None
    path = url_for(".compare", name=name, number=number)
    reading = Reading(request.args, path, **{"with": other, "file": only})
    chosen = [file for file in view.compared.files if only in (None, file.path)]
    if only and not chosen:
        raise NotFound(f"`{only}` is the same in both, or in neither", cure="look at all files that differ")
    files = [(file, _laid_file(reading, file, None if only else _own(path, other, file.path))) for file in chosen]
    return render_template("compare.html", view=view, version=view.version, files=files, only=only, reading=reading)


@blueprint.get("/<name>/<number>/files/<path:path>")
def file(name: str, number: str, path: str) -> ResponseReturnValue:
    """One file of a version, line by line."""
    with rooms().store.read() as unit:
        view = comparisons.file_of(unit, name, parse_version(number), path)
    reading = Reading(request.args, url_for(".file", name=name, number=number, path=path))
    shown = None if view.text is None else reading.lay_file(path, lines_of(view.text))
    return render_template("file.html", view=view, version=view.version, reading=reading, shown=shown)


@blueprint.get("/<name>/<number>/raw/<path:path>")
def raw(name: str, number: str, path: str) -> ResponseReturnValue:
    """One file of a version, as it is."""
    with rooms().store.read() as unit:
        view = comparisons.file_of(unit, name, parse_version(number), path)
    if view.file.content is None:
        raise NotFound(f"`{path}` cannot be downloaded: {view.silent}", cure="look at it in its repository")
    return download(view.file.content, path.rpartition("/")[2])


@blueprint.get("/<name>/<number>/rendered/<path:key>")
def rendered(name: str, number: str, key: str) -> ResponseReturnValue:
    """What a draft would change in a resource, as its preview says."""
    with rooms().store.read() as unit:
        view = reviews.group_of(unit, name, parse_version(number), parse_resource_key(key))
    reading = Reading(request.args, url_for(".rendered", name=name, number=number, key=key))
    shown = reading.lay(key, f"Rendered change of {key}", view.group.preview.blocks)
    return render_template("rendered.html", view=view, group=view.group, reading=reading, shown=shown)


@blueprint.post("/<name>/<number>/preview")
def preview(name: str, number: str) -> ResponseReturnValue:
    """Ask for a fresh preview of a draft."""
    here = rooms()
    with here.store.write() as unit:
        previews.renew(unit, TemplateName(name), parse_version(number), actor=actor(), now=here.clock())
    here.store.ring()
    return redirect(url_for(".review", name=name, number=number) + "#rendered", 303)


@blueprint.get("/<name>/<number>/review")
def review(name: str, number: str) -> ResponseReturnValue:
    """A draft, with what publishing it would do."""
    return _review(name, parse_version(number))


@blueprint.post("/<name>/<number>/check")
def check(name: str, number: str) -> ResponseReturnValue:
    """Ask for a change set of every resource the draft could move."""
    here = rooms()
    with here.store.write() as unit:
        plan.check_draft(unit, TemplateName(name), parse_version(number), actor=actor(), now=here.clock())
    here.store.ring()
    return redirect(url_for(".review", name=name, number=number) + "#stacks", 303)


@blueprint.post("/<name>/<number>/publish")
def publish(name: str, number: str) -> ResponseReturnValue:
    """Publish the draft that was seen; another one under its number is shown first."""
    here = rooms()
    note = request.form.get("note", "")
    try:
        with here.store.write() as unit:
            done = decisions.publish(
                unit,
                TemplateName(name),
                parse_version(number),
                seen_tree=request.form.get("seen", ""),
                note=note,
                routing=here.routing,
                acknowledged=request.form.get("acknowledged") == "yes",
                seen_evidence=request.form.get("evidence"),
                actor=actor(),
                now=here.clock(),
            )
    except Conflict as conflict:
        return _review(name, parse_version(number), note=note, conflict=conflict)
    here.store.ring()
    recommended = " and is the recommended version now" if done.recommended == done.version.version else ""
    behind = "1 resource is" if done.behind == 1 else f"{done.behind} resources are"
    flash(f"{name} {number} is published{recommended}. {behind} behind.")
    return redirect(url_for(".template", name=name), 303)


@blueprint.post("/<name>/<number>/withdraw")
def withdraw(name: str, number: str) -> ResponseReturnValue:
    """Offer a published version no longer."""
    here = rooms()
    with here.store.write() as unit:
        left = decisions.withdraw(
            unit,
            TemplateName(name),
            parse_version(number),
            reason=request.form.get("reason", ""),
            actor=actor(),
            now=here.clock(),
        )
    flash(f"{name} {number} is withdrawn. " + (f"{left} is recommended." if left else "Nothing is recommended now."))
    return redirect(url_for(".template", name=name), 303)


@blueprint.post("/<name>/<number>/recommend")
def recommend(name: str, number: str) -> ResponseReturnValue:
    """Make a published version the recommended one."""
    here = rooms()
    with here.store.write() as unit:
        behind = decisions.recommend(unit, TemplateName(name), parse_version(number), actor=actor(), now=here.clock())
    flash(f"{name} {number} is recommended. {behind} resource{'s are' if behind != 1 else ' is'} behind.")
    return redirect(url_for(".template", name=name), 303)


@blueprint.post("/<name>/<number>/delete")
def delete(name: str, number: str) -> ResponseReturnValue:
    """Delete a version nobody runs; for a draft, discard it."""
    here = rooms()
    with here.store.write() as unit:
        decisions.delete(unit, TemplateName(name), parse_version(number), actor=actor(), now=here.clock())
    flash(f"{name} {number} is deleted. Its number will not be given again.")
    return redirect(url_for(".template", name=name), 303)


def _review(
    name: str, number: Version, *, note: str | None = None, conflict: Conflict | None = None
) -> ResponseReturnValue:
    compare_with = request.args.get("compare")
    with rooms().store.read() as unit:
        view = reviews.review(unit, name, number, parse_version(compare_with) if compare_with else None)
        files = (comparisons.file_paths(unit, view.draft) or ()) if view.draft.findings else ()
    reading = Reading(request.args, url_for(".review", name=name, number=number), compare=compare_with)
    page = render_template(
        "review.html",
        view=view,
        draft=view.draft,
        note=view.draft.commit.subject if note is None else note,
        conflict=conflict,
        reading=reading,
        paths={file.path for file in files},
        groups=[(group, list(_sections(reading, view, group))) for group in view.groups],
        files=[(file, _laid_file(reading, file, _own_of(view, file))) for file in view.compared.files],
        schema=_laid_file(reading, view.compared.schema, _own_of(view, view.compared.schema), "schema ")
        if view.compared.schema
        else None,
    )
    return page, reaction(conflict).status if conflict else 200


def _sections(reading: Reading, view: ReviewView, group: Group) -> Iterator[tuple[SectionChange, Shown]]:
    """The changed sections of a group's template. Where only hunks were kept they cannot be told apart, and once the
    page is full nobody has to."""
    preview, first = group.preview, group.preview.resources[0]
    if not preview.diff:
        return
    own = url_for(".rendered", name=view.template.name, number=view.draft.version, key=first)
    divided = section_changes(preview.blocks) if preview.whole and not reading.full else ()
    for section in divided or (SectionChange("", False, "", "changed", (), preview.blocks),):
        label = f"{section.name} of {first}" if section.name else f"the change of {first}"
        yield section, reading.lay(f"{first} {section.resource} {section.name}", label, section.blocks, own)


def _own(path: str, other: str | None, file: str) -> str:
    return f"{path}?{urlencode({**({'with': other} if other else {}), 'file': file})}"


def _own_of(view: ReviewView, file: FileDifference) -> str:
    path = url_for(".compare", name=view.template.name, number=view.draft.version)
    return _own(path, str(view.compared.other.version) if view.compared.other else None, file.path)


def _laid_file(reading: Reading, file: FileDifference, own: str | None, mark: str = "") -> Shown:
    return reading.lay(f"{mark}{file.path}", file.path, file.blocks, own)
