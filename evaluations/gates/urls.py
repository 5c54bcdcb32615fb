from django.urls import path

from evaluations.gates import views

urlpatterns = [path("gates/<int:pk>/", views.gate, name="gate")]
