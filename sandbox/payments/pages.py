"""The page on which a buyer pays, and the bank's page for 3-D Secure. No field takes a card's number."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

import segno
from flask import Blueprint, Response, abort, current_app, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from sandbox.payments.errors import Refusal
from sandbox.payments.forms import money
from sandbox.payments.world import World

# Redirects after a form go to the shop, so `form-action` must let them; nothing else leaves this host.
POLICY = "default-src 'none'; style-src 'self'; base-uri 'none'; frame-ancestors 'none'"

WORDS: Mapping[str, Mapping[str, str]] = {
    "en": {
        "title": "Pay",
        "stand_in": "This is a stand-in for the payment page. No money moves, and no card number is asked for.",
        "total": "To pay",
        "pay": "Pay with test card ending 4242",
        "wallet": "Pay with Apple Pay (test)",
        "secure": "Pay, with 3-D Secure",
        "pay_by": "Pay with %s (test)",
        "scan": "Scan with WeChat. In this stand-in the button below does the same.",
        "slip": "Make the slip for the shop",
        "slip_note": "Pay this slip at the till of a convenience store. In this stand-in the button below does it.",
        "at_the_shop": "Pay at the till (test)",
        "other_ends": "Try another ending",
        "decline": "Decline",
        "later": "Delay: the money comes later",
        "later_fails": "Delay: the money never comes",
        "back": "Back to the shop",
        "declined": "Your card was declined. Nothing was paid. You can try again.",
        "expired": "This page has expired. Nothing was paid here.",
        "complete": "This is paid already. You can go back to the shop.",
        "processing": "Thank you. The money is on its way.",
        "bank": "Your bank asks",
        "bank_note": "This is a stand-in for your bank's page. No code and no card number is asked for.",
        "approve": "Approve",
        "refuse": "Refuse",
        "leave": "Leave without answering",
        "answered": "Your bank does not ask any more.",
        "missing": "There is no such payment.",
        "other": "中文",
    },
    "zh": {
        "title": "付款",
        "stand_in": "这是付款页面的替身：不会真的扣款，也不需要填写卡号。",
        "total": "应付金额",
        "pay": "用尾号 4242 的测试卡付款",
        "wallet": "用 Apple Pay 付款（测试）",
        "secure": "付款（需 3-D Secure 验证）",
        "pay_by": "用%s付款（测试）",
        "scan": "请用微信扫码。在这个替身里，按下面的按钮也一样。",
        "slip": "生成便利店付款单",
        "slip_note": "请凭此单到便利店柜台付款。在这个替身里，按下面的按钮即可。",
        "at_the_shop": "在柜台付款（测试）",
        "other_ends": "试试其他结果",
        "decline": "拒绝付款",
        "later": "延迟：款项稍后到账",
        "later_fails": "延迟：款项最终未到账",
        "back": "返回商店",
        "declined": "银行卡被拒绝，没有扣款。您可以再试一次。",
        "expired": "此页面已过期，没有扣款。",
        "complete": "已经付款，您可以返回商店。",
        "processing": "谢谢，款项正在处理中。",
        "bank": "银行请您确认",
        "bank_note": "这是银行验证页面的替身：不需要填写验证码或卡号。",
        "approve": "同意",
        "refuse": "拒绝",
        "leave": "不回答，离开",
        "answered": "银行不再需要确认。",
        "missing": "没有这笔付款。",
        "other": "English",
    },
}

NAMES: Mapping[str, Mapping[str, str]] = {
    "en": {
        "alipay": "Alipay",
        "wechat_pay": "WeChat Pay",
        "paypal": "PayPal",
        "paypay": "PayPay",
        "bancontact": "Bancontact",
        "konbini": "Konbini",
    },
    "zh": {
        "alipay": "支付宝",
        "wechat_pay": "微信支付",
        "paypal": "PayPal",
        "paypay": "PayPay",
        "bancontact": "Bancontact",
        "konbini": "便利店",
    },
}

pages = Blueprint("pages", __name__, template_folder="templates", static_folder="static", static_url_path="/static")


def _world() -> World:
    return current_app.extensions["world"]


@pages.after_request
def _strict(response: Response) -> Response:
    response.headers.setdefault("Content-Security-Policy", POLICY)
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Referrer-Policy"] = "no-referrer"
    response.headers["Cache-Control"] = "no-store"
    return response


@pages.errorhandler(404)
def _missing(error: Exception) -> tuple[str, int]:
    return render_template("payments/done.html", says="missing", back=None, **_chrome(None)), 404


@pages.get("/favicon.ico")
def icon() -> Response:
    return Response(status=204)


@pages.get("/c/pay/<id>")
def session_page(id: str) -> str:
    """What is to be paid and how it can end; says so when there is nothing to pay any more."""
    session = _session(id)
    chrome = _chrome(session["locale"])
    if session["status"] != "open":
        says = "expired" if session["status"] == "expired" else "complete"
        if session["status"] == "complete" and session["payment_status"] == "unpaid":
            says = "processing"
        back = _success(session) if session["status"] == "complete" else session["cancel_url"]
        return render_template("payments/done.html", says=says, back=back, **chrome)
    items = _world().expanded({**session}, ["line_items"])["line_items"]["data"]
    kind = session["payment_method_types"][0]
    return render_template(
        "payments/pay.html",
        session=session,
        items=items,
        declined=_was_declined(session),
        money=money,
        kind=kind,
        name=NAMES[chrome["lang"]].get(kind, ""),
        code=segno.make(request.url).svg_inline(scale=5, border=2) if kind == "wechat_pay" else "",
        **chrome,
    )


@pages.post("/c/pay/<id>")
def session_act(id: str) -> AnyResponse:
    """What the buyer chose."""
    session, chosen = _session(id), request.form.get("do", "")
    if chosen == "back":
        return redirect(session["cancel_url"] or _here(id), 303)
    try:
        return redirect(_chosen(session, chosen), 303)
    except Refusal:
        return redirect(_here(id), 303)  # the page says what is the matter


def _chosen(session: dict[str, Any], chosen: str) -> str:
    """Where the buyer goes next."""
    world, id = _world(), session["id"]
    match chosen:
        case "pay":
            world.pay(id)
        case "wallet":
            world.pay(id, wallet="apple_pay")
        case "later" | "later_fails":
            world.delay(id, ok=chosen == "later")
        case "secure":
            return url_for("pages.bank_page", id=world.ask_3ds(id)["id"], **_lang())
        case "decline":
            world.decline(id)
            return _here(id)
        case _:
            abort(400)
    return _success(session)


@pages.get("/slip/<id>")
def slip_page(id: str) -> str:
    """The slip of a convenience store, which can be paid here."""
    session = _session(id)
    intent, chrome = _intent(session["payment_intent"]), _chrome(session["locale"])
    if intent["status"] != "requires_action":
        return render_template("payments/done.html", says="complete", back=_success(session), **chrome)
    return render_template("payments/slip.html", session=session, back=_success(session), money=money, **chrome)


@pages.post("/slip/<id>")
def slip_act(id: str) -> AnyResponse:
    """The buyer paid at the till; a second time changes nothing."""
    session = _session(id)
    _world().settle_delayed(id)
    return redirect(_success(session), 303)


@pages.get("/3ds/<id>")
def bank_page(id: str) -> str:
    """The bank's question."""
    intent = _intent(id)
    chrome = _chrome(_locale(intent))
    if intent["status"] != "requires_action":
        return render_template("payments/done.html", says="answered", back=_after_bank(intent), **chrome)
    return render_template("payments/bank.html", intent=intent, money=money, **chrome)


@pages.post("/3ds/<id>")
def bank_act(id: str) -> AnyResponse:
    """The answer; a second one changes nothing."""
    intent, chosen = _intent(id), request.form.get("do", "")
    if chosen in ("approve", "refuse") and intent["status"] == "requires_action":
        intent = {**intent, **_world().answer_3ds(id, approve=chosen == "approve")}
    return redirect(_after_bank(intent) or url_for("pages.bank_page", id=id, **_lang()), 303)


def _session(id: str) -> dict[str, Any]:
    with _world().look():
        found = _world().state.things.get("checkout.session", {}).get(id)
        return dict(found) if found else abort(404)


def _intent(id: str) -> dict[str, Any]:
    with _world().look():
        found = _world().state.things.get("payment_intent", {}).get(id)
        return dict(found) if found else abort(404)


def _locale(intent: dict[str, Any]) -> str | None:
    return _session(intent["_session"])["locale"] if "_session" in intent else None


def _was_declined(session: dict[str, Any]) -> bool:
    return bool(session["payment_intent"] and _intent(session["payment_intent"])["last_payment_error"])


def _success(session: dict[str, Any]) -> str:
    return session["success_url"].replace("{CHECKOUT_SESSION_ID}", session["id"])


def _after_bank(intent: dict[str, Any]) -> str | None:
    """A session goes on where it was; a saved card's holder goes back to the shop."""
    if "_session" in intent:
        session = _session(intent["_session"])
        return _success(session) if session["status"] == "complete" else _here(session["id"])
    if not intent["_return_url"]:
        return None
    told = {"payment_intent": intent["id"], "payment_intent_client_secret": intent["client_secret"]}
    if intent["status"] in ("succeeded", "requires_payment_method"):
        told["redirect_status"] = "succeeded" if intent["status"] == "succeeded" else "failed"
    return f"{intent['_return_url']}{'&' if '?' in intent['_return_url'] else '?'}{urlencode(told)}"


def _here(id: str) -> str:
    return url_for("pages.session_page", id=id, **_lang())


def _lang() -> dict[str, Any]:
    return {"lang": request.args["lang"]} if "lang" in request.args else {}


def _chrome(locale: str | None) -> dict[str, Any]:
    """The language: what the address asks for, else the session's, else the browser's."""
    asked = (request.args.get("lang") or locale or "")[:2].lower()
    language = asked if asked in WORDS else request.accept_languages.best_match(["en", "zh"]) or "en"
    return {
        "words": WORDS[language],
        "language": "zh-Hans" if language == "zh" else "en",
        "lang": language,
        "other": "en" if language == "zh" else "zh",
    }
