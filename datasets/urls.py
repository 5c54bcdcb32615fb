from django.urls import path

from datasets import views
from datasets.mapping import views as mapping
from datasets.versions import report_views
from datasets.versions import views as versions

app_name = "datasets"
SOURCE = "<int:pk>/sources/<int:source>"
VERSION = "<int:pk>/versions/<int:number>"
urlpatterns = [
    path("", views.dataset_list, name="list"),
    path("new/", views.dataset_new, name="new"),
    path("browse/", views.browse, name="browse"),
    path("<int:pk>/", views.dataset_detail, name="detail"),
    path("<int:pk>/add/", views.dataset_add, name="add"),
    path("<int:pk>/edit/", views.dataset_edit, name="edit"),
    path("<int:pk>/delete/", views.dataset_delete, name="delete"),
    path(f"{SOURCE}/retry/", views.source_retry, name="source_retry"),
    path(f"{SOURCE}/cancel/", views.source_cancel, name="source_cancel"),
    path(f"{SOURCE}/map/", mapping.source_map, name="map"),
    path(f"{SOURCE}/map/preview/", mapping.map_preview, name="map_preview"),
    path(f"{VERSION}/", versions.rows, name="version"),
    path(f"{VERSION}/rows/<int:row>/", versions.row, name="version_row"),
    path(f"{VERSION}/tokens/", versions.tokens, name="version_tokens"),
    path(f"{VERSION}/report/", report_views.report, name="version_report"),
    path(f"{VERSION}/check/", report_views.check, name="version_check"),
    path(f"{VERSION}/report/<int:report>/retry/", report_views.report_retry, name="report_retry"),
    path(f"{VERSION}/clean/", report_views.clean, name="version_clean"),
    path(f"{VERSION}/fields/", versions.distribution, name="version_distribution"),
    path(f"{VERSION}/removed/", versions.removed, name="version_removed"),
    path(f"{VERSION}/files/<slug:which>.parquet", versions.download, name="version_file"),
    path(f"{VERSION}/retry/", views.version_retry, name="version_retry"),
    path(f"{VERSION}/cancel/", views.version_cancel, name="version_cancel"),
    path(f"{VERSION}/delete/", views.version_delete, name="version_delete"),
]
