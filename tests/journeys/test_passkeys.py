"""Passkeys on the pages: added, renamed and removed by their owner only; the device's part is tested in a browser."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from allauth.account.internal.flows.login import AUTHENTICATION_METHODS_SESSION_KEY
from allauth.mfa.models import Authenticator
from cryptography.hazmat.primitives.asymmetric import ec
from django.conf import settings
from django.core.cache import cache
from django.test import Client
from fido2.cose import ES256
from fido2.utils import sha256, websafe_encode
from fido2.webauthn import Aaguid, AttestationObject, AttestedCredentialData, AuthenticatorData

from xuka.accounts import operations as accounts
from xuka.accounts.models import User
from xuka.journal.queries import facts_about

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)


def credential() -> dict[str, Any]:
    """What a device once made for this shop; its key has signed nothing here."""
    key = ES256.from_cryptography_key(ec.generate_private_key(ec.SECP256R1()).public_key())
    made = AuthenticatorData.create(
        sha256(b"testserver"),
        AuthenticatorData.FLAG.UP | AuthenticatorData.FLAG.UV | AuthenticatorData.FLAG.AT,
        0,
        AttestedCredentialData.create(Aaguid.NONE, b"a credential id!", key),
    )
    id = websafe_encode(b"a credential id!")
    client_data = {"type": "webauthn.create", "challenge": "AAAA", "origin": "https://testserver"}
    response = {
        "clientDataJSON": websafe_encode(json.dumps(client_data).encode()),
        "attestationObject": websafe_encode(bytes(AttestationObject.create("none", made, {}))),
    }
    return {"id": id, "rawId": id, "type": "public-key", "response": response, "clientExtensionResults": {}}


@pytest.fixture(autouse=True)
def _no_limits_reached() -> None:
    cache.clear()


def person(email: str = "emma@example.com") -> User:
    return accounts.register_user(email=email, language="en", now=NOW)


def signed_in(user: User, *, ago: float | None = 0) -> Client:
    """Signed in with a code so many seconds ago."""
    client = Client()
    client.force_login(user, backend=settings.AUTHENTICATION_BACKENDS[0])
    if ago is not None:
        session = client.session
        session[AUTHENTICATION_METHODS_SESSION_KEY] = [{"method": "code", "at": time.time() - ago}]
        session["account_authentication_methods_user"] = str(user.pk)
        session.save()
    return client


def passkey(user: User, name: str = "Passkey 1") -> Authenticator:
    return Authenticator.objects.create(
        user=user, type=Authenticator.Type.WEBAUTHN, data={"name": name, "credential": credential()}
    )


def names(user: User) -> list[str]:
    return [str(one) for one in Authenticator.objects.filter(user=user).order_by("id")]


def whats(id: UUID) -> list[str]:
    return [fact.what for fact in facts_about(id)]


def challenge_of(client: Client) -> dict[str, Any]:
    answer = client.get("/account/passkeys/sign-in/", headers={"Accept": "application/json"})
    assert answer.status_code == 200
    return answer.json()["request_options"]["publicKey"]


def test_the_sign_in_pages_hold_a_hidden_passkey_button_and_no_inline_script() -> None:
    for path in ("/account/login/", "/account/login/code/"):
        page = Client().get(path).content.decode()
        assert 'data-passkey="sign-in" hidden' in page
        assert "Sign in with a passkey" in page
        assert "<script>" not in page


def test_the_account_leads_to_passkeys_and_there_are_none_at_first() -> None:
    client = signed_in(person())
    assert 'href="/account/passkeys/"' in client.get("/account/settings/").content.decode()
    assert "You have no passkey yet." in client.get("/account/passkeys/").content.decode()


def test_adding_a_passkey_asks_the_device_for_a_key_that_signs_in_by_itself() -> None:
    page = signed_in(person()).get("/account/passkeys/add/")
    asked = page.context["js_data"]["creation_options"]["publicKey"]
    assert asked["authenticatorSelection"]["residentKey"] == "required"
    assert asked["authenticatorSelection"]["userVerification"] == "required"
    assert (asked["rp"]["name"], asked["user"]["name"]) == (settings.SELLER_NAME, "emma@example.com")
    assert len(asked["challenge"]) >= 43


@pytest.mark.parametrize("rubbish", [None, "[]", "{}", '"x"', '{"id": "AA", "response": {"clientDataJSON": "e30"}}'])
def test_an_answer_to_another_challenge_or_to_none_adds_nothing(rubbish: str | None) -> None:
    user = person()
    client = signed_in(user)
    client.get("/account/passkeys/add/")
    answer = client.post("/account/passkeys/add/", {"name": "Phone", "credential": rubbish or json.dumps(credential())})
    assert answer.status_code == 422
    assert names(user) == []
    assert "user.passkey_added" not in whats(user.id)


def test_nobody_is_told_whether_someone_has_a_passkey() -> None:
    user = person()
    before = challenge_of(Client())
    passkey(user)
    after = challenge_of(Client())
    assert before["challenge"] != after["challenge"]
    assert not before.get("allowCredentials")
    assert not after.get("allowCredentials")
    assert (before["userVerification"], after["userVerification"]) == ("required", "required")


@pytest.mark.parametrize("asked_first", [True, False])
def test_signing_in_needs_a_signed_challenge(asked_first: bool) -> None:
    user = person()
    passkey(user)
    client = Client()
    if asked_first:
        challenge_of(client)
    told = {**credential(), "response": {"clientDataJSON": "e30", "authenticatorData": "AA", "signature": "AA"}}
    answer = client.post("/account/passkeys/sign-in/", {"credential": json.dumps(told)})
    assert (answer.status_code, answer["Location"]) == (302, "/account/login/")
    assert "_auth_user_id" not in client.session
    assert "This passkey was not accepted." in client.get("/account/login/").content.decode()


def test_signing_in_with_made_up_keys_has_a_limit() -> None:
    client = Client()
    told = [client.post("/account/passkeys/sign-in/", {"credential": "{}"}).status_code for _ in range(11)]
    assert told == [302] * 10 + [429]


def test_a_passkey_is_renamed_and_removed_by_its_owner_only() -> None:
    user, other = person(), person("li@example.com")
    key = passkey(user)
    for path in ("name", "remove"):
        assert signed_in(other).post(f"/account/passkeys/{key.pk}/{path}/", {"name": "Mine"}).status_code == 404
    client = signed_in(user)
    assert client.post(f"/account/passkeys/{key.pk}/name/", {"name": "Phone"})["Location"] == "/account/passkeys/"
    assert "Phone" in client.get("/account/passkeys/").content.decode()
    assert names(user) == ["Phone"]
    assert "can then no longer sign in here" in client.get(f"/account/passkeys/{key.pk}/remove/").content.decode()
    assert client.post(f"/account/passkeys/{key.pk}/remove/")["Location"] == "/account/passkeys/"
    assert names(user) == []
    assert whats(user.id) == ["user.registered", "user.passkey_removed"]


def test_who_signed_in_long_ago_proves_it_again_before_a_passkey_changes() -> None:
    user = person()
    key = passkey(user)
    client = signed_in(user, ago=301)
    answer = client.post(f"/account/passkeys/{key.pk}/remove/")
    assert answer["Location"].startswith("/account/passkeys/again/")
    assert "please use your passkey once more" in client.get("/account/passkeys/again/").content.decode()
    assert names(user) == ["Passkey 1"]


def test_passkeys_are_for_those_who_are_signed_in() -> None:
    for path in ("", "add/", "1/remove/", "1/name/"):
        answer = Client().get(f"/account/passkeys/{path}")
        assert (answer.status_code, "/account/login/" in answer["Location"]) == (302, True)
