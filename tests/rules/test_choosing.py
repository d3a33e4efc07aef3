"""In which order the ways to pay are offered."""

from __future__ import annotations

import pytest

from xuka.payments.choosing import ranked

BELGIAN = ["card", "paypal", "alipay", "wechat_pay", "bancontact"]
JAPANESE = ["card", "konbini", "paypay", "alipay"]
TAIWANESE = ["card", "line_pay"]


@pytest.mark.parametrize(
    ("offered", "how", "order"),
    [
        (BELGIAN, {"language": "zh-hans"}, ["alipay", "wechat_pay", "card", "paypal", "bancontact"]),
        (BELGIAN, {"language": "nl"}, ["bancontact", "card", "paypal", "alipay", "wechat_pay"]),
        (BELGIAN, {"language": "fr"}, ["bancontact", "card", "paypal", "alipay", "wechat_pay"]),
        (BELGIAN, {"language": "en"}, ["card", "paypal", "bancontact", "alipay", "wechat_pay"]),
        (JAPANESE, {"language": "ja"}, ["paypay", "card", "konbini", "alipay"]),
        (TAIWANESE, {"language": "zh-hant"}, ["line_pay", "card"]),
        # what was used last comes first, whatever the language
        (BELGIAN, {"language": "nl", "last_used": "paypal"}, ["paypal", "bancontact", "card", "alipay", "wechat_pay"]),
        (BELGIAN, {"language": "nl", "last_used": "gone"}, ["bancontact", "card", "paypal", "alipay", "wechat_pay"]),
        # inside WeChat its own way comes first, and Alipay, which does not open there, last
        (
            BELGIAN,
            {"language": "zh-hans", "inside": "wechat", "last_used": "alipay"},
            ["wechat_pay", "card", "paypal", "bancontact", "alipay"],
        ),
        (TAIWANESE, {"language": "en", "inside": "line"}, ["line_pay", "card"]),
        # one that nobody knows comes last, but is there
        (["new_pay", "card"], {"language": "ja"}, ["card", "new_pay"]),
        ([], {"language": "ja"}, []),
    ],
)
def test_the_likeliest_way_to_pay_comes_first(offered: list[str], how: dict[str, str], order: list[str]) -> None:
    assert ranked(offered, **how) == order
