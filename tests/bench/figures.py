"""Figures: what a run has measured, as values. A claim is a ratio to something measured in the same rounds."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from statistics import median
from typing import Any


@dataclass(frozen=True, slots=True)
class Size:
    """How much is measured. `rounds` of each comparison, never fewer than five but for trying the bench itself."""

    name: str
    rounds: int
    seconds: float
    templates: tuple[int, ...]
    sources: tuple[int, ...]
    resources: tuple[int, ...]
    commits: int
    rendered: int
    deployments: int
    idle_for: float


SIZES = {
    size.name: size
    for size in (
        Size("tiny", 2, 0.5, (10, 100), (1, 20), (1000, 4000), 100, 100, 10, 3.0),
        Size("usual", 5, 2.0, (10, 100, 1000), (1, 10, 100, 1000), (1000, 10_000, 100_000), 2000, 1000, 100, 20.0),
        Size(
            "full",
            7,
            4.0,
            (10, 100, 1000, 10_000),
            (1, 10, 100, 1000),
            (1000, 10_000, 100_000, 1_000_000),
            2000,
            1000,
            100,
            60.0,
        ),
    )
}


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table. `bound` is what `ratio` must keep to, or `ours` where there is no floor; a row without one
    only tells. `missing` says why there is no figure."""

    part: str
    what: str
    unit: str = ""
    ours: float | None = None
    floor: float | None = None
    against: str = ""
    ratio: float | None = None
    bound: float | None = None
    least: bool = False
    missing: str = ""

    @property
    def met(self) -> bool | None:
        """Whether the goal is reached; None when there is none, or no figure."""
        measured = self.ours if self.ratio is None else self.ratio
        if self.bound is None or measured is None:
            return None
        return measured >= self.bound if self.least else measured <= self.bound


@dataclass(frozen=True, slots=True)
class Curve:
    """How something grows: for each series, its figure at each of `at`."""

    name: str
    title: str
    along: str
    unit: str
    at: tuple[float, ...]
    series: Mapping[str, Sequence[float | None]]


@dataclass(slots=True)
class Report:
    """What one part has found so far. `say` tells whoever waits what is being done."""

    part: str
    say: Callable[[str], None] = lambda text: None
    rows: list[Row] = field(default_factory=list)
    curves: list[Curve] = field(default_factory=list)

    def compare(
        self,
        what: str,
        unit: str,
        ours: Sequence[float],
        floor: Sequence[float],
        against: str,
        *,
        at_most: float | None = None,
        at_least: float | None = None,
    ) -> None:
        """A figure beside its floor, round by round: the ratio is the median of the rounds' own ratios."""
        ratio = median(one / other for one, other in zip(ours, floor, strict=True))
        self.add(what, unit, median(ours), median(floor), against, ratio, at_most=at_most, at_least=at_least)

    def add(
        self,
        what: str,
        unit: str,
        ours: float | None,
        floor: float | None = None,
        against: str = "",
        ratio: float | None = None,
        *,
        at_most: float | None = None,
        at_least: float | None = None,
    ) -> None:
        """A figure that stands for itself, or a ratio that was reckoned elsewhere."""
        bound = at_least if at_most is None else at_most
        self.rows.append(
            Row(self.part, what, unit, ours, floor, against, ratio, bound, at_least is not None and at_most is None)
        )

    def missing(self, what: str, why: str) -> None:
        """Something that cannot be measured here."""
        self.rows.append(Row(self.part, what, missing=why))

    def draw(
        self,
        name: str,
        title: str,
        along: str,
        unit: str,
        at: Sequence[float],
        series: Mapping[str, Sequence[float | None]],
    ) -> None:
        """Keep a curve."""
        self.curves.append(Curve(name, title, along, unit, tuple(at), dict(series)))


def in_turns(rounds: int, kinds: Mapping[str, Callable[[], float]]) -> dict[str, list[float]]:
    """Measure each kind once a round, in another order every round, so that a noisy machine is noisy for all."""
    found: dict[str, list[float]] = {name: [] for name in kinds}
    names = list(kinds)
    for number in range(rounds):
        for name in names[number % len(names) :] + names[: number % len(names)]:
            found[name].append(kinds[name]())
    return found


def as_json(rows: Sequence[Row], curves: Sequence[Curve]) -> dict[str, Any]:
    """What JSON can hold of it."""
    return {"rows": [asdict(row) | {"met": row.met} for row in rows], "curves": [asdict(curve) for curve in curves]}


def from_json(kept: Mapping[str, Any]) -> tuple[list[Row], list[Curve]]:
    """The figures that `as_json` wrote."""
    rows = [Row(**{name: value for name, value in row.items() if name != "met"}) for row in kept["rows"]]
    return rows, [replace(Curve(**curve), at=tuple(curve["at"])) for curve in kept["curves"]]
