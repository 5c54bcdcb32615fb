from django.urls import path

from surgery.adapters import views

urlpatterns = [
    path("lora/merge/", views.lora_merge, name="lora_merge"),
    path("lora/extract/", views.lora_extract, name="lora_extract"),
]
