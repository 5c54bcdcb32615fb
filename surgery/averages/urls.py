from django.urls import path

from surgery.averages import views

urlpatterns = [path("average/", views.average_new, name="average")]
