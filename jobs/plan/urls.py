from django.urls import path

from jobs.plan import views

urlpatterns = [
    path("new/<slug:slug>/plan/", views.plan, name="plan"),
    path("new/<slug:slug>/filled/", views.fill, name="filled"),
]
