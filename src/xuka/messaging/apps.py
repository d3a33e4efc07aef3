from django.apps import AppConfig


class Config(AppConfig):
    name = "xuka.messaging"
    label = "messaging"
