from django.apps import AppConfig


class Config(AppConfig):
    name = "xuka.activation"
    label = "activation"
