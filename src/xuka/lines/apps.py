from django.apps import AppConfig


class Config(AppConfig):
    name = "xuka.lines"
    label = "lines"
