from django.urls import path

from jobs.recipebook import views

urlpatterns = [
    path("recipes/import/", views.recipe_import, name="recipe_import"),
    path("recipes/<slug:slug>.toml", views.recipe_export, name="recipe_export"),
    path("recipes/<slug:slug>/delete/", views.recipe_delete, name="recipe_delete"),
    path("recipes/<slug:slug>/rename/", views.recipe_rename, name="recipe_rename"),
    path("<int:pk>/recipe/", views.recipe_save, name="recipe_save"),
]
