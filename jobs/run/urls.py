from django.urls import path

from jobs.run import event_views, views

urlpatterns = [
    path("<int:pk>/start/", views.job_start, name="start"),
    path("<int:pk>/stop/", views.job_stop, name="stop"),
    path("<int:pk>/pause/", views.job_pause, name="pause"),
    path("<int:pk>/save/", views.job_save, name="save"),
    path("<int:pk>/resume/", views.job_resume, name="resume"),
    path("<int:pk>/fetch/", views.job_fetch, name="fetch"),
    path("<int:pk>/fetch/cancel/", views.job_fetch_cancel, name="fetch_cancel"),
    path("<int:pk>/rename/", views.job_rename, name="rename"),
    path("<int:pk>/events/", event_views.job_events, name="events"),
    path("<int:pk>/run.sh", views.job_command, name="command"),
    path("<int:pk>/overrides.txt", views.job_overrides, name="overrides"),
]
