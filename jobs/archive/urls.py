from django.urls import path

from jobs.archive import views

urlpatterns = [
    path("delete/", views.delete, name="delete"),
    path("<int:pk>/archive/", views.job_archive, name="archive"),
    path("<int:pk>/unarchive/", views.job_unarchive, name="unarchive"),
]
