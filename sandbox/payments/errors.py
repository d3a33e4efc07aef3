"""How the provider says no: its error types, codes and words."""

from __future__ import annotations

from typing import Any


class Refusal(Exception):
    """An error answer.

    Attributes:
        kept: whether it is kept with the idempotency key. Whatever is refused before the work begins is not.
    """

    def __init__(self, status: int, *, kept: bool = False, headers: dict[str, str] | None = None, **error: Any) -> None:
        super().__init__(f"{status} {error.get('message')}")
        self.status, self.kept, self.headers = status, kept, headers or {}
        self.body = {"error": {name: value for name, value in error.items() if value is not None}}


def invalid(message: str, *, param: str | None = None, code: str | None = None, **more: Any) -> Refusal:
    """400 ``invalid_request_error``."""
    return Refusal(400, type="invalid_request_error", message=message, param=param, code=code, **more)


def missing(param: str) -> Refusal:
    """400: a required parameter was not sent."""
    return invalid(f"Missing required param: {param}.", param=param, code="parameter_missing")


def unknown(param: str) -> Refusal:
    """400: a parameter that does not exist."""
    return invalid(f"Received unknown parameter: {param}", param=param, code="parameter_unknown")


def not_found(noun: str, id: str, *, param: str = "id", status: int = 404) -> Refusal:
    """404 ``resource_missing``; 400 when it was named in another object's parameter."""
    return Refusal(
        status,
        type="invalid_request_error",
        code="resource_missing",
        message=f"No such {noun}: '{id}'",
        param=param,
    )


def bad_key(key: str) -> Refusal:
    """401."""
    message = (
        f"Invalid API Key provided: {key[:8]}****{key[12:][-4:]}"
        if key
        else "You did not provide an API key. You need to provide your API key in the Authorization header, using "
        "Bearer auth (e.g. 'Authorization: Bearer YOUR_SECRET_KEY')."
    )
    return Refusal(401, type="invalid_request_error", message=message)


def too_many() -> Refusal:
    """429."""
    return Refusal(
        429,
        headers={"Stripe-Rate-Limited-Reason": "global-rate"},
        type="invalid_request_error",
        code="rate_limit",
        message="Request rate limit exceeded.",
    )


def other_content(key: str, first: str, now: str) -> Refusal:
    """400 ``idempotency_error``; ``first`` and ``now`` are the paths."""
    used = (
        "with the same parameters they were first used with."
        if first == now
        else f"for the same endpoint they were first used for ('{now}' vs '{first}')."
    )
    return Refusal(
        400,
        type="idempotency_error",
        message=f"Keys for idempotent requests can only be used {used} Try using a key other than '{key}' if you "
        "meant to execute a different request.",
    )


def in_use(key: str) -> Refusal:
    """409: the first call with this key is still being worked on."""
    return Refusal(
        409,
        type="invalid_request_error",
        code="idempotency_key_in_use",
        message="There is currently another in-progress request using this Idempotent Key (that probably means you "
        f"submitted twice, and the other request is still going through): {key}. Please try again later.",
    )


CARD_WORDS = {
    "card_declined": "Your card was declined.",
    "authentication_required": "Your card was declined. This transaction requires authentication.",
    "payment_intent_authentication_failure": "We are unable to authenticate your payment method. Please choose a "
    "different payment method and try again.",
    "payment_intent_payment_attempt_failed": "The payment failed.",
    "payment_method_provider_decline": "The payment or setup attempt was declined by the issuer or customer.",
}


NOT_OF_A_CARD = ("payment_intent_authentication_failure", "payment_method_provider_decline")


def card_error(code: str, method: dict[str, Any], charge: str | None) -> dict[str, Any]:
    """What an intent keeps as ``last_payment_error``; a decline tells more in ``decline_code``."""
    error = {
        "type": "invalid_request_error" if code in NOT_OF_A_CARD else "card_error",
        "code": code,
        "message": CARD_WORDS[code],
        "doc_url": f"https://stripe.com/docs/error-codes/{code.replace('_', '-')}",
        "payment_method": method,
    }
    if charge:
        error["charge"] = charge
    if code in ("card_declined", "authentication_required"):
        error["decline_code"] = "generic_decline" if code == "card_declined" else code
    return error
