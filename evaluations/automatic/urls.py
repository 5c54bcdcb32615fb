from django.urls import path

from evaluations.automatic import views

urlpatterns = [
    path("every/<int:pk>/", views.every, name="every"),
    path("every/<int:pk>/<int:rule>/stop/", views.stop, name="every_stop"),
]
