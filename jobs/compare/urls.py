from django.urls import path

from jobs.compare import views

urlpatterns = [path("", views.job_compare, name="compare")]
