"""Charts: drawn on the server as SVG that scales, with classes for colours and every number in a table beside it.

Colours are never alone: bars carry their numbers, areas a pattern and a name. Their pairs are told apart by people who
do not see red or green: https://jfly.uni-koeln.de/color/.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

from markupsafe import Markup, escape

from upkeep.domain.tallies import SPAN, Tally
from upkeep.flows.browse.trends import History, Share

WIDTH = 420
"""The width everything is drawn for; browsers scale it."""

_BAR, _GAP, _LABELS, _NUMBERS = 18, 7, 130, 62
_HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 200, 34, 8, 12, 44
_POINTS = 60
"""Moments of which a chart over time is made: what happened between two of them is told by the later one."""

_MARK_APART = 34
_LONGEST_LABEL = 19


@dataclass(frozen=True, slots=True)
class Chart:
    """A drawing, and what it shows as a table: its columns and rows."""

    title: str
    drawing: Markup
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def of_versions(shares: Sequence[Share], template: str) -> Chart:
    """How many resources run each version, as bars."""
    bars = [
        (
            str(share.version or "others") + (" recommended" if share.recommended else ""),
            (("good" if share.recommended else "plain", share.resources),),
            f"{share.resources:,}",
        )
        for share in shares
    ]
    total = sum(share.resources for share in shares)
    title = f"Versions of {template} in use"
    told = f"{total:,} resources on {len(shares)} versions"
    rows = tuple(
        (str(share.version or "others"), "yes" if share.recommended else "", f"{share.resources:,}") for share in shares
    )
    return Chart(title, _bars("versions", title, told, bars), ("Version", "Recommended", "Resources"), rows)


def of_templates(tallies: Sequence[Tally]) -> Chart:
    """The templates with most resources behind, as bars of majors and minors."""
    bars = [
        (
            tally.template,
            (("major", tally.counters.behind_major), ("minor", tally.counters.behind_minor)),
            f"{tally.counters.behind:,} of {tally.counters.total:,}",
        )
        for tally in tallies
    ]
    title = "Templates with most behind, a minute ago"
    told = f"{len(tallies)} templates; each bar shows those behind a major, hatched, then those behind a minor"
    rows = tuple(
        (
            tally.template,
            f"{tally.counters.behind_major:,}",
            f"{tally.counters.behind_minor:,}",
            f"{tally.counters.total:,}",
        )
        for tally in tallies
    )
    columns = ("Template", "Behind, major", "Behind, minor", "Resources")
    return Chart(title, _bars("behind", title, told, bars), columns, rows)


@lru_cache(maxsize=64)
def over_time(history: History, of: str) -> Chart | None:
    """How many resources were behind after each publish; None before two spans are known, of which nothing can be drawn
    that is true."""
    if not history.tallies or history.until - history.since < 2 * SPAN:
        return None
    moments = tuple(_moments(history))
    title = f"Behind over time, {of}"
    last = history.tallies[-1].counters
    published: dict[datetime, list[str]] = {}
    for publish in history.publishes:
        at = next((moment for moment, _ in moments if moment >= publish.at), history.until)
        name = publish.version if publish.template == of else f"{publish.template} {publish.version}"
        published.setdefault(at, []).append(name)
    told = (
        f"From {history.since:%Y-%m-%d} to {history.until:%Y-%m-%d}. Now {last.behind_major:,} are behind a major and "
        f"{last.behind_minor:,} behind a minor version. Marks on the axis are publishes: {len(history.publishes)}."
    )
    rows = tuple(
        (
            f"{at:%Y-%m-%d %H:%M}",
            f"{tally.counters.behind_major:,}",
            f"{tally.counters.behind_minor:,}",
            f"{tally.counters.total:,}",
            ", ".join(published.get(at, ())),
        )
        for at, tally in moments
        if tally is not None
    )
    columns = ("Until (UTC)", "Behind, major", "Behind, minor", "Resources", "Published")
    return Chart(title, _areas("lag", title, told, history, moments), columns, tuple(_without_repeats(rows)))


def _moments(history: History) -> Iterator[tuple[datetime, Tally | None]]:
    """So many moments, evenly apart, each with the tally that stood at it."""
    step = (history.until - history.since) / _POINTS
    waiting = list(reversed(history.tallies))
    standing: Tally | None = None
    for number in range(_POINTS + 1):
        at = history.since + step * number
        while waiting and waiting[-1].at <= at:
            standing = waiting.pop()
        yield at, standing


def _without_repeats(rows: Sequence[tuple[str, ...]]) -> Iterator[tuple[str, ...]]:
    """Rows that say something new: numbers that changed or a publish, and the last."""
    before: tuple[str, ...] = ()
    for position, row in enumerate(rows):
        if row[1:4] != before or row[4] or position == len(rows) - 1:
            yield row
        before = row[1:4]


def _bars(name: str, title: str, told: str, bars: Sequence[tuple[str, Sequence[tuple[str, int]], str]]) -> Markup:
    most = max((sum(number for _, number in parts) for _, parts, _ in bars), default=0) or 1
    room = WIDTH - _LABELS - _NUMBERS
    drawn = []
    for position, (label, parts, said) in enumerate(bars):
        top = position * (_BAR + _GAP)
        middle = top + _BAR - 5
        left = float(_LABELS)
        short = label if len(label) <= _LONGEST_LABEL else label[: _LONGEST_LABEL - 1] + "…"
        drawn.append(f'<text class="label" x="{_LABELS - 8}" y="{middle}" text-anchor="end">{escape(short)}</text>')
        for kind, number in parts:
            width = room * number / most
            if number:
                shape = f'x="{left:.1f}" y="{top}" width="{max(width, 1):.1f}" height="{_BAR}"'
                drawn.append(f'<rect class="{kind}" {shape}/>')
                if kind == "major":
                    drawn.append(f'<rect fill="url(#{name}-hatch)" {shape}/>')
            left += width
        drawn.append(f'<text class="number" x="{left + 6:.1f}" y="{middle}">{escape(said)}</text>')
    return _svg(name, title, told, len(bars) * (_BAR + _GAP), "".join(drawn))


def _areas(
    name: str, title: str, told: str, history: History, moments: Sequence[tuple[datetime, Tally | None]]
) -> Markup:
    known = [(at, tally.counters) for at, tally in moments if tally is not None]
    most = _round_up(max(counters.behind for _, counters in known))
    span = (history.until - history.since).total_seconds()
    right, bottom = WIDTH - _RIGHT, _HEIGHT - _BOTTOM

    def x(at: datetime) -> float:
        return _LEFT + (right - _LEFT) * (at - history.since).total_seconds() / span

    def y(number: float) -> float:
        return bottom - (bottom - _TOP) * number / most

    def steps(numbers: Sequence[int]) -> str:
        # Each number holds from the moment before to its own.
        line = [f"M{x(known[0][0]):.1f} {bottom}V{y(numbers[0]):.1f}"]
        line += [f"H{x(at):.1f}V{y(number):.1f}" for (at, _), number in zip(known, numbers, strict=True)]
        return "".join(line) + f"V{bottom}Z"

    majors = steps([counters.behind_major for _, counters in known])
    both = steps([counters.behind for _, counters in known])
    drawn = [
        f'<path class="grid" d="M{_LEFT} {y(share):.1f}H{right}"/>'
        f'<text class="tick" x="{_LEFT - 5}" y="{y(share) + 4:.1f}" text-anchor="end">{share:,.0f}</text>'
        for share in ((0, most / 2, most) if most > 1 else (0, most))
    ]
    drawn.append(f'<path class="minor" d="{both}"/><path class="major" d="{majors}"/>')
    drawn.append(f'<path fill="url(#{name}-hatch)" d="{majors}"/>')
    drawn += _marks(history, x, bottom)
    drawn.append(
        f'<text class="tick" x="{_LEFT}" y="{_HEIGHT - 4}">{history.since:%d %b %Y}</text>'
        f'<text class="tick" x="{right}" y="{_HEIGHT - 4}" text-anchor="end">{history.until:%d %b %Y}</text>'
    )
    return _svg(name, title, told, _HEIGHT, "".join(drawn))


def _marks(history: History, x: Callable[[datetime], float], bottom: int) -> Iterator[str]:
    """A mark on the axis for each publish, and its version where there is room for it."""
    free = float(_LEFT)
    one = len({publish.template for publish in history.publishes}) == 1
    for publish in history.publishes:
        at = x(publish.at)
        hint = escape(f"{publish.template} {publish.version} was published on {publish.at:%Y-%m-%d %H:%M} UTC")
        yield f'<path class="mark" d="M{at:.1f} {bottom}l-4 8h8z"><title>{hint}</title></path>'
        if one and at - _MARK_APART / 2 >= free - 1 and at + _MARK_APART / 2 <= WIDTH:
            yield f'<text class="tick" x="{at:.1f}" y="{bottom + 20}" text-anchor="middle">{publish.version}</text>'
            free = at + _MARK_APART / 2


def _svg(name: str, title: str, told: str, height: int, drawn: str) -> Markup:
    """A drawing that says what it shows; `name` is unique on its page."""
    hatch = (
        f'<defs><pattern id="{name}-hatch" width="6" height="6" patternUnits="userSpaceOnUse" '
        'patternTransform="rotate(45)"><path class="hatch" d="M0 0V6"/></pattern></defs>'
    )
    return Markup(  # noqa: S704  (every text was escaped where it was put in)
        f'<svg class="chart" role="img" viewBox="0 0 {WIDTH} {height}" aria-labelledby="{name}-title {name}-told">'
        f'<title id="{name}-title">{escape(title)}</title><desc id="{name}-told">{escape(told)}</desc>'
        f"{hatch}{drawn}</svg>"
    )


def _round_up(number: int) -> int:
    """The end of an axis: the next 1, 2, 4, 6 or 10 of the same size."""
    size = int("1" + "0" * (len(str(max(number, 1))) - 1))
    return next(step * size for step in (1, 2, 4, 6, 10) if step * size >= number)
