from django.urls import path

from jobs.accuracy import views

urlpatterns = [path("", views.accuracy, name="accuracy")]
