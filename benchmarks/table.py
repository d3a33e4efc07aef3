"""The table that is printed."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Row:
    """One figure: what, how much, beside which limit, the ratio to it, the target, and whether it is met."""

    what: str
    measured: str
    beside: str = ""
    ratio: str = ""
    target: str = ""
    is_met: bool | None = None


_HEAD = Row("what", "measured", "beside it", "ratio", "target")


def printed(rows: list[Row]) -> str:
    """The rows in columns."""
    cells = [[row.what, row.measured, row.beside, row.ratio, row.target] for row in (_HEAD, *rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    verdicts = ["", *({None: "", True: "met", False: "MISSED"}[row.is_met] for row in rows)]
    lines = [
        "  ".join([*(cell.ljust(width) for cell, width in zip(line, widths, strict=True)), verdict]).rstrip()
        for line, verdict in zip(cells, verdicts, strict=True)
    ]
    return "\n".join([lines[0], "  ".join("-" * width for width in widths), *lines[1:]])
