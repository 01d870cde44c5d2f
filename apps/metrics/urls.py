"""Address of the list of policies."""

from django.urls import path

from apps.metrics import views

urlpatterns = [
    path("policies/", views.policy_list, name="policy-list"),
]
