"""Reading accounts."""

from __future__ import annotations

from uuid import UUID

from xuka.accounts.models import User


def user(id: UUID) -> User | None:
    """The account of this id; None when there is none."""
    return User.objects.filter(id=id).first()


def user_by_phone(phone: str) -> User | None:
    """The account that has confirmed this number (E.164); None when there is none."""
    return User.objects.filter(phone=phone, phone_verified=True).first()


def user_by_email(email: str) -> User | None:
    """The account of this address, however it is capitalised; None when there is none."""
    return User.objects.filter(email__iexact=email.strip()).first()
