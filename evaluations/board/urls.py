from django.urls import path

from evaluations.board import views

urlpatterns = [
    path("", views.evaluation_list, name="list"),
    path("board/", views.board, name="board"),
]
