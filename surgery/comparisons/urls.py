from django.urls import path

from surgery.comparisons import views

urlpatterns = [
    path("compare/", views.compare_new, name="compare"),
    path("comparison/<int:pk>/", views.comparison, name="comparison"),
]
