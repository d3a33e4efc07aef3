"""Addresses below /staff/."""

from __future__ import annotations

from django.urls import URLPattern, URLResolver, path

from xuka.interfaces.backoffice.site import site

urlpatterns: list[URLPattern | URLResolver] = [path("", site.urls)]
