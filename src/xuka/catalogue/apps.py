from django.apps import AppConfig


class Config(AppConfig):
    name = "xuka.catalogue"
    label = "catalogue"
