"""Who a customer is, and what they may say of themselves."""

from __future__ import annotations

from datetime import UTC, datetime
from io import StringIO
from uuid import UUID

import pytest
from django.core.exceptions import ValidationError
from django.core.management import call_command
from django.db import IntegrityError, transaction

from xuka.accounts import operations as accounts
from xuka.accounts import queries
from xuka.accounts.models import User
from xuka.accounts.operations import EmailTaken
from xuka.accounts.rules import InvalidLanguage, InvalidTimeZone
from xuka.journal.models import Fact
from xuka.journal.queries import facts_about
from xuka.kernel import ids

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)


def yu() -> User:
    return accounts.register_user(
        email=" Yu@Example.com ", name="王小雨", language="zh-hans", time_zone="Asia/Shanghai", now=NOW
    )


def test_a_new_customer_is_stored_with_the_fact() -> None:
    user = User.objects.get(id=yu().id)
    assert (user.email, user.name, user.language, user.time_zone) == (
        "yu@example.com",
        "王小雨",
        "zh-hans",
        "Asia/Shanghai",
    )
    assert (user.is_active, user.is_staff, user.is_superuser) == (True, False, False)
    assert not user.has_usable_password(), "they sign in with a code"
    (fact,) = facts_about(user.id)
    assert (fact.what, fact.who, fact.at) == ("user.registered", f"customer:{user.id}", NOW)
    assert "example.com" not in str(fact.after)


@pytest.mark.parametrize("email", ["yu@example.com", "YU@EXAMPLE.COM", " yU@example.com"])
def test_an_address_is_one_account_however_it_is_capitalised(email: str) -> None:
    first = yu()
    with pytest.raises(EmailTaken):
        accounts.register_user(email=email, language="en", now=NOW)
    assert (User.objects.count(), Fact.objects.count()) == (1, 1)
    assert queries.user_by_email(email) == first
    assert User.objects.get_by_natural_key(email.strip()) == first


def test_the_database_itself_knows_no_second_account_of_an_address() -> None:
    yu()
    with pytest.raises(IntegrityError, match="user_email"), transaction.atomic():
        User(email="YU@example.com").save()


def test_registering_the_same_id_and_address_again_changes_nothing() -> None:
    id = ids.new()
    first = accounts.register_user(id=id, email="emma@example.com", language="en", now=NOW)
    assert accounts.register_user(id=id, email="Emma@example.com", language="zh-hans", now=NOW) == first
    assert User.objects.get().language == "en"
    with pytest.raises(EmailTaken):
        accounts.register_user(id=id, email="other@example.com", language="en", now=NOW)
    assert len(facts_about(id)) == 1


def test_a_sign_up_with_a_bad_zone_or_language_stores_nothing() -> None:
    with pytest.raises(InvalidTimeZone):
        accounts.register_user(email="a@example.com", language="en", time_zone="Europe/Bruxelles", now=NOW)
    with pytest.raises(InvalidLanguage):
        accounts.register_user(email="a@example.com", language="tlh", now=NOW)
    assert (User.objects.count(), Fact.objects.count()) == (0, 0)


def test_language_zone_and_name_are_changed_with_a_fact_each() -> None:
    user = yu()
    accounts.set_language(customer=user.id, language="en", now=NOW)
    accounts.set_time_zone(customer=user.id, time_zone="Europe/Brussels", now=NOW)
    accounts.set_name(customer=user.id, name=" 小雨 ", now=NOW)
    user.refresh_from_db()
    assert (user.language, user.time_zone, user.name) == ("en", "Europe/Brussels", "小雨")
    told = {fact.what: (fact.before, fact.after) for fact in facts_about(user.id)}
    assert told["user.language_set"] == ({"language": "zh-hans"}, {"language": "en"})
    assert told["user.time_zone_set"] == ({"time_zone": "Asia/Shanghai"}, {"time_zone": "Europe/Brussels"})
    assert told["user.name_set"] == (None, None), "a name stays out of the journal"


def test_setting_what_is_set_already_changes_nothing() -> None:
    user = yu()
    accounts.set_language(customer=user.id, language="zh-Hans", now=NOW)
    accounts.set_time_zone(customer=user.id, time_zone="Asia/Shanghai", now=NOW)
    accounts.set_name(customer=user.id, name="王小雨", now=NOW)
    assert [fact.what for fact in facts_about(user.id)] == ["user.registered"]


@pytest.mark.parametrize("zone", ["Mars/Olympus", "../../etc/passwd", "europe/brussels", "UTC+2", "'; drop table", " "])
def test_a_time_zone_that_is_none_is_refused(zone: str) -> None:
    user = yu()
    with pytest.raises(InvalidTimeZone):
        accounts.set_time_zone(customer=user.id, time_zone=zone, now=NOW)
    user.time_zone = zone
    with pytest.raises(ValidationError):
        user.full_clean()
    assert User.objects.get().time_zone == "Asia/Shanghai"


def test_a_customer_may_have_no_zone_of_their_own() -> None:
    user = yu()
    accounts.set_time_zone(customer=user.id, time_zone="", now=NOW)
    assert User.objects.get().time_zone == ""


def test_nobody_is_found_under_an_unknown_id_or_address() -> None:
    yu()
    assert queries.user(UUID(int=0)) is None
    assert queries.user_by_email("nobody@example.com") is None


def test_django_s_own_commands_make_staff() -> None:
    call_command("createsuperuser", email="Boss@Example.com", interactive=False, stdout=StringIO())
    boss = User.objects.get()
    assert (boss.email, boss.is_staff, boss.is_superuser) == ("boss@example.com", True, True)
    assert not boss.has_usable_password()
    made = User.objects.create_user("Worker@example.com", "a long pass phrase")
    assert (made.email, made.is_staff, made.check_password("a long pass phrase")) == ("worker@example.com", False, True)
    with pytest.raises(ValueError):
        User.objects.create_user("  ")
