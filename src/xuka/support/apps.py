from django.apps import AppConfig


class Config(AppConfig):
    name = "xuka.support"
    label = "support"
