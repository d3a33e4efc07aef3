"""What the stand-in sells: the demo's packages and the carrier's own magic ids."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Package:
    """One package. Prices are in US cents; ``price`` is what shops charge at least, ``net`` what the seller pays.

    Args:
        stock: how many are left; None for as many as anybody wants.
        fails: the carrier's error code that every purchase of it ends with (the documented magic ids).
        known: False once the carrier has taken it off the list.
    """

    id: str
    operator: str
    days: int
    megabytes: int
    unlimited: bool
    price: int
    net: int
    stock: int | None = None
    fails: int | None = None
    known: bool = True

    @property
    def is_topup(self) -> bool:
        return self.id.endswith("-topup")

    @property
    def data(self) -> str:
        return "Unlimited" if self.unlimited else f"{self.megabytes // 1024} GB"

    @property
    def title(self) -> str:
        return f"{self.data} - {self.days} Days"


# (operator, days, megabytes or 0 for unlimited, price in cents, net in cents)
_SOLD = (
    ("belsim", 7, 0, 950, 700),
    ("belsim", 30, 0, 2300, 1700),
    ("nihonsim", 7, 0, 1150, 850),
    ("nihonsim", 30, 0, 2850, 2100),
    ("nihonsim", 30, 20 * 1024, 2200, 1600),
    ("belsim-lite", 1, 1024, 190, 140),
    ("belsim-lite", 7, 0, 650, 490),
    ("belsim", 7, 5 * 1024, 480, 360),
    ("belsim", 15, 10 * 1024, 920, 690),
    ("belsim", 365, 120 * 1024, 13_000, 9800),
    ("belsim-talk", 15, 20 * 1024, 1550, 1150),
    ("belsim-talk", 30, 30 * 1024, 1850, 1390),
    ("belsim-talk", 30, 0, 2730, 2050),
    ("belsim-talk", 31, 0, 3200, 2400),
    ("nihonsim-lite", 1, 1024, 210, 160),
    ("nihonsim-lite", 7, 0, 750, 560),
    ("nihonsim", 7, 5 * 1024, 560, 420),
    ("nihonsim", 15, 10 * 1024, 1050, 790),
    ("nihonsim", 15, 0, 1800, 1350),
    ("nihonsim", 365, 60 * 1024, 12_800, 9600),
    ("nihonsim-talk", 30, 20 * 1024, 2070, 1550),
    ("nihonsim-talk", 31, 0, 2470, 1850),
    ("formosim", 7, 0, 990, 740),
    ("formosim", 31, 0, 1900, 1420),
)

# The carrier's documented ids that always fail, and the error code each one ends with.
MAGIC = {
    "test-insufficient-balance-7days-1gb": 11,
    "test-maintenance-mode-7days-1gb": 13,
    "test-disabled-top-up-7days-1gb": 23,
    "test-not-enough-7days-1gb": 33,
    "test-out-of-stock-7days-1gb": 34,
}


def packages_on_sale() -> dict[str, Package]:
    """A fresh copy of everything on sale by id; each package as a first purchase and as a ``-topup``."""
    found: dict[str, Package] = {}
    for operator, days, megabytes, price, net in _SOLD:
        volume = f"{megabytes // 1024}gb" if megabytes else "unlimited"
        base = f"{operator}-{days}days-{volume}"
        for id in (base, f"{base}-topup"):
            found[id] = Package(id, operator, days, megabytes, not megabytes, price, net)
    for base, code in MAGIC.items():
        for id in (base, f"{base}-topup"):
            found[id] = Package(id, "test", 7, 1024, False, 450, 360, fails=code)
    return found
