"""The sandbox's clock: the machine's, moved forward by what a file says."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path


def clock(offset_file: Path | None) -> Callable[[], datetime]:
    """Aware UTC, moved forward by the whole seconds that the file holds; a missing or empty file means zero."""

    def now() -> datetime:
        try:
            seconds = int(offset_file.read_text().strip() or 0) if offset_file else 0
        except FileNotFoundError:
            seconds = 0
        return datetime.now(UTC) + timedelta(seconds=seconds)

    return now
