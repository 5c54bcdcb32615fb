from django.urls import path

from monitoring.compare import answer_views, views

app_name = "compare"
urlpatterns = [
    path("", views.compare, name="page"),
    path("answers/", answer_views.answers, name="answers"),
    path("points/", views.points_of_metrics, name="points"),
]
