"""The drawing of what is active when: it can be read by every program, and says the same in words in five languages."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from xml.etree import ElementTree

import pytest
from django.conf import settings

from xuka.interfaces.web.timeline import Lasting, Shown, timeline

NOW = datetime(2026, 1, 10, 9, tzinfo=UTC)
START = datetime(2026, 1, 1, 9, tzinfo=UTC)
LANGUAGES = [code for code, _ in settings.LANGUAGES]
SVG = "{http://www.w3.org/2000/svg}"


def days(count: int) -> timedelta:
    return timedelta(days=count)


PERIODS = [
    Shown("<b>First</b> & booked", START, NOW, would_have_ended_at=START + days(30), bought_at=START),
    Shown("Second", NOW, NOW + days(30), look="new", data=Lasting(NOW, NOW + days(31)), bought_at=NOW),
    Shown("Third", NOW + days(30), NOW + days(60), look="waits"),
]


def svg(html: str) -> ElementTree.Element:
    """The drawing, read as XML."""
    (found,) = re.findall(r"<svg class=\"tl-drawing\".*?</svg>", html, flags=re.DOTALL)
    return ElementTree.fromstring(found.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1))


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_drawing_is_well_formed_and_its_numbers_are_plain_in_every_language(language: str) -> None:
    html = timeline(PERIODS, NOW, "Europe/Brussels", language)
    drawing = svg(html)
    numbers = {"x", "y", "width", "height", "x1", "x2", "y1", "y2", "cx", "cy", "r", "rx"}
    told = [value for part in drawing.iter() for name, value in part.attrib.items() if name in numbers]
    assert len(told) > 40
    assert [value for value in told if not re.fullmatch(r"\d+(\.\d\d)?%?", value)] == []
    assert [value for value in told if value.endswith("%") and float(value[:-1]) > 100] == []
    # Nothing that the policy of the pages forbids, and nothing of what people write is markup.
    assert "style=" not in html
    assert "<script" not in html
    assert "<b>First" not in html
    assert html.count("<li><strong>") == 3


def test_a_period_lies_where_its_time_is_and_what_a_renewal_takes_is_drawn_as_lost() -> None:
    drawing = svg(timeline(PERIODS, NOW, "Europe/Brussels", "en"))
    bars = [(p.attrib["class"], p.attrib["x"], p.attrib["width"]) for p in drawing.iter(f"{SVG}rect")]
    # Sixty-nine days across: from 1 January to 11 March.
    assert bars == [
        ("tl-booked", "0.00%", "13.04%"),
        ("tl-lost", "13.04%", "30.43%"),
        ("tl-new", "13.04%", "43.48%"),
        ("tl-data", "13.04%", "44.93%"),
        ("tl-waits", "56.52%", "43.48%"),
    ]
    (line,) = [p for p in drawing.iter(f"{SVG}line") if p.attrib["class"] == "tl-now"]
    assert line.attrib["x1"] == "13.04%"


def test_the_words_say_what_the_drawing_shows() -> None:
    html = timeline(PERIODS, NOW, "Asia/Tokyo", "en", name="here")
    assert 'aria-describedby="here-words"' in html
    assert 'id="here-words"' in html
    words = re.sub(r"<[^>]+>", "", html)
    assert "1 January 2026, 18:00, valid through 10 January 2026, 18:00" in words
    assert "the rest, through 31 January 2026, 18:00, is lost" in words
    assert "its data: 10 January 2026, 18:00 to 10 February 2026, 18:00" in words


def test_nothing_is_drawn_of_nothing_and_an_hour_among_years_is_seen() -> None:
    assert timeline([], NOW, "UTC", "en") == ""
    hour = Shown("An hour", START, START + timedelta(hours=1))
    (short, _) = svg(timeline([hour, Shown("Years", START, START + days(3000))], NOW, "UTC", "en")).iter(f"{SVG}rect")
    assert short.attrib["width"] == "0.60%"
