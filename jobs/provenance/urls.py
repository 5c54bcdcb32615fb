from django.urls import path

from jobs.provenance import views

urlpatterns = [
    path("<int:pk>/provenance/", views.page, name="provenance"),
    path("<int:pk>/provenance.json", views.whole, name="provenance_file"),
    path("<int:pk>/config.<slug:ending>", views.config, name="config"),
]
