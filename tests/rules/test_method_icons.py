"""The drawing beside each way to pay: what one holds in one's hand for it."""

from __future__ import annotations

import pytest

from xuka.interfaces.templatetags.xuka import ICONS, way_icon


@pytest.mark.parametrize(
    ("method", "drawing"),
    [
        ("wallet", "wallet"),
        ("card", "bank_card"),
        ("bancontact", "bank_card"),
        ("alipay", "scan"),
        ("wechat_pay", "scan"),
        ("paypay", "scan"),
        ("line_pay", "scan"),
        ("paypal", "person"),
        ("konbini", "till"),
        ("a_new_one", "bank_card"),
    ],
)
def test_a_way_to_pay_is_recognised_before_it_is_read(method: str, drawing: str) -> None:
    assert way_icon(method) == drawing
    assert ICONS[drawing]
