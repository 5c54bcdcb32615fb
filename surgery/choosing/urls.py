from django.urls import path

from surgery.choosing import views

urlpatterns = [
    path("checkpoints/", views.of_jobs, name="checkpoints"),
    path("checkpoints/<int:pk>/", views.of_job, name="checkpoints_of"),
    path("checkpoints/<int:pk>/keep/", views.keep, name="keep"),
]
