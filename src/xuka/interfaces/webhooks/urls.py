"""Where providers post their events."""

from __future__ import annotations

from django.urls import path

from xuka.interfaces.webhooks import views

urlpatterns = [path("<slug:provider>/", views.receive, name="webhook")]
