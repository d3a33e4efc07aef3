"""The use of each day as a drawing that the server makes: where every bar lies, and the same in words. Pure but for
the page's language.

Across, places are shares of the width, so that the drawing fits every screen; down, they are pixels, so that its words
keep the size of other words.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext, ngettext

from xuka.interfaces.web import formats
from xuka.kernel.volume import MEGABYTE
from xuka.metering.queries import Day

TOP, BOTTOM, HEIGHT = 24, 184, 208
# How much of a day's width its bar takes.
_BAR = 0.72
# A day with next to no use is still seen.
_LEAST = 2.0


@dataclass(frozen=True, slots=True)
class Bar:
    """One day in words, and its bar as SVG: use at home with use abroad on top, or hatched where it is unknown."""

    day: str
    says: str
    abroad_says: str
    hotspot_says: str
    home: str = ""
    abroad: str = ""
    unknown: str = ""


@dataclass(frozen=True, slots=True)
class Mark:
    """A word beside the drawing: along the bottom with its place across, or up the side with its place down."""

    says: str
    x: str = "0"
    y: float = 0
    anchor: str = "middle"


@dataclass(frozen=True, slots=True)
class Chart:
    """The drawing: ``home``, ``abroad`` and ``unknown`` are its bars; ``cap_y`` None has no line for a cap."""

    bars: tuple[Bar, ...]
    home: SafeString
    abroad: SafeString
    unknown: SafeString
    days: tuple[Mark, ...]
    lines: tuple[Mark, ...]
    title: str
    summary: str
    cap_y: float | None = None
    cap_says: str = ""
    has_abroad: bool = False
    has_hotspot: bool = False
    has_unknown: bool = False


def of(days: Sequence[Day], *, cap: int | None) -> Chart | None:
    """The drawing of these days, the oldest first; None where there are none.

    Args:
        cap: what may be used in a day at full speed, in bytes; None where the plan has no such cap.
    """
    if not days:
        return None
    step = _step(max([day.bytes for day in days if day.is_known] + [cap or 0, MEGABYTE]))
    most = step * 4
    bars = tuple(_bar(number, day, len(days), most) for number, day in enumerate(days))
    return Chart(
        bars=bars,
        home=mark_safe("".join(bar.home for bar in bars)),  # noqa: S308 - our own numbers
        abroad=mark_safe("".join(bar.abroad for bar in bars)),  # noqa: S308
        unknown=mark_safe("".join(bar.unknown for bar in bars)),  # noqa: S308
        days=_day_marks([day.day for day in days]),
        lines=tuple(Mark(formats.volume(step * n), y=_y(step * n, most)) for n in (2, 4)),
        title=ngettext("Use in the last %(count)d day", "Use in the last %(count)d days", len(days))
        % {"count": len(days)},
        summary=_summary(days),
        cap_y=None if cap is None else _y(cap, most),
        cap_says="" if cap is None else gettext("the day's cap: %(volume)s") % {"volume": formats.volume(cap)},
        has_abroad=any(day.abroad_bytes for day in days),
        has_hotspot=any(day.hotspot_bytes for day in days),
        has_unknown=not all(day.is_known for day in days),
    )


def _step(most: int) -> int:
    """A quarter of the height, as a round number, so that ``most`` lies below the top."""
    power = 10 ** (len(str(most)) - 2)
    return next(n * power for n in (1, 2, 3, 4, 5, 10, 20, 25, 30) if n * power * 4 >= most)


def _y(count: int, most: int) -> float:
    return round(BOTTOM - (BOTTOM - TOP) * count / most, 1)


def _bar(number: int, day: Day, count: int, most: int) -> Bar:
    wide = 100 / count
    x, width = f"{number * wide + wide * (1 - _BAR) / 2:.2f}", f"{wide * _BAR:.2f}"
    if not day.is_known:
        unknown = gettext("not known")
        return Bar(formats.month_day(day.day), unknown, unknown, unknown, unknown=_rect(x, width, TOP, BOTTOM - TOP))
    height = _height(day.bytes, most)
    abroad = round(height * day.abroad_bytes / day.bytes, 1) if day.bytes else 0.0
    return Bar(
        day=formats.month_day(day.day),
        says=formats.volume(day.bytes),
        abroad_says=formats.volume(day.abroad_bytes),
        hotspot_says=formats.volume(day.hotspot_bytes),
        home=_rect(x, width, BOTTOM - height + abroad, height - abroad),
        abroad=_rect(x, width, BOTTOM - height, abroad),
    )


def _rect(x: str, width: str, y: float, height: float) -> str:
    """Markup of a rectangle, written here since a page has thirty; "" where it has no height."""
    return f'<rect x="{x}%" y="{y:.1f}" width="{width}%" height="{height:.1f}"/>' if height > 0 else ""


def _height(count: int, most: int) -> float:
    return round(max(_LEAST, (BOTTOM - TOP) * count / most), 1) if count else 0.0


def _day_marks(days: Sequence[date]) -> tuple[Mark, ...]:
    """The last day, and every seventh before it."""
    wide, last = 100 / len(days), len(days) - 1
    marks = []
    for number in range(last % 7, last + 1, 7):
        anchor = "end" if number == last else "start" if number == 0 else "middle"
        place = {"end": 100.0, "start": 0.0, "middle": (number + 0.5) * wide}[anchor]
        marks.append(Mark(formats.short_day(days[number]), x=f"{place:.2f}%", anchor=anchor))
    return tuple(marks)


def _summary(days: Sequence[Day]) -> str:
    """The drawing in sentences, for whoever cannot see it."""
    known = [day for day in days if day.is_known]
    told = {"first": formats.calendar_day(days[0].day), "last": formats.calendar_day(days[-1].day)}
    said = [
        gettext("From %(first)s to %(last)s: %(volume)s in all.")
        % {**told, "volume": formats.volume(sum(day.bytes for day in known))}
    ]
    if most := max(known, key=lambda day: day.bytes, default=None):
        peak = {"day": formats.calendar_day(most.day), "volume": formats.volume(most.bytes)}
        said.append(gettext("Most on %(day)s: %(volume)s.") % peak)
    if abroad := sum(day.abroad_bytes for day in known):
        said.append(gettext("Abroad: %(volume)s of it.") % {"volume": formats.volume(abroad)})
    if missing := len(days) - len(known):
        says = ngettext("%(count)d day is not known.", "%(count)d days are not known.", missing)
        said.append(says % {"count": missing})
    return " ".join(said)
