from django.apps import AppConfig


class Config(AppConfig):
    name = "xuka.ledger"
    label = "ledger"
