from django.urls import path

from jobs.trackers import views

urlpatterns = [
    path("", views.tracker_list, name="trackers"),
    path("<slug:name>/", views.tracker_set, name="tracker_set"),
    path("<slug:name>/<slug:variable>/remove/", views.tracker_remove, name="tracker_remove"),
]
