from django.apps import AppConfig
from django.conf import settings
from django.core import checks
from django.core.exceptions import ImproperlyConfigured


class Config(AppConfig):
    name = "xuka.interfaces"
    label = "interfaces"

    def ready(self) -> None:
        from xuka.interfaces.web.look import seller_look

        checks.register(seller_look)
        self._keep_the_demo_from_real_money()

    def _keep_the_demo_from_real_money(self) -> None:
        """Whoever can sign in as anybody must not be able to move money."""
        if settings.DEMO and "_live_" in settings.STRIPE_KEY:
            raise ImproperlyConfigured("The demo does not run with a live key (XUKA_STRIPE_KEY).")
