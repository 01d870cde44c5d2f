"""Addresses of what somebody does with an account of their own."""

from django.urls import path

from scheduler_sim.accounts import views

urlpatterns = [
    path("", views.account, name="account"),
    path("login/", views.sign_in, name="sign-in"),
    path("logout/", views.sign_out, name="sign-out"),
    path("tokens/<int:pk>/delete/", views.delete_token, name="token-delete"),
    path("password/", views.password, name="password"),
]
