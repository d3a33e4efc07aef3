from django.apps import AppConfig


class Config(AppConfig):
    name = "xuka.interfaces"
    label = "interfaces"
