from django.apps import AppConfig


class RewardsConfig(AppConfig):
    name = "jobs.rewards"
