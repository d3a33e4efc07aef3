"""The WSGI application that the server runs."""

import gc
import os
from contextlib import suppress
from wsgiref.util import setup_testing_defaults

from django.conf import settings
from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "xuka.project.settings")
application = get_wsgi_application()


def _warm() -> None:
    """Ask for two pages before anybody does: the first request of a process loads templates and addresses, for a second
    or two. A database that is not there yet is no reason not to start.
    """
    for path in ("/", "/account/login/"):
        environ = {"PATH_INFO": path, "HTTP_HOST": settings.ALLOWED_HOSTS[0].lstrip(".*") or "localhost"}
        setup_testing_defaults(environ)
        with suppress(Exception):
            for _ in application(environ, lambda *_: lambda _: None):
                pass


_warm()
# What is there now stays: who looks for garbage need not go through it again with every page.
gc.collect()
gc.freeze()
gc.set_threshold(50_000, 20, 20)
