"""How many cards' lives are simulated in a second of one core: ten periods bought early, for each mode and unit.

    .venv/bin/python -m benchmarks.policies

Beside it stands what bounds it: the ends of the same ten periods, counted one after the other and nothing more.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from xuka.catalogue.rules import Policy, period_of, policy_of
from xuka.renewals.simulator import Action, simulate

PERIODS = 10
BEGIN = datetime(2027, 1, 31, 10, tzinfo=UTC)
QUOTA = {
    "window": "period",
    "tiers": [{"after_bytes": 10**9, "kbps": 0}],
    "peak": None,
    "hotspot": {"allowed": True},
    "abroad": {"allowed": False},
}


def policy(mode: str, unit: str) -> Policy:
    """A plan of one such unit in Brussels."""
    return policy_of(
        {
            "period": {"length": 1, "unit": unit, "zone": "Europe/Brussels", "starts": "activation"},
            "quota": {"data": QUOTA},
            "renewal": {"mode": mode, "max_ahead_days": 3660},
        }
    )


def rate(work: Callable[[int], None], rounds: int = 300) -> float:
    """How often a second of this core, the best of three; every round is another card, at another moment."""
    best = 0.0
    for again in range(3):
        begin = time.process_time()
        for number in range(again * rounds, (again + 1) * rounds):
            work(number)
        best = max(best, rounds / (time.process_time() - begin))
    return best


def main() -> None:
    """Print one line for each mode and unit."""
    for mode in ("add", "queue", "replace", "longest", "independent"):
        for unit in ("rolling_day", "calendar_day", "month"):
            terms = policy(mode, unit)

            def live(number: int, terms: Policy = terms) -> None:
                begin = BEGIN + timedelta(seconds=number)
                actions = [Action(begin + timedelta(hours=n)) for n in range(PERIODS)]
                simulate(terms, actions, until=begin + timedelta(days=400))

            def count(number: int, terms: Policy = terms) -> None:
                at = BEGIN + timedelta(seconds=number)
                for _ in range(PERIODS):
                    at = period_of(terms.period, at).ends_at

            lives, counts = rate(live), rate(count)
            print(f"{mode:12} {unit:13} {lives:>7,.0f} /s   ends alone {counts:>7,.0f} /s   {lives / counts:.0%}")


if __name__ == "__main__":
    main()
