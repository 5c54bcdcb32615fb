from django.urls import path

from monitoring.glossary import views

app_name = "glossary"
urlpatterns = [
    path("", views.glossary, name="page"),
    path("tip/", views.tip, name="tip"),
]
