from django.contrib import admin
from django.contrib.auth.views import LoginView, LogoutView
from django.urls import include, path

from platform_site.views import ChangePassword, favicon

urlpatterns = [
    path("favicon.ico", favicon),
    path("admin/", admin.site.urls),
    path("accounts/login/", LoginView.as_view(), name="login"),
    path("accounts/logout/", LogoutView.as_view(), name="logout"),
    path("accounts/password/", ChangePassword.as_view(), name="password"),
    path("jobs/compare/", include("monitoring.compare.urls")),
    path("jobs/imports/", include("monitoring.imports.urls")),
    path("jobs/", include("jobs.urls")),
    path("evaluations/", include("evaluations.urls")),
    path("surgery/", include("surgery.urls")),
    path("calculator/", include("jobs.calculator.urls")),
    path("artifacts/", include("jobs.artifacts.urls")),
    path("queue/", include("jobs.queue.urls")),
    path("datasets/", include("datasets.urls")),
    path("machines/", include("compute.pages.urls")),
    path("glossary/", include("monitoring.glossary.urls")),
    path("", include("monitoring.page.urls")),
]
