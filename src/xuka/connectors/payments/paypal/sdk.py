"""PayPal's official SDK for one call: its address and its way out are ours, and nobody else's in this process.

The SDK keeps its addresses in a dictionary of its class, shared by all; here a connector overrides them for itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx
from paypalserversdk.configuration import Configuration
from paypalserversdk.http.auth.o_auth_2 import ClientCredentialsAuthCredentials
from paypalserversdk.models.o_auth_token import OAuthToken
from paypalserversdk.paypal_serversdk_client import PaypalServersdkClient

from xuka.connectors.deadline import Deadline, Heard, Lost

# What goes out of the headers that the SDK makes; the others describe this computer.
HEADERS = ("Authorization", "Content-Type", "PayPal-Request-Id", "Prefer", "accept")


class Line:
    """The SDK's way out for one call: sends it once, gives it up at ``until``, keeps the answer as it came."""

    def __init__(self, http: httpx.Client, until: float, deadline: Deadline) -> None:
        self._http, self._until, self._deadline = http, until, deadline
        self.heard: Heard | Lost | None = None
        self.response_factory: Any = None

    def execute(self, request: Any, endpoint_configuration: Any) -> Any:
        """What the SDK asks of its HTTP client. Raises ``Over`` once the answer is kept: it is read by ``wire``."""
        said = {name.lower(): value for name, value in request.headers.items() if value is not None}
        headers = {name: said[name.lower()] for name in HEADERS if name.lower() in said}
        self.send(str(request.http_method).split(".")[-1], request.query_url, headers, request.parameters)
        raise Over

    def send(self, method: str, url: str, headers: Mapping[str, str], content: Any) -> Heard | Lost:
        """One call; forms as pairs, anything else as text."""
        form: Any = None if isinstance(content, str | bytes) or not content else dict(content)
        text: Any = None if form else content or None
        request = self._http.build_request(method, url, headers=headers, data=form, content=text)
        self.heard = self._deadline.exchange(self._http, request, self._until)
        return self.heard


class Over(Exception):
    """The call is over, and the line has what was heard."""


class _Own(Configuration):
    def __init__(self, line: Line, base_url: str, credentials: ClientCredentialsAuthCredentials) -> None:
        self._line, self._base_url = line, base_url
        super().__init__(client_credentials_auth_credentials=credentials)

    def create_http_client(self) -> Any:
        return self._line

    def get_base_uri(self, server: Any = None) -> str:
        return self._base_url


def client(line: Line, *, base_url: str, client_id: str, secret: str, token: str) -> Any:
    """The SDK, with a token that somebody else keeps fresh; "" for none yet. Its own types say None of its parts."""
    known = OAuthToken(access_token=token, token_type="Bearer") if token else None  # noqa: S106 - the word of the header
    credentials = ClientCredentialsAuthCredentials(client_id, secret, o_auth_token=known)
    return PaypalServersdkClient(config=_Own(line, base_url, credentials))
