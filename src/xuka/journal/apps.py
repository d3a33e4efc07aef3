from django.apps import AppConfig


class Config(AppConfig):
    name = "xuka.journal"
    label = "journal"
