"""Where providers post their events, and messengers what people write to the shop's account."""

from __future__ import annotations

from django.urls import path

from xuka.interfaces.webhooks import chat, views

urlpatterns = [
    path("chat/<slug:channel>/", chat.receive, name="chat"),
    path("<slug:provider>/", views.receive, name="webhook"),
]
