from django.urls import path

from evaluations.ordering import views

urlpatterns = [path("new/", views.evaluate_new, name="new")]
