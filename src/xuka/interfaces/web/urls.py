"""The addresses of the pages."""

from __future__ import annotations

from django.conf import settings
from django.urls import URLPattern, URLResolver, include, path

from xuka.interfaces.web import demo, esims, look, payments, phones, plans, pwa, receipts, recovery, views

urlpatterns: list[URLPattern | URLResolver] = [
    path("", views.home, name="home"),
    path("cards/", views.cards, name="cards"),
    path("cards/add/", views.add_card, name="add_card"),
    path("cards/<uuid:line_id>/", views.card, name="card"),
    path("cards/<uuid:line_id>/renew/", views.renew, name="renew"),
    path("cards/<uuid:line_id>/quote/", views.quote_new, name="quote_new"),
    path("cards/<uuid:line_id>/install/", esims.install, name="install"),
    path("plans/", plans.plans, name="plans"),
    path("plans/compare/", plans.compare, name="plan_compare"),
    path("plans/<slug:slug>/", plans.plan, name="plan"),
    path("plans/<slug:slug>/buy/", esims.buy, name="buy"),
    path("quotes/<uuid:quote_id>/", views.quote, name="quote"),
    path("orders/", views.orders, name="orders"),
    path("orders/<uuid:order_id>/", views.order, name="order"),
    path("orders/<uuid:order_id>/progress/", views.order_progress, name="order_progress"),
    path("orders/<uuid:order_id>/cancel/", views.order_cancel, name="order_cancel"),
    path("orders/<uuid:order_id>/pay/", payments.pay, name="order_pay"),
    path("orders/<uuid:order_id>/pay/page/", payments.pay_page, name="order_pay_page"),
    path("orders/<uuid:order_id>/paid/", payments.paid, name="order_paid_return"),
    path("receipts/", receipts.receipts, name="receipts"),
    path("receipts/<uuid:receipt_id>/", receipts.receipt, name="receipt"),
    path("receipts/<uuid:receipt_id>.pdf", receipts.receipt_pdf, name="receipt_pdf"),
    path("receipts/<uuid:receipt_id>/send/", receipts.send, name="receipt_send"),
    path("recover/", recovery.recover, name="recover"),
    path("recover/sent/", recovery.recover_sent, name="recover_sent"),
    path("recover/stop/<str:token>/", recovery.recover_stop, name="recover_stop"),
    path("contact/", views.contact, name="contact"),
    path("contact/sent/", views.contact_sent, name="contact_sent"),
    path("account/settings/", views.settings, name="settings"),
    path("account/phone/", phones.phone, name="phone"),
    path("account/phone/confirm/", phones.phone_confirm, name="phone_confirm"),
    path("account/phone/remove/", phones.phone_remove, name="phone_remove"),
    path("account/passkeys/", include("xuka.interfaces.web.passkeys")),
    path("account/cards/<uuid:card_id>/forget/", payments.forget_card, name="forget_card"),
    path("account/sign-out-everywhere/", views.sign_out_everywhere, name="sign_out_everywhere"),
    path("language/", views.language, name="language"),
    path("look.css", look.sheet, name="look_sheet"),
    path("look/logo", look.logo, name="look_logo"),
    path("manifest.webmanifest", pwa.manifest, name="manifest"),
    path("worker.js", pwa.worker, name="worker"),
    path("offline/", pwa.offline, name="offline"),
    path("app/", pwa.add_to_home, name="add_to_home"),
]

demo_urlpatterns: list[URLPattern] = [
    path("demo", demo.people, name="demo"),
    path("demo/look", look.design, name="demo_look"),
    path("demo/enter", demo.enter, name="demo_enter"),
    path("demo/fault", demo.fault, name="demo_fault"),
    path("demo/clock", demo.push_clock, name="demo_clock"),
    path("demo/kill-worker", demo.kill_worker, name="demo_kill"),
    path("demo/orders/<uuid:order_id>", demo.truth, name="demo_truth"),
]

if settings.DEMO:
    urlpatterns += demo_urlpatterns
