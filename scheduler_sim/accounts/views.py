"""The pages on which somebody signs in and out and looks after an account."""

from django.contrib.auth import views
from django.contrib.auth.decorators import login_required
from django.contrib.messages.views import SuccessMessageMixin
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse_lazy
from django.views.decorators.http import require_safe

from scheduler_sim.accounts.sign_in import limited_login

sign_in = limited_login(views.LoginView.as_view(template_name="accounts/sign_in.html", next_page="start"))
sign_out = views.LogoutView.as_view(next_page="start")


class PasswordView(SuccessMessageMixin, views.PasswordChangeView):
    """Changes somebody's own password, which ends the sessions that other browsers have."""

    template_name = "accounts/password.html"
    success_url = reverse_lazy("account")
    success_message = "Your password is changed."


@login_required
@require_safe
def account(request: HttpRequest) -> HttpResponse:
    """Show who is signed in and what that allows."""
    may_control = request.user.has_perm("results.control_run")
    return render(request, "accounts/account.html", {"may_control": may_control})
