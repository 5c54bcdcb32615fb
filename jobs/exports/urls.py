from django.urls import path

from jobs.exports import views

urlpatterns = [path("<int:pk>/export/", views.job_export, name="export")]
