"""Which folders are version folders, and what a commit does to them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from time import process_time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.builders import a_commit, object_id
from upkeep.domain.changes import FolderChange, Layout, MajorKey, Move, Step, compare, fold, structural, version_folder
from upkeep.domain.findings import Finding
from upkeep.domain.names import TemplateName

Folders = Mapping[str, str]


def folders(**bundles: str) -> dict[str, str]:
    """All folders of a tree; each argument is `path=content`, with `__` for `/` and `content:marker,marker`."""
    return tree({path.replace("__", "/"): content for path, content in bundles.items()})


def tree(bundles: Mapping[str, str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for path, text in bundles.items():
        content, _, markers = text.partition(":")
        for marker in (markers or "schema,infrastructure").split(",") if markers != "none" else ():
            found[f"{path}/{marker}"] = object_id(content, marker)
    for path in {*found, *bundles}:
        parts = path.split("/")
        for length in range(1, len(parts)):
            found.setdefault("/".join(parts[:length]), "")
        found.setdefault(path, "")
    for path in found:
        inside = sorted(
            (p, c) for p, c in bundles.items() if f"{p}/".startswith(f"{path}/") or f"{path}/".startswith(f"{p}/")
        )
        found[path] = object_id(path.count("/"), [(p.removeprefix(path), c) for p, c in inside])
    return found


def paths(layout: Layout) -> dict[str, str]:
    return {f"{key.template} {key.major}": path for key, path in layout.accepted.items()}


def slugs(layout: Layout) -> list[tuple[str, str]]:
    return [(finding.slug, finding.path) for finding in layout.findings()]


def key(template: str, major: int = 1) -> MajorKey:
    return MajorKey(TemplateName(template), major)


# ------------------------------------------------------------------------------------------------ layout


def test_version_folders_are_found_at_any_depth() -> None:
    layout = Layout(folders(network__v1="a", group__sub__web__v2="b:instance_infrastructure", customer__v1="c:schema"))
    assert paths(layout) == {"network 1": "network/v1", "web 2": "group/sub/web/v2", "customer 1": "customer/v1"}
    assert layout.findings() == ()


def test_a_version_folder_without_v_is_read_and_reported_as_unusual() -> None:
    layout = Layout(tree({"web/1": "a"}))
    assert paths(layout) == {"web 1": "web/1"}
    assert slugs(layout) == [("unusual-version-folder", "web/1")]


def test_a_folder_named_like_a_version_without_a_bundle_is_nothing() -> None:
    layout = Layout(tree({"docs/v1": "a:none", "api/v2/handlers": "b:none"}))
    assert (paths(layout), layout.findings()) == ({}, ())


def test_two_places_that_claim_one_name_are_both_reported_and_neither_is_registered() -> None:
    layout = Layout(tree({"one/web/v1": "a", "two/web/v1": "b", "two/web/v2": "c"}))
    assert paths(layout) == {}
    assert slugs(layout) == [("template-name-twice", path) for path in ("one/web/v1", "two/web/v1", "two/web/v2")]
    assert "none of them is registered" in layout.findings()[0].message


def test_a_name_stays_where_it_is_registered_from_and_the_newcomer_is_reported() -> None:
    layout = Layout(tree({"one/web/v1": "a"}))
    assert layout.follow(compare(layout.folders, tree({"one/web/v1": "a", "two/web/v1": "b"}))) == ()
    assert paths(layout) == {"web 1": "one/web/v1"}
    assert slugs(layout) == [("template-name-twice", "two/web/v1")]
    assert "stays with `one/web`" in layout.findings()[0].message


def test_the_newcomer_takes_the_name_over_when_the_first_place_is_gone() -> None:
    layout = Layout(tree({"one/web/v1": "a", "two/web/v1": "b"}), {key("web"): "one/web/v1"}, {"web": "one/web"})
    before, after = layout.folders["one/web/v1"], layout.folders["two/web/v1"]
    moves = layout.follow(compare(layout.folders, tree({"two/web/v1": "b"})))
    assert moves == (Move(key("web"), "two/web/v1", before, after),)


def test_one_major_in_two_folders_is_registered_from_neither() -> None:
    layout = Layout(tree({"web/v1": "a", "web/1": "b", "web/v2": "c"}))
    assert paths(layout) == {"web 2": "web/v2"}
    assert slugs(layout) == [("major-twice", "web/1"), ("major-twice", "web/v1")]


def test_one_major_in_two_folders_stays_with_the_one_that_was_there_first() -> None:
    layout = Layout(tree({"web/v1": "a", "web/1": "b"}), {key("web"): "web/v1"}, {"web": "web"})
    assert paths(layout) == {"web 1": "web/v1"}
    assert slugs(layout) == [("major-twice", "web/1")]


@pytest.mark.parametrize(
    ("path", "slug"),
    [
        ("web/v2/v1", "nested-major"),
        ("web/v1/schema/other/v1", "nested-major"),
        ("my web/v1", "template-name"),
        ("-web/v1", "template-name"),
        (f"{'w' * 101}/v1", "template-name"),
        ("caf\udce9/web/v1", "folder-name-encoding"),
        ("v1", "version-without-template"),
        ("web", "bundle-without-version"),
    ],
)
def test_a_bundle_in_a_wrong_place_is_reported_and_not_registered(path: str, slug: str) -> None:
    layout = Layout(tree({"web/v1": "a", "fine/v1": "b", path: "c"} if slug == "nested-major" else {path: "c"}))
    assert path not in layout.accepted.values()
    found = layout.findings()
    assert [finding.slug for finding in found] == [slug]
    assert found[0].cure
    found[0].path.encode()


def test_a_repository_that_is_one_bundle_is_reported() -> None:
    layout = Layout({"schema": "a", "infrastructure": "b"})
    assert slugs(layout) == [("bundle-without-version", ".")]


def test_a_schema_folder_alone_is_no_bundle_outside_of_a_version_folder() -> None:
    assert Layout({"database": "a", "database/schema": "b", "infrastructure": "c"}).findings() == ()


def test_a_name_of_another_source_is_reported_and_not_registered() -> None:
    layout = Layout(tree({"web/v1": "a"}), foreign={"web": "platform"})
    assert paths(layout) == {}
    assert slugs(layout) == [("template-of-another-source", "web/v1")]


def test_majors_of_two_kinds_are_reported() -> None:
    layout = Layout(tree({"web/v1": "a:infrastructure", "web/v2": "b:instance_infrastructure"}))
    assert slugs(layout) == [("majors-of-two-kinds", "web")]


# ------------------------------------------------------------------------------------------------- moves


def test_a_known_folder_stays_a_version_folder_when_it_lost_its_content() -> None:
    layout = Layout(tree({"web/v1": "a"}))
    before = layout.folders["web/v1"]
    emptied = tree({"web/v1": "b:none"})
    assert layout.follow(compare(layout.folders, emptied)) == (Move(key("web"), "web/v1", before, emptied["web/v1"]),)
    assert paths(layout) == {"web 1": "web/v1"}


def test_a_known_folder_that_returns_is_a_version_folder_whatever_it_holds() -> None:
    layout = Layout(tree({"web/v1": "a"}))
    before = layout.folders["web/v1"]
    assert layout.follow(compare(layout.folders, {})) == (Move(key("web"), "web/v1", before, None),)
    returned = tree({"web/v1": "readme:none"})
    assert layout.follow(compare({}, returned)) == (Move(key("web"), "web/v1", None, returned["web/v1"]),)


def test_a_folder_that_moves_as_it_is_keeps_its_content() -> None:
    layout = Layout(tree({"old/web/v1": "a"}))
    same = layout.folders["old/web/v1"]
    (move,) = layout.follow(
        [
            FolderChange("old/web/v1", same, None),
            FolderChange("old/web/v1/schema", "s", None),
            FolderChange("new/web/v1", None, same),
            FolderChange("new/web/v1/schema", None, "s"),
        ]
    )
    assert move == Move(key("web"), "new/web/v1", same, same)


def test_a_source_of_ten_thousand_templates_is_laid_out_in_moments() -> None:
    places = [f"group/t{number}" for number in range(10_000)]
    folders = {f"{place}{below}": "1" for place in places for below in ("", "/v1", "/v1/schema")}
    before = process_time()
    layout = Layout(folders)
    layout.follow(FolderChange(f"{place}/v2{below}", None, "2") for place in places for below in ("", "/schema"))
    assert len(layout.accepted) == 20_000
    assert process_time() - before < 4


def test_only_folders_that_come_or_go_and_are_named_so_are_structural() -> None:
    assert structural(FolderChange("web/v1", None, "a"))
    assert structural(FolderChange("web/v1/schema", "a", None))
    assert not structural(FolderChange("web/v1/schema", "a", "b"))
    assert not structural(FolderChange("web/docs", None, "a"))


def test_folding_keeps_what_changed_as_a_whole() -> None:
    first, second = a_commit("one"), a_commit("two")
    folded = fold(
        [
            Step(first, (FolderChange("a", "1", "2"), FolderChange("b", None, "1"), FolderChange("c", "1", "2"))),
            Step(second, (FolderChange("a", "2", "3"), FolderChange("b", "1", None), FolderChange("c", "2", "1"))),
        ]
    )
    assert folded == Step(second, (FolderChange("a", "1", "3"),))
    assert fold([]) is None


# --------------------------------------------------------------------------------------------------- laws

_PLACES = [
    "web/v1", "web/v2", "web/1", "new/web/v1", "net/v1", "net/v2/v1", "net/v2", "net/v1/schema/web/v1", "plain",
]  # fmt: skip
_CONTENTS = ["a", "b", "a:schema", "b:none", "c:instance_infrastructure"]

trees = st.dictionaries(st.sampled_from(_PLACES), st.sampled_from(_CONTENTS), max_size=5)
histories = st.lists(trees, min_size=1, max_size=10)


@dataclass
class Registry:
    """What a sync keeps between two pushes: paths and numbers."""

    known: dict[MajorKey, str] = field(default_factory=dict)
    holders: dict[str, str] = field(default_factory=dict)
    minors: dict[MajorKey, int] = field(default_factory=dict)
    versions: list[tuple[str, int, int, str]] = field(default_factory=list)
    findings: tuple[Finding, ...] = ()

    def sync(self, at: Folders, pushed: Sequence[Folders]) -> None:
        layout = Layout(dict(at), dict(self.known), dict(self.holders))
        for number, after in enumerate(pushed):
            for move in layout.follow(compare(layout.folders, after)):
                self.register(move)
            assert layout.folders == after, number
        self.findings = layout.findings()

    def register(self, move: Move) -> None:
        if move.after is None:
            return
        self.known[move.key] = move.path
        self.holders[move.key.template] = move.path.rpartition("/")[0]
        if move.before != move.after:
            minor = self.minors.get(move.key, 0)
            self.minors[move.key] = minor + 1
            self.versions.append((move.key.template, move.key.major, minor, move.after))


@given(histories, st.data())
def test_numbers_do_not_depend_on_how_commits_are_pushed(history: list[dict[str, str]], data: st.DataObject) -> None:
    states = [tree(bundles) for bundles in history]
    whole, split = Registry(), Registry()
    whole.sync({}, states)
    cuts = sorted(data.draw(st.sets(st.integers(0, len(states)))) | {0, len(states)})
    for start, end in pairwise(cuts):
        split.sync(states[start - 1] if start else {}, states[start:end])
    assert split == whole


@given(histories)
@example([{"new/web/v1": "a"}, {"web/v2": "a"}, {"web/v1": "a", "web/v2": "a", "new/web/v1": "b:none"}])
def test_following_commits_ends_where_reading_the_last_one_begins(history: list[dict[str, str]]) -> None:
    layout = Layout({})
    for bundles in history:
        layout.follow(compare(layout.folders, tree(bundles)))
    fresh = Layout(dict(layout.folders), dict(layout.known), dict(layout.holders))
    assert fresh.accepted == layout.accepted
    assert fresh.findings() == layout.findings()


@given(st.lists(st.sampled_from(["a", "b", "c", None]), min_size=1, max_size=12))
def test_each_commit_that_changes_a_folder_makes_the_next_minor(contents: list[str | None]) -> None:
    registry = Registry()
    registry.sync({}, [tree({"web/v1": content} if content else {}) for content in contents])
    expected = [after for before, after in zip([None, *contents], contents, strict=False) if after and after != before]
    assert [(minor, found) for _, _, minor, found in registry.versions] == [
        (number, tree({"web/v1": content})["web/v1"]) for number, content in enumerate(expected)
    ]


@given(trees, trees)
def test_a_commit_that_changes_no_structure_moves_only_folders_it_changed(
    before: dict[str, str], after: dict[str, str]
) -> None:
    layout = Layout(tree(before))
    changes = compare(layout.folders, tree(after))
    moves = layout.follow(changes)
    if not any(structural(change) for change in changes):
        accepted = {path: key for key, path in layout.accepted.items()}
        assert moves == tuple(
            sorted(
                (Move(accepted[c.path], c.path, c.before, c.after) for c in changes if c.path in accepted),
                key=lambda move: move.key,
            )
        )
        assert all(version_folder(move.path) is not None for move in moves)
