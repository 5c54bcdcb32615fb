from django.urls import path

from evaluations.chains import recipe_views, views

urlpatterns = [
    path("chains/", views.chain_list, name="chains"),
    path("chains/new/", views.chain_new, name="chain_new"),
    path("chains/<int:pk>/", views.chain_detail, name="chain"),
    path("chains/<int:pk>/<slug:verb>/", views.chain_verb, name="chain_verb"),
    path("chains/recipes/", recipe_views.recipe_list, name="chain_recipes"),
    path("chains/recipes/<int:pk>/", recipe_views.recipe_detail, name="chain_recipe"),
]
