from django.urls import path

from jobs.listing import mark_views, ticked_views, views

urlpatterns = [
    path("", views.job_list, name="list"),
    path("filter/", views.proposals, name="proposals"),
    path("columns/", mark_views.choose_columns, name="columns"),
    path("views/", mark_views.save_view, name="save_view"),
    path("views/<int:pk>/delete/", mark_views.delete_view, name="delete_view"),
    path("ticked/", ticked_views.ticked, name="ticked"),
    path("stop/", ticked_views.stop_ticked, name="stop_ticked"),
    path("<int:pk>/tags/", mark_views.tags, name="tags"),
    path("<int:pk>/note/", mark_views.note, name="note"),
    path("<int:pk>/pinned/", mark_views.pinned, name="pinned"),
]
