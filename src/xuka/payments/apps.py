from django.apps import AppConfig


class Config(AppConfig):
    name = "xuka.payments"
    label = "payments"
