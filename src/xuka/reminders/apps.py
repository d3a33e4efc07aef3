from django.apps import AppConfig


class Config(AppConfig):
    name = "xuka.reminders"
    label = "reminders"
