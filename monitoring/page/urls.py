from django.urls import path

from monitoring.page import views

app_name = "monitoring"
urlpatterns = [
    path("", views.dashboard, name="dashboard"),
    path("jobs/<int:pk>/", views.run, name="run"),
    path("jobs/<int:pk>/checkpoints/", views.checkpoints, name="checkpoints"),
    path("jobs/<int:pk>/points/", views.points, name="points"),
    path("jobs/<int:pk>/system/", views.system, name="system"),
    path("jobs/<int:pk>/log/", views.log, name="log"),
    path("jobs/<int:pk>/stack/", views.stack, name="stack"),
]
