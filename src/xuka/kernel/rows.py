"""Rows as PostgreSQL's COPY reads them: the quickest way in for thousands. Pure."""

from __future__ import annotations

# What stands for no value.
NULL = "\\N"


def escaped(text: str) -> str:
    """Any text as it stands between two tabs; what cannot hold a backslash, a tab or a line's end needs it not."""
    text = text.replace("\\", "\\\\").replace("\n", "\\n")
    return text.replace("\t", "\\t").replace("\r", "\\r")
