from django.urls import include, path

app_name = "evaluations"
urlpatterns = [
    path("", include("evaluations.chains.urls")),
]
