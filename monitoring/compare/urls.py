from django.urls import path

from monitoring.compare import views

app_name = "compare"
urlpatterns = [
    path("", views.compare, name="page"),
    path("points/", views.points_of_metric, name="points"),
]
