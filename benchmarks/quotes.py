"""What a quote costs behind ten periods that wait: the CPU time of this process, and how often the database is asked.

    .venv/bin/python -m benchmarks.quotes

Beside it stands what bounds it: the same number of the smallest queries through the same layers.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median

from benchmarks import house

PERIODS = 10
TARGET_MS = 5.0
MOST_QUERIES = 6


def cpu_ms(work: Callable[[], object], rounds: int = 60) -> float:
    """The median CPU time of this process, in milliseconds; what other processes do is not in it."""
    taken: list[float] = []
    for _ in range(rounds):
        begin = time.process_time()
        work()
        taken.append(time.process_time() - begin)
    return 1000 * median(taken)


def main() -> None:
    """Print one line."""
    with house.built():
        from benchmarks.shop import Shop
        from benchmarks.statements import recorded
        from xuka.accounts.models import User
        from xuka.interfaces import clock
        from xuka.kernel import ids
        from xuka.lines import operations as lines
        from xuka.renewals import operations as renewals

        shop, now = Shop(), clock.now()
        card = shop.card()
        for _ in range(PERIODS):
            lines.open_period(
                line_id=card.line, order_id=ids.new(), ordinal=0, plan_version=shop.plan, activated_at=now,
                funded_at=now, carrier_ends_at=None, who="seller", now=now,
            )  # fmt: skip

        def quote() -> None:
            renewals.quote(line_id=card.line, plan_version_id=shop.plan.id, customer=card.customer, now=clock.now())

        quote()
        sent = [one for one in recorded(quote) if one.split()[0] not in {"BEGIN", "COMMIT"}]
        taken = cpu_ms(quote)
        floor = cpu_ms(lambda: [User.objects.filter(id=card.customer).exists() for _ in sent])
        told = f"{taken:.1f} ms of CPU (target {TARGET_MS:.0f}), {len(sent)} queries (at most {MOST_QUERIES})"
        beside = f"so many smallest queries {floor:.1f} ms   {taken / floor:.1f} x"
        print(f"a quote behind {PERIODS} periods: {told}   {beside}")


if __name__ == "__main__":
    main()
