from django.apps import AppConfig


class OrderConfig(AppConfig):
    name = "jobs.order"

    def ready(self) -> None:
        from datasets import elsewhere
        from jobs.order.on_data import link_of

        elsewhere.register_use(link_of)
