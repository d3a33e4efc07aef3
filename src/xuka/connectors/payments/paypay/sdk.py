"""PayPay's official SDK, imported in one place.

``paypayopa`` 1.0.9 imports ``pkg_resources``, which setuptools gave up in its version 82; it asks it for nothing but
its own version. So a stand-in is there while the SDK is imported, and only then.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec
from types import ModuleType
from typing import Any


def _imported() -> Any:
    if "paypayopa" in sys.modules or find_spec("pkg_resources"):
        import paypayopa

        return paypayopa
    absent: Any = ModuleType("pkg_resources")
    absent.DistributionNotFound = LookupError
    sys.modules["pkg_resources"] = absent
    try:
        import paypayopa

        return paypayopa
    finally:
        del sys.modules["pkg_resources"]


Client: Any = _imported().Client
