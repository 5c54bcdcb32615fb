from django.contrib import admin
from django.contrib.auth.views import LoginView, LogoutView
from django.urls import include, path

urlpatterns = [
    path("admin/", admin.site.urls),
    path("accounts/login/", LoginView.as_view(), name="login"),
    path("accounts/logout/", LogoutView.as_view(), name="logout"),
    path("jobs/", include("jobs.urls")),
    path("datasets/", include("datasets.urls")),
    path("machines/", include("compute.urls")),
    path("", include("monitoring.urls")),
]
