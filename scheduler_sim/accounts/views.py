"""The pages on which somebody signs in and out and looks after an account."""

from http import HTTPStatus
from typing import Any, cast

from django.contrib import messages
from django.contrib.auth import views
from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import User
from django.contrib.messages.views import SuccessMessageMixin
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from scheduler_sim.accounts import audit
from scheduler_sim.accounts.forms import TokenForm
from scheduler_sim.accounts.services import TooManyTokens, token_create, token_delete
from scheduler_sim.accounts.sign_in import limited_login

sign_in = limited_login(views.LoginView.as_view(template_name="accounts/sign_in.html", next_page="start"))
sign_out = views.LogoutView.as_view(next_page="start")


class PasswordView(SuccessMessageMixin, views.PasswordChangeView):
    """Changes somebody's own password, which ends the sessions that other browsers have."""

    template_name = "accounts/password.html"
    success_url = reverse_lazy("account")
    success_message = "Your password is changed."

    @transaction.atomic
    def form_valid(self, form: Any) -> HttpResponse:
        """Change it."""
        audit.record(audit.Action.PASSWORD)
        return super().form_valid(form)


password = limited_login(PasswordView.as_view())


@login_required
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def account(request: HttpRequest) -> HttpResponse:
    """Show who is signed in, what that allows, and the tokens; make a token, and show its key this once."""
    user = cast(User, request.user)
    form = TokenForm(request.POST if request.method == "POST" else None)
    made, key = None, ""
    if form.is_bound and form.is_valid():
        try:
            made, key = token_create(
                user=user,
                name=form.cleaned_data["name"],
                scope=form.cleaned_data["scope"],
                expires_at=form.expires_at(),
            )
            form = TokenForm()
        except TooManyTokens as error:
            form.add_error(None, str(error))
    context = {
        "may_control": user.has_perm("results.control_run"),
        "form": form,
        "made": made,
        "key": key,
        "tokens": user.api_tokens.all(),
    }
    return render(request, "accounts/account.html", context, status=HTTPStatus.BAD_REQUEST if form.errors else None)


@require_POST
def delete_token(request: HttpRequest, pk: int) -> HttpResponse:
    """Delete one of the tokens of whoever is signed in."""
    if not request.user.is_authenticated:
        raise PermissionDenied("Only somebody who has signed in may delete a token.")
    token = get_object_or_404(request.user.api_tokens, pk=pk)
    token_delete(token=token)
    messages.success(request, f"The token {token.name} is deleted.")
    return redirect("account")
