from django.urls import path

from surgery.compose import views

urlpatterns = [
    path("", views.surgery_list, name="list"),
    path("new/", views.surgery_new, name="new"),
    path("preview/", views.surgery_preview, name="preview"),
]
