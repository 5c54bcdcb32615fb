from django.urls import path

from jobs.order import views

urlpatterns = [
    path("new/", views.job_new, name="new"),
    path("new/<slug:slug>/", views.job_create, name="create"),
    path("new/<slug:slug>/preview/", views.job_preview, name="preview"),
    path("<int:pk>/clone/", views.job_clone, name="clone"),
]
