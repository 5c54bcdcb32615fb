from django.urls import path

from jobs.rewards import views

urlpatterns = [path("", views.try_reward_page, name="try-reward")]
