from django.urls import path

from jobs.dryfire import views

urlpatterns = [
    path("<int:pk>/dryfire/", views.job_dry_fire, name="dry_fire"),
    path("<int:pk>/proposal/", views.job_proposal, name="proposal"),
]
