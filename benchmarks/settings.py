"""The product's own settings, with a carrier that answers at once: what is measured is ours.

Of the payment providers those that post notices; nobody answers for them but PayPal, who is asked about each notice.
"""

from __future__ import annotations

import os
from pathlib import Path

from sandbox.wallets import alipay, paypal, wechat_pay
from sandbox.wallets.keys import kept
from xuka.project.settings import *  # noqa: F403

CARRIERS = {"airalo": {"connector": "benchmarks.carrier.Instant"}}

WEBHOOK_SECRET = "whsec_a_secret_for_measurements_only"
NOBODY = "http://127.0.0.1:9"  # no notice is digested while it is measured
KEYS = Path(os.environ["XUKA_VAR"]) / "keys"
PAYPAL = f"http://127.0.0.1:{os.environ['XUKA_BENCH_PAYPAL']}"
_CONNECTORS = "xuka.connectors.payments"
PROVIDERS = {
    "stripe": {
        "connector": f"{_CONNECTORS}.stripe.connector.Stripe",
        "base_url": NOBODY,
        "key": "sk_test_for_measurements_only",
        "webhook_secret": WEBHOOK_SECRET,
    },
    "paypal": {
        "connector": f"{_CONNECTORS}.paypal.connector.PayPal",
        "base_url": PAYPAL,
        "client_id": paypal.CLIENT,
        "client_secret": paypal.SECRET,
        "webhook_id": paypal.WEBHOOK,
    },
    "alipay": {
        "connector": f"{_CONNECTORS}.alipay.connector.Alipay",
        "base_url": f"{NOBODY}/gateway.do",
        "app_id": alipay.APP_ID,
        "seller_id": alipay.SELLER_ID,
        "private_key": kept(KEYS, "shop").private,
        "alipay_public_key": kept(KEYS, "alipay").public,
        "notify_url": "http://127.0.0.1/webhooks/alipay/",
    },
    "wechat_pay": {
        "connector": f"{_CONNECTORS}.wechat_pay.connector.WechatPay",
        "base_url": NOBODY,
        "app_id": wechat_pay.APP_ID,
        "merchant_id": wechat_pay.MERCHANT,
        "private_key": kept(KEYS, "shop").private,
        "certificate_serial": wechat_pay.SERIAL,
        "api_v3_key": wechat_pay.API_V3_KEY,
        "platform_key": kept(KEYS, "wechat_pay").public,
        "platform_key_id": wechat_pay.KEY_ID,
        "notify_url": "http://127.0.0.1/webhooks/wechat_pay/",
    },
}
