from django.apps import AppConfig


class Config(AppConfig):
    name = "xuka.renewals"
    label = "renewals"
