"""Roaming like at home: how much data a plan of the EU must let its user have in the other countries. Pure."""

from __future__ import annotations

from decimal import ROUND_DOWN, ROUND_HALF_UP, Decimal

from xuka.kernel.money import Money, tax_inside

# Regulation (EU) 2022/612, art. 11 (1): the most that networks may charge each other for a GB, by year, without VAT.
# It applies until 30 June 2032.
CAP_CENTS_PER_GB = {
    2022: 200, 2023: 180, 2024: 155, 2025: 130, 2026: 110,
    2027: 100, 2028: 100, 2029: 100, 2030: 100, 2031: 100, 2032: 100,
}  # fmt: skip
HUNDREDTH_OF_A_GB = 10_000_000


def fair_use_bytes(*, price: Money, tax_basis_points: int, year: int) -> int | None:
    """The least volume that an open data bundle gives in other EU countries, in bytes, down to a hundredth of a GB.

    Twice the price without VAT, divided by the year's wholesale cap: Implementing Regulation (EU) 2016/2286, art. 4
    (2); the caps are those of Regulation (EU) 2022/612, art. 11. EUR 20.00 with 21 % inside, in 2026: 30.05 GB.

    Args:
        price: of one period, VAT inside, in euros.

    Returns:
        None in a year without a cap, or for a price that is not in euros.
    """
    cap = CAP_CENTS_PER_GB.get(year)
    if cap is None or price.currency != "EUR":
        return None
    net = price.minor - tax_inside(price, tax_basis_points).minor
    gigabytes = (Decimal(2 * net) / cap).quantize(Decimal("0.01"), rounding=ROUND_DOWN)
    return int(gigabytes * 100) * HUNDREDTH_OF_A_GB


def is_open_bundle(*, volume_bytes: int | None, price: Money, tax_basis_points: int, year: int) -> bool:
    """Whether this is an open data bundle: unlimited, or cheaper for a GB than the wholesale cap.

    Implementing Regulation (EU) 2016/2286, art. 2 (2) (c).

    Args:
        volume_bytes: of one period; None is unlimited.
    """
    cap = CAP_CENTS_PER_GB.get(year)
    if cap is None or volume_bytes is None:
        return volume_bytes is None
    net = price.minor - tax_inside(price, tax_basis_points).minor
    per_gb = Decimal(net) * 10**9 / volume_bytes
    return per_gb.quantize(Decimal("0.01"), rounding=ROUND_HALF_UP) < cap
