"""The product's own settings, with a carrier that answers at once: what is measured is ours."""

from __future__ import annotations

from xuka.project.settings import *  # noqa: F403

CARRIERS = {"airalo": {"connector": "benchmarks.carrier.Instant"}}
