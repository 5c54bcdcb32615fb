from django.urls import path

from monitoring.page import (
    answer_views,
    exposition_view,
    log_views,
    metric_views,
    point_views,
    timing_views,
    views,
)

app_name = "monitoring"
urlpatterns = [
    path("", views.dashboard, name="dashboard"),
    path("metrics", exposition_view.metrics, name="metrics"),
    path("jobs/<int:pk>/", views.run, name="run"),
    path("jobs/<int:pk>/checkpoints/", views.checkpoints, name="checkpoints"),
    path("jobs/<int:pk>/timing/", timing_views.page, name="timing"),
    path("jobs/<int:pk>/timing/part/", timing_views.part, name="timing_part"),
    path("points/", point_views.across_runs, name="across_runs"),
    path("jobs/<int:pk>/points/", point_views.of_run, name="points"),
    path("jobs/<int:pk>/names/", point_views.names, name="names"),
    path("jobs/<int:pk>/figures/", views.figures_list, name="figures"),
    path("jobs/<int:pk>/metric/", metric_views.metric, name="metric"),
    path("jobs/<int:pk>/metrics.<slug:ending>", metric_views.export, name="export"),
    path("jobs/<int:pk>/marks/", metric_views.marks, name="marks"),
    path("jobs/<int:pk>/pin/", metric_views.pin, name="pin"),
    path("jobs/<int:pk>/system/", views.system, name="system"),
    path("jobs/<int:pk>/log/", log_views.log, name="log"),
    path("jobs/<int:pk>/log/search/", log_views.search, name="log_search"),
    path("jobs/<int:pk>/log/<int:at>/", log_views.log_line, name="log_line"),
    path("jobs/<int:pk>/answers/", answer_views.answers, name="answers"),
    path("jobs/<int:pk>/answers/steps/", answer_views.steps, name="answer_steps"),
    path("jobs/<int:pk>/stack/", views.stack, name="stack"),
]
