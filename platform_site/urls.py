from django.contrib import admin
from django.urls import include, path

urlpatterns = [
    path("admin/", admin.site.urls),
    path("accounts/", include("django.contrib.auth.urls")),
    path("jobs/", include("jobs.urls")),
    path("datasets/", include("datasets.urls")),
    path("machines/", include("compute.urls")),
    path("", include("monitoring.urls")),
]
