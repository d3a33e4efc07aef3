"""Amounts of data, in bytes. The field's gigabyte is 10**9 bytes."""

from __future__ import annotations

from dataclasses import dataclass

GIGABYTE = 1_000_000_000
MEGABYTE = 1_000_000


@dataclass(frozen=True, slots=True, order=True)
class DataVolume:
    """A volume of data in whole bytes."""

    bytes: int

    def __post_init__(self) -> None:
        assert isinstance(self.bytes, int), "volumes are whole bytes"
        assert self.bytes >= 0, "volumes are whole bytes"
