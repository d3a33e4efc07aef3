"""All addresses: the shop, sign-in, webhooks, usage records, the back office, and the pages for what goes wrong."""

from __future__ import annotations

from django.urls import include, path

from xuka.interfaces.backoffice.site import site as staff
from xuka.interfaces.webhooks import usage

urlpatterns = [
    path("", include("xuka.interfaces.web.urls")),
    path("usage/<slug:source>/", usage.receive, name="usage"),
    path("webhooks/", include("xuka.interfaces.webhooks.urls")),
    path("api/", include("xuka.interfaces.api.urls")),
    path("account/", include("allauth.account.urls")),
    path("account/sessions/", include("allauth.usersessions.urls")),
    path("staff/", staff.urls),
]

handler400 = "xuka.interfaces.web.errors.bad_request"
handler403 = "xuka.interfaces.web.errors.forbidden"
handler404 = "xuka.interfaces.web.errors.not_found"
handler429 = "xuka.interfaces.web.errors.too_many"
handler500 = "xuka.interfaces.web.errors.broken"
