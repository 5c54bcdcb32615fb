from django.urls import path

from surgery.compose import sweep_views, views

urlpatterns = [
    path("", views.surgery_list, name="list"),
    path("new/", views.surgery_new, name="new"),
    path("preview/", views.surgery_preview, name="preview"),
    path("sweep/", sweep_views.sweep_new, name="sweep_new"),
    path("sweeps/", sweep_views.sweep_list, name="sweeps"),
    path("sweeps/<int:pk>/", sweep_views.sweep_detail, name="sweep"),
]
