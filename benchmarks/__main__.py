"""``make bench``: what is measured, each beside its physical limit, as medians of interleaved runs.

What runs where, and how to read the table: docs/reference/figures.md.
"""

from __future__ import annotations

import argparse
import sys
import time

from benchmarks import house, pgbench, table


def main() -> None:
    """Measure everything and print one table; misses are told, never hidden, and do not fail."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few short runs, to try it")
    quick = parser.parse_args().quick
    try:
        pgbench.program()
    except pgbench.Missing as error:
        sys.exit(str(error))
    began = time.monotonic()
    with house.built() as url:
        from benchmarks import measures

        print("Measuring on a database of its own; this takes", "half a minute" if quick else "two minutes", "…")
        rows = measures.all_of(url, rounds=3 if quick else 7, each=10 if quick else 30)
    print(table.printed(rows))
    print(f"\n{time.monotonic() - began:.0f} s in all.")


if __name__ == "__main__":
    main()
