"""What several journeys begin with."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.contracts.stands import Stand
    from tests.journeys.payment_world import Till
    from tests.journeys.renewal_world import Trade


@pytest.fixture
def trade(transactional_db: None, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Trade]:
    """A shop at work: see ``renewal_world``."""
    from tests.journeys import renewal_world  # models can be imported once Django is set up

    with renewal_world.at_work(settings, monkeypatch) as trade:
        yield trade


@pytest.fixture
def till(transactional_db: None, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Till]:
    """A shop at work that takes cards: see ``payment_world``."""
    from tests.journeys import payment_world

    with payment_world.with_a_till(settings, monkeypatch) as till:
        yield till


@pytest.fixture
def stands(transactional_db: None, settings: Any) -> Iterator[dict[str, Stand]]:
    """A shop that uses every payment connector there is: see ``provider_world``."""
    from tests.journeys import provider_world

    with provider_world.every_provider(settings) as stands:
        yield stands
