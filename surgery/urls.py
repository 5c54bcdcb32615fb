from django.urls import include, path

app_name = "surgery"
urlpatterns = [
    path("", include("surgery.compose.urls")),
    path("", include("surgery.adapters.urls")),
    path("", include("surgery.averages.urls")),
    path("", include("surgery.comparisons.urls")),
    path("", include("surgery.conversions.urls")),
    path("", include("surgery.choosing.urls")),
    path("", include("surgery.lineage.urls")),
]
