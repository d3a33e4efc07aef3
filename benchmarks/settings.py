"""The product's own settings, with a carrier that answers at once: what is measured is ours."""

from __future__ import annotations

from xuka.project.settings import *  # noqa: F403

CARRIERS = {"airalo": {"connector": "benchmarks.carrier.Instant"}}

WEBHOOK_SECRET = "whsec_a_secret_for_measurements_only"
PROVIDERS = {
    "stripe": {
        "connector": "xuka.connectors.payments.stripe.connector.Stripe",
        "base_url": "http://127.0.0.1:9",  # nobody: no webhook is digested while it is measured
        "key": "sk_test_for_measurements_only",
        "webhook_secret": WEBHOOK_SECRET,
    }
}
