from django.urls import path

from jobs import (
    compare_views,
    event_views,
    recipe_views,
    reward_views,
    run_views,
    tracker_views,
    views,
)

app_name = "jobs"
urlpatterns = [
    path("", views.job_list, name="list"),
    path("new/", views.job_new, name="new"),
    path("new/<slug:slug>/", views.job_create, name="create"),
    path("new/<slug:slug>/preview/", views.job_preview, name="preview"),
    path("compare/", compare_views.job_compare, name="compare"),
    path("recipes/import/", recipe_views.recipe_import, name="recipe_import"),
    path("recipes/<slug:slug>.toml", recipe_views.recipe_export, name="recipe_export"),
    path("recipes/<slug:slug>/delete/", recipe_views.recipe_delete, name="recipe_delete"),
    path("try-reward/", reward_views.try_reward_page, name="try-reward"),
    path("trackers/", tracker_views.tracker_list, name="trackers"),
    path("trackers/<slug:name>/", tracker_views.tracker_set, name="tracker_set"),
    path(
        "trackers/<slug:name>/<slug:variable>/remove/",
        tracker_views.tracker_remove,
        name="tracker_remove",
    ),
    path("<int:pk>/clone/", recipe_views.job_clone, name="clone"),
    path("<int:pk>/recipe/", recipe_views.recipe_save, name="recipe_save"),
    path("<int:pk>/start/", views.job_start, name="start"),
    path("<int:pk>/stop/", views.job_stop, name="stop"),
    path("<int:pk>/pause/", run_views.job_pause, name="pause"),
    path("<int:pk>/save/", run_views.job_save, name="save"),
    path("<int:pk>/resume/", run_views.job_resume, name="resume"),
    path("<int:pk>/fetch/", run_views.job_fetch, name="fetch"),
    path("<int:pk>/fetch/cancel/", run_views.job_fetch_cancel, name="fetch_cancel"),
    path("<int:pk>/rename/", views.job_rename, name="rename"),
    path("<int:pk>/events/", event_views.job_events, name="events"),
    path("<int:pk>/run.sh", views.job_command, name="command"),
    path("<int:pk>/overrides.txt", views.job_overrides, name="overrides"),
]
