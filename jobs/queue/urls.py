from django.urls import path

from jobs.queue import views

app_name = "queue"
urlpatterns = [
    path("", views.queue_page, name="page"),
    path("<int:pk>/reason/", views.queue_reason, name="reason"),
    path("<int:pk>/move/", views.queue_move, name="move"),
    path("<int:pk>/hold/", views.queue_hold, name="hold"),
    path("<int:pk>/release/", views.queue_release, name="release"),
    path("<int:pk>/priority/", views.queue_priority, name="priority"),
]
