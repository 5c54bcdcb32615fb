from django.urls import path

from compute.pages import edit_views, event_views, views
from compute.pages.list_view import machine_list
from compute.pages.ray_form import RayForm
from compute.prices.views import price_list

app_name = "compute"
urlpatterns = [
    path("", machine_list, name="list"),
    path("new/", edit_views.machine_new, name="new"),
    path("ray/", edit_views.machine_new, {"kind": RayForm}, name="ray"),
    path("prices/", price_list, name="prices"),
    path("join/", edit_views.machine_join, name="join"),
    path("<int:pk>/", views.machine_detail, name="detail"),
    path("<int:pk>/check/", views.machine_check, name="check"),
    path("<int:pk>/setup/", views.machine_set_up, name="set_up"),
    path("<int:pk>/edit/", edit_views.machine_edit, name="edit"),
    path("<int:pk>/rental/", edit_views.machine_rental, name="rental"),
    path("<int:pk>/events/", event_views.machine_events, name="events"),
    path("<int:pk>/key/", edit_views.machine_key, name="key"),
    path("<int:pk>/remove/", edit_views.machine_remove, name="remove"),
]
