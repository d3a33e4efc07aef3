"""The shop on a phone's home screen and without a network, in a real browser; and every part of the design."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from tests.browser.town import CHROMIUM, DESK, Watched

pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(not os.path.exists(CHROMIUM), reason="Chromium is not installed"),
]


@pytest.mark.urls("tests.journeys.web_demo_urls")
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_part_of_the_design_can_be_read_light_and_dark(open_page: Callable[..., Watched], scheme: str) -> None:
    watched = open_page(language="en-GB", size=DESK, scheme=scheme)
    watched.go("/demo/look")
    watched.check()
    grounds = watched.page.eval_on_selector_all(
        ".side", "sides => sides.map(side => getComputedStyle(side).backgroundColor)"
    )
    assert grounds == ["rgb(245, 244, 239)", "rgb(15, 20, 24)"]
