"""A house of its own for the measurements: a private folder, the embedded server as it comes, Django set up."""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from xuka.project import postgres


def peak_bytes() -> int:
    """The most memory that this process ever had resident.

    Not ``ru_maxrss``: that begins with what the parent had when the process was made.
    """
    told = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in told if line.startswith("VmHWM:")) * 1024


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def built() -> Iterator[str]:
    """Bring up a durable database in a temporary folder; yields its address.

    Nothing of xuka that needs settings may be imported before this block.
    """
    var = Path(tempfile.mkdtemp(prefix="xuka-bench-"))
    var.chmod(0o711)  # the server's account must be able to enter
    os.environ |= {
        "DJANGO_SETTINGS_MODULE": "benchmarks.settings",
        "XUKA_VAR": str(var),
        "XUKA_SECRET_KEY": "a key for measurements only",
        "XUKA_BENCH_PAYPAL": str(free_port()),
    }
    os.environ.pop("XUKA_DEMO", None)
    try:
        with postgres.running(var / "postgres") as url:
            os.environ["DATABASE_URL"] = url
            import django

            django.setup()
            yield url
    finally:
        shutil.rmtree(var, ignore_errors=True)
