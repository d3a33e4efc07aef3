from django.apps import AppConfig


class Config(AppConfig):
    name = "xuka.accounts"
    label = "accounts"
