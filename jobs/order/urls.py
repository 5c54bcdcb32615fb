from django.urls import path

from jobs.order import filled_views, fit_views, views

urlpatterns = [
    path("new/", views.job_new, name="new"),
    path("new/<slug:slug>/", views.job_create, name="create"),
    path("new/<slug:slug>/preview/", views.job_preview, name="preview"),
    path("new/<slug:slug>/fit/", fit_views.job_fit, name="fit"),
    path("fits/", fit_views.job_fits, name="fits"),
    path("fits/recipes/", fit_views.recipe_fits, name="recipe_fits"),
    path("<int:pk>/edit/", filled_views.job_edit, name="edit"),
    path("new/on/<int:pk>/", filled_views.job_train_on, name="train_on"),
    path("<int:pk>/clone/", views.job_clone, name="clone"),
]
