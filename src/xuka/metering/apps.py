from django.apps import AppConfig


class Config(AppConfig):
    name = "xuka.metering"
    label = "metering"
