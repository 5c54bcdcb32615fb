from django.urls import path

from surgery.conversions import views

urlpatterns = [path("convert/", views.convert_new, name="convert")]
