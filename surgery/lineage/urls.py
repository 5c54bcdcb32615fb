from django.urls import path

from surgery.lineage import views

urlpatterns = [
    path("lineage/job/<int:pk>/", views.of_job, name="lineage_of_job"),
    path("lineage/artifact/<int:pk>/", views.of_artifact, name="lineage_of_artifact"),
    path("again/<int:pk>/", views.again, name="again"),
]
