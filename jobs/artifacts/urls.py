from django.urls import path

from jobs.artifacts import views

app_name = "artifacts"
urlpatterns = [
    path("", views.artifact_list, name="list"),
    path("<int:pk>/", views.artifact_detail, name="detail"),
    path("<int:pk>/pin/", views.artifact_pin, name="pin"),
    path("<int:pk>/unpin/", views.artifact_unpin, name="unpin"),
    path("<int:pk>/delete/<int:place>/", views.artifact_delete, name="delete"),
    path("of-version/<int:pk>/", views.of_version, name="of_version"),
    path("of-job/<int:pk>/", views.of_job, name="of_job"),
]
