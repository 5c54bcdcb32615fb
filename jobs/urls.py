from django.urls import include, path

app_name = "jobs"
urlpatterns = [
    path("", include("jobs.listing.urls")),
    path("", include("jobs.archive.urls")),
    path("", include("jobs.order.urls")),
    path("", include("jobs.plan.urls")),
    path("", include("jobs.run.urls")),
    path("", include("jobs.exports.urls")),
    path("", include("jobs.rehearsal.urls")),
    path("", include("jobs.dryfire.urls")),
    path("accuracy/", include("jobs.accuracy.urls")),
    path("", include("jobs.provenance.urls")),
    path("", include("jobs.recipebook.urls")),
    path("try-reward/", include("jobs.rewards.urls")),
    path("trackers/", include("jobs.trackers.urls")),
]
