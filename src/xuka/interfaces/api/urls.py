"""The addresses for programs."""

from __future__ import annotations

from django.urls import path

from xuka.interfaces.api import openapi, plans, simulation

urlpatterns = [
    path("plans/<str:plan>/disclosure", plans.disclosure, name="plan_disclosure"),
    path("simulate", simulation.simulate, name="simulate"),
    path("openapi.json", openapi.document, name="openapi"),
    path("<path:rest>", plans.nothing_here),
]
