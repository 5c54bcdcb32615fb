from django.apps import AppConfig


class ListingConfig(AppConfig):
    name = "jobs.listing"
