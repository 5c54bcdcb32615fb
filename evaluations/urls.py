from django.urls import include, path

app_name = "evaluations"
urlpatterns = [
    path("", include("evaluations.automatic.urls")),
    path("", include("evaluations.board.urls")),
    path("", include("evaluations.chains.urls")),
    path("", include("evaluations.comparing.urls")),
    path("", include("evaluations.ordering.urls")),
    path("", include("evaluations.gates.urls")),
]
