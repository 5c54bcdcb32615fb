from django.urls import path

from jobs.rehearsal import views

urlpatterns = [path("<int:pk>/rehearse/", views.job_rehearse, name="rehearse")]
