from django.urls import path, re_path

from monitoring.page import consumers

# Channels routes ASGI applications with Django's path(), whose types know views only.
urlpatterns = [
    path("ws/jobs/<int:pk>/", consumers.RunConsumer.as_asgi()),  # type: ignore[arg-type]
    path("ws/overview/", consumers.OverviewConsumer.as_asgi()),  # type: ignore[arg-type]
    re_path("", consumers.NobodyConsumer.as_asgi()),  # type: ignore[arg-type]
]
