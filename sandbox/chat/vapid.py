"""What a push service checks of RFC 8292 before it takes a message."""

from __future__ import annotations

import json
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from sandbox.chat.world import from_base64url

DAY = 24 * 3600


class Refused(Exception):
    """The signature does not say who sends, or not to us, or not now."""


def checked(authorization: str, *, origins: set[str], now: float) -> tuple[str, dict[str, Any]]:
    """The sender's public key and his claims. Raises ``Refused``."""
    scheme, _, rest = authorization.partition(" ")
    parts = {name.strip(): value.strip() for name, _, value in (part.partition("=") for part in rest.split(","))}
    if scheme.lower() != "vapid" or not {"t", "k"} <= set(parts):
        raise Refused("no vapid")
    claims = _signed(parts["t"], parts["k"])
    if claims.get("aud") not in origins:
        raise Refused("for another push service")
    exp = claims.get("exp")
    if not isinstance(exp, int) or not now < exp <= now + DAY:
        raise Refused("not for now")
    if not str(claims.get("sub", "")).startswith(("mailto:", "https://")):
        raise Refused("no contact")
    return parts["k"], claims


def _signed(token: str, key: str) -> dict[str, Any]:
    try:
        head, body, signature = token.split(".")
        pair = from_base64url(signature)
        signer = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), from_base64url(key))
        seal = encode_dss_signature(int.from_bytes(pair[:32], "big"), int.from_bytes(pair[32:], "big"))
        signer.verify(seal, f"{head}.{body}".encode(), ec.ECDSA(SHA256()))
        named = json.loads(from_base64url(head)).get("alg")
        claims = json.loads(from_base64url(body))
    except (ValueError, InvalidSignature, AttributeError) as error:
        raise Refused("not signed") from error
    if named != "ES256" or len(pair) != 64 or not isinstance(claims, dict):
        raise Refused("not ES256")
    return claims
