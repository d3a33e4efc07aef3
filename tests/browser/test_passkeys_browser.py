"""A customer with a passkey, in a real browser with a device that is none."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from tests.browser.town import CHROMIUM, PHONE, Town, Watched, code_in_the_mail

pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(not os.path.exists(CHROMIUM), reason="Chromium is not installed"),
]

DEVICE = {
    "protocol": "ctap2",
    "transport": "internal",
    "hasResidentKey": True,
    "hasUserVerification": True,
    "isUserVerified": True,
    "automaticPresenceSimulation": True,
}


def test_a_passkey_is_added_once_and_then_signs_in_without_a_code(
    town: Town, worker: None, open_page: Callable[..., Watched]
) -> None:
    watched = open_page(language="en-GB", size=PHONE)
    watched.address = watched.address.replace("127.0.0.1", "localhost")  # browsers give passkeys to names only
    page, email = watched.page, town.shop.people["emma"].email
    devtools = page.context.new_cdp_session(page)
    devtools.send("WebAuthn.enable")
    devtools.send("WebAuthn.addVirtualAuthenticator", {"options": DEVICE})
    watched.go("/account/login/code/")
    page.fill("input[type=email]", email)
    page.get_by_role("button", name="Send me a code").click()
    page.fill("input[name=code]", code_in_the_mail(town, email))
    page.get_by_role("button", name="Continue", exact=True).click()
    expect(page.get_by_role("link", name="Account", exact=True)).to_be_visible()

    watched.go("/account/settings/")
    page.get_by_role("link", name="Passkeys").click()
    watched.check()
    page.get_by_role("link", name="Add a passkey").click()
    watched.check()
    page.fill("input[name=name]", "My phone")
    page.get_by_role("button", name="Add this device").click()
    expect(page.get_by_text("The passkey is added.")).to_be_visible()
    expect(page.get_by_text("My phone")).to_be_visible()
    watched.check()

    letters = len(town.inbox.mails)
    watched.go("/account/settings/")
    page.get_by_role("button", name="Sign out", exact=True).click()
    watched.go("/account/login/code/")
    watched.check()
    page.get_by_role("button", name="Sign in with a passkey").click()
    expect(page.get_by_role("link", name="Account", exact=True)).to_be_visible()
    assert page.url == f"{watched.address}/"
    assert len(town.inbox.mails) == letters, "no code was asked for"
