"""The one place where the clock is read. Everything below is handed ``now``."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from django.conf import settings


def _offset_file() -> Path:
    return settings.VAR / "clock-offset"


def offset() -> timedelta:
    """How far the demo's clock was pushed forward; zero outside the demo."""
    if not settings.DEMO:
        return timedelta()
    try:
        return timedelta(seconds=int(_offset_file().read_text() or 0))
    except FileNotFoundError:
        return timedelta()


def now() -> datetime:
    """The time in aware UTC, moved by the demo's offset."""
    return datetime.now(UTC) + offset()


def push(by: timedelta) -> None:
    """Move the demo's clock forward by a positive length; refused outside the demo."""
    assert settings.DEMO, "only the demo's clock can be moved"
    assert by > timedelta(), "the clock only moves forward"
    _offset_file().write_text(str(int((offset() + by).total_seconds())))
