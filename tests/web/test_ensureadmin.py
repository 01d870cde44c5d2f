"""The first administrator."""

import io
import re

import pytest
from django.contrib.auth import authenticate
from django.contrib.auth.models import User
from django.core.management import call_command

pytestmark = pytest.mark.django_db


def printed() -> str:
    out = io.StringIO()
    call_command("ensureadmin", stdout=out)
    return out.getvalue()


def test_it_prints_a_password_that_works_and_only_once() -> None:
    (password,) = re.findall(r"the password (\S+)", printed())
    user = authenticate(username="admin", password=password)
    assert user is not None
    assert user.is_superuser
    assert printed() == ""


def test_it_leaves_other_superusers_alone() -> None:
    User.objects.create_superuser("diana")
    assert printed() == ""
    assert not User.objects.filter(username="admin").exists()


def test_it_does_not_raise_somebody_to_superuser(capsys: pytest.CaptureFixture) -> None:
    User.objects.create_user("admin")
    call_command("ensureadmin", stderr=io.StringIO())
    assert not User.objects.get(username="admin").is_superuser
