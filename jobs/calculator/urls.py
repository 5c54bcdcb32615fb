from django.urls import path

from jobs.calculator import views

app_name = "calculator"
urlpatterns = [
    path("", views.calculator, name="page"),
    path("config/", views.config, name="config"),
    path("gpus/", views.compare, name="compare"),
]
