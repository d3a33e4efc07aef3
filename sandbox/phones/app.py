"""/control of the phones: who there is, what they do from now on."""

from __future__ import annotations

from dataclasses import asdict, replace
from datetime import datetime
from typing import Any

from flask import Flask, request

from sandbox.phones.use import Cap
from sandbox.phones.world import BadWish, World


def application(world: World) -> Flask:
    """The WSGI application; it answers on loopback only."""
    app = Flask("sandbox.phones")

    @app.before_request
    def only_from_here() -> tuple[dict[str, Any], int] | None:
        is_here = request.remote_addr in {"127.0.0.1", "::1"}
        return None if is_here else ({"error": "from this machine only"}, 403)

    @app.errorhandler(BadWish)
    def not_so(error: BadWish) -> tuple[dict[str, Any], int]:
        return {"error": str(error)}, 400

    @app.get("/control/health")
    def health() -> dict[str, Any]:
        return {"now": world.now().isoformat(), "phones": len(world.phones)}

    @app.get("/control/cards")
    def cards() -> dict[str, Any]:
        return {"cards": world.told()}

    @app.post("/control/cards")
    def add() -> tuple[dict[str, Any], int]:
        world.add(**_wish(_sent()))
        return {"cards": world.told()}, 201

    @app.post("/control/slow")
    def slow() -> dict[str, Any]:
        sent = _sent()
        kbps = sent.get("kbps")
        if kbps is not None and (not isinstance(kbps, int) or kbps < 0):
            raise BadWish("kbps is a whole number, or null for full speed.")
        world.slow(str(sent.get("iccid")), kbps)
        return {"cards": world.told()}

    @app.post("/control/mischief")
    def mischief() -> dict[str, Any]:
        try:
            world.how = replace(type(world.how)(), **_sent())
        except TypeError as error:
            raise BadWish(str(error)) from error
        return asdict(world.how)

    return app


def _sent() -> dict[str, Any]:
    sent = request.get_json(silent=True)
    if not isinstance(sent, dict):
        raise BadWish("Send a JSON object.")
    return sent


def _wish(sent: dict[str, Any]) -> dict[str, Any]:
    """What ``World.add`` is called with."""
    wish = {name: str(sent[name]) for name in ("iccid", "profile", "then", "zone") if sent.get(name)}
    if "iccid" not in wish:
        raise BadWish("Which card? Send its iccid.")
    told: dict[str, Any] = wish | {"home": str(sent.get("network") or ""), "talks": bool(sent.get("talks"))}
    if sent.get("cap"):
        told["cap"] = Cap(int(sent["cap"]["bytes"]), int(sent["cap"]["kbps"]))
    if sent.get("since"):
        told["since"] = _aware(sent["since"])
        if sent.get("until"):
            told["served"] = ((told["since"], _aware(sent["until"])),)
    return told


def _aware(told: str) -> datetime:
    try:
        at = datetime.fromisoformat(told)
    except ValueError as error:
        raise BadWish(f"{told!r} is no time.") from error
    if at.tzinfo is None:
        raise BadWish(f"{told!r} has no zone.")
    return at
