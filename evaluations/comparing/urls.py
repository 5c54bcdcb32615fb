from django.urls import path

from evaluations.comparing import views

urlpatterns = [path("compare/", views.compare_page, name="compare")]
