from django.urls import path

from jobs import views

app_name = "jobs"
urlpatterns = [
    path("", views.job_list, name="list"),
    path("new/", views.job_new, name="new"),
    path("new/<slug:slug>/", views.job_create, name="create"),
    path("new/<slug:slug>/preview/", views.job_preview, name="preview"),
    path("<int:pk>/start/", views.job_start, name="start"),
    path("<int:pk>/stop/", views.job_stop, name="stop"),
    path("<int:pk>/rename/", views.job_rename, name="rename"),
    path("<int:pk>/run.sh", views.job_command, name="command"),
    path("<int:pk>/overrides.txt", views.job_overrides, name="overrides"),
]
