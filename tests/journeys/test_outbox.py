"""The outbox: each letter goes out once, whatever happens to its senders."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from django.db import IntegrityError, connection, transaction
from procrastinate.contrib.django.models import ProcrastinateJob

from xuka.accounts import operations as accounts
from xuka.journal.models import Fact
from xuka.kernel import ids
from xuka.kernel.outcome import Done, Outcome, Refused, Unknown
from xuka.messaging import operations as messaging
from xuka.messaging import queries
from xuka.messaging.contract import Letter
from xuka.messaging.models import Message
from xuka.messaging.rules import LEASE, pause_after

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)
ORDER = UUID("11111111-1111-4111-8111-111111111111")
MINUTE = timedelta(minutes=1)


class Post:
    """A channel that answers what it is told, the last answer for ever, and keeps what it was handed."""

    name = "email"

    def __init__(self, **options: Any) -> None:
        self.options = options
        self.letters: list[Letter] = []
        self.answers: list[Outcome[str]] = [Done("250 taken")]
        self.on_wire: Callable[[], None] = lambda: None

    def send(self, letter: Letter) -> Outcome[str]:
        """Take the letter."""
        self.letters.append(letter)
        self.on_wire()
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


@pytest.fixture
def post(settings: Any) -> Iterator[Post]:
    """The channel that this process's outbox writes to."""
    settings.CHANNELS = {"email": {"connector": f"{__name__}.Post", "host": "mail.example"}}
    messaging.channel.cache_clear()
    channel = messaging.channel("email")
    assert isinstance(channel, Post)
    yield channel
    messaging.channel.cache_clear()


def queued(**changes: Any) -> UUID:
    words = {"subject": "Renewed", "text": "Your card is renewed.", "html": "<p>Your card is renewed.</p>"}
    told = {"cause": ORDER, "kind": "renewed", "to": "yu@example.com", "language": "zh-hans", "now": NOW, **words}
    return messaging.queue(**(told | changes))


def facts(message_id: UUID) -> list[str]:
    return [fact.what for fact in Fact.objects.filter(subject=message_id).order_by("at", "what")]


# ---- queueing -----------------------------------------------------------------------------------------------------


def test_a_queued_message_waits_with_its_fact_and_its_job() -> None:
    id = queued()
    message = Message.objects.get()
    assert (message.id, message.state, message.tries, message.next_try_at) == (id, "queued", 0, NOW)
    assert (message.to, message.language, message.subject) == ("yu@example.com", "zh-hans", "Renewed")
    assert facts(id) == ["message.queued"]
    job = ProcrastinateJob.objects.get()
    assert (job.task_name, job.args) == ("send_message", {"subject": str(id)})
    assert queries.due_messages(NOW) == [id]
    assert queries.due_messages(NOW - timedelta(seconds=1)) == []


def test_the_same_message_again_changes_nothing() -> None:
    id = queued()
    assert queued(text="Other words.", now=NOW + MINUTE) == id
    assert Message.objects.get().text == "Your card is renewed."
    assert facts(id) == ["message.queued"]
    assert ProcrastinateJob.objects.count() == 1


@pytest.mark.parametrize("change", [{"cause": ids.new()}, {"kind": "failed"}, {"to": "seller@example.com"}])
def test_another_cause_kind_or_address_is_another_message(change: dict[str, Any]) -> None:
    assert queued() != queued(**change)
    assert Message.objects.count() == 2


def test_the_database_itself_keeps_one_message_per_cause_kind_and_address() -> None:
    queued()
    twin = Message.objects.get()
    twin.id = ids.new()
    with pytest.raises(IntegrityError, match="message_once"), transaction.atomic():
        twin.save(force_insert=True)


def test_a_message_of_a_change_that_was_undone_is_not_there() -> None:
    with transaction.atomic():
        queued()
        transaction.set_rollback(True)
    assert (Message.objects.count(), Fact.objects.count(), ProcrastinateJob.objects.count()) == (0, 0, 0)


def test_the_messages_about_an_order_are_told_in_their_order() -> None:
    queued(kind="renewed", now=NOW + MINUTE)
    queued(kind="confirmed")
    queued(cause=ids.new())
    assert [message.kind for message in queries.messages_about(ORDER)] == ["confirmed", "renewed"]


def test_a_subject_is_one_line() -> None:
    queued(subject="Renewed\r\nBcc: everybody@example.com")
    assert Message.objects.get().subject == "Renewed Bcc: everybody@example.com"


def test_a_message_knows_its_customer() -> None:
    yu = accounts.register_user(email="yu@example.com", language="zh-hans", now=NOW)
    id = queued(customer=yu.id)
    assert Message.objects.get().customer_id == yu.id
    assert Fact.objects.get(subject=id).who == f"customer:{yu.id}"


# ---- sending ------------------------------------------------------------------------------------------------------


def test_a_message_goes_out_once(post: Post) -> None:
    id = queued()
    messaging.send(message_id=id, now=NOW + MINUTE)
    messaging.send(message_id=id, now=NOW + MINUTE)
    messaging.send(message_id=id, now=NOW + timedelta(days=30))
    assert post.letters == [
        Letter(
            id=id,
            to="yu@example.com",
            language="zh-hans",
            subject="Renewed",
            text="Your card is renewed.",
            html="<p>Your card is renewed.</p>",
        )
    ]
    message = Message.objects.get()
    assert (message.state, message.tries, message.sent_at, message.reference) == ("sent", 1, NOW + MINUTE, "250 taken")
    assert (message.next_try_at, message.lease_until, message.error) == (None, None, "")
    assert facts(id) == ["message.queued", "message.sent"]
    assert queries.due_messages(NOW + timedelta(days=30)) == []


def test_a_message_is_not_sent_before_its_time(post: Post) -> None:
    id = queued()
    messaging.send(message_id=id, now=NOW - timedelta(seconds=1))
    messaging.send(message_id=ids.new(), now=NOW)
    assert post.letters == []


def test_the_channel_is_built_once_from_the_settings(post: Post) -> None:
    assert post.options == {"host": "mail.example"}
    assert messaging.channel("email") is post


@pytest.mark.django_db(transaction=True)
def test_no_transaction_is_open_while_the_letter_is_on_the_wire(post: Post) -> None:
    open_ones: list[bool] = []
    post.on_wire = lambda: open_ones.append(connection.in_atomic_block)
    messaging.send(message_id=queued(), now=NOW)
    assert open_ones == [False]


@pytest.mark.django_db(transaction=True)
def test_two_workers_at_once_send_one_letter(post: Post) -> None:
    id = queued()
    on_wire, may_answer = threading.Event(), threading.Event()

    def wait() -> None:
        on_wire.set()
        assert may_answer.wait(20)

    def work() -> None:
        try:
            messaging.send(message_id=id, now=NOW)
        finally:
            connection.close()

    post.on_wire = wait
    first = threading.Thread(target=work)
    first.start()
    assert on_wire.wait(20)
    assert Message.objects.get().state == "sending"
    second = threading.Thread(target=work)
    second.start()
    second.join(20)
    assert not second.is_alive(), "the second does not wait for the first"
    may_answer.set()
    first.join(20)
    assert len(post.letters) == 1
    assert (Message.objects.get().state, Message.objects.get().tries) == ("sent", 1)


@pytest.mark.django_db(transaction=True)
def test_many_workers_racing_for_the_lease_send_one_letter(post: Post) -> None:
    id = queued()
    ready = threading.Barrier(6)

    def work() -> None:
        try:
            ready.wait(20)
            messaging.send(message_id=id, now=NOW)
        finally:
            connection.close()

    workers = [threading.Thread(target=work) for _ in range(6)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(30)
    assert len(post.letters) == 1
    assert Message.objects.get().tries == 1


# ---- when it does not work ----------------------------------------------------------------------------------------

LATER = Refused("later", retry_after=timedelta(seconds=10), detail="451 greylisted")
WAITS = [MINUTE, 5 * MINUTE, 30 * MINUTE, 120 * MINUTE]


@pytest.mark.parametrize("answer", [LATER, Unknown("no answer after DATA")])
def test_a_message_is_tried_five_times_ever_later_and_then_has_failed(post: Post, answer: Outcome[str]) -> None:
    post.answers = [answer]
    id, now = queued(), NOW
    for tries, wait in enumerate(WAITS, start=1):
        messaging.send(message_id=id, now=now)
        message = Message.objects.get()
        assert (message.state, message.tries, message.lease_until) == ("queued", tries, None)
        assert message.next_try_at == now + wait
        messaging.send(message_id=id, now=now + wait - timedelta(seconds=1))
        assert len(post.letters) == tries, "not before its time"
        now += wait
        assert queries.due_messages(now) == [id]
    messaging.send(message_id=id, now=now)
    message = Message.objects.get()
    assert (message.state, message.tries, message.next_try_at, message.sent_at) == ("failed", 5, None, None)
    assert message.error == ("later: 451 greylisted" if answer is LATER else "no answer after DATA")
    assert facts(id) == ["message.queued", "message.failed"]
    messaging.send(message_id=id, now=now + timedelta(days=1))
    assert len(post.letters) == 5
    assert {letter.id for letter in post.letters} == {id}, "each try is the same letter"


def test_a_letter_of_which_nobody_knows_goes_again_under_the_same_id(post: Post) -> None:
    post.answers = [Unknown("no answer after DATA"), Done("250 again")]
    id = queued()
    messaging.send(message_id=id, now=NOW)
    messaging.send(message_id=id, now=NOW + MINUTE)
    assert [letter.id for letter in post.letters] == [id, id]
    assert (Message.objects.get().state, Message.objects.get().reference) == ("sent", "250 again")


def test_a_longer_wait_that_the_other_side_asks_for_is_kept(post: Post) -> None:
    post.answers = [Refused("later", retry_after=timedelta(hours=1))]
    messaging.send(message_id=queued(), now=NOW)
    assert Message.objects.get().next_try_at == NOW + timedelta(hours=1)


def test_an_address_that_is_refused_for_good_is_not_tried_again(post: Post) -> None:
    post.answers = [Refused("refused", detail="550 no such user")]
    id = queued()
    messaging.send(message_id=id, now=NOW)
    message = Message.objects.get()
    assert (message.state, message.tries, message.error) == ("failed", 1, "refused: 550 no such user")
    fact = Fact.objects.get(what="message.failed")
    assert (fact.subject, fact.why) == (id, "refused: 550 no such user")


def test_the_pauses_are_one_five_and_thirty_minutes_and_two_hours() -> None:
    assert [pause_after(tries) for tries in range(1, 6)] == [*WAITS, None]


# ---- a sender that dies -------------------------------------------------------------------------------------------


class Killed(BaseException):
    """The process died here."""


def killed() -> None:
    """Die on the wire."""
    raise Killed


def test_a_message_whose_sender_died_is_sent_when_the_lease_has_ended(post: Post) -> None:
    id = queued()
    post.on_wire = killed
    with pytest.raises(Killed):
        messaging.send(message_id=id, now=NOW)
    message = Message.objects.get()
    assert (message.state, message.lease_until, message.next_try_at) == ("sending", NOW + LEASE, NOW + LEASE)
    post.on_wire = lambda: None
    messaging.send(message_id=id, now=NOW + LEASE - timedelta(seconds=1))
    assert len(post.letters) == 1, "a live lease is respected"
    assert queries.due_messages(NOW + LEASE) == [id]
    messaging.send(message_id=id, now=NOW + LEASE)
    assert [letter.id for letter in post.letters] == [id, id]
    assert (Message.objects.get().state, Message.objects.get().tries) == ("sent", 2)


def test_a_message_that_kills_every_sender_is_given_up(post: Post) -> None:
    id, now = queued(), NOW
    post.on_wire = killed
    for _ in range(5):
        with pytest.raises(Killed):
            messaging.send(message_id=id, now=now)
        now += LEASE
    messaging.send(message_id=id, now=now)
    assert len(post.letters) == 5
    message = Message.objects.get()
    assert (message.state, message.error) == ("failed", "Each try ended without an outcome.")
    assert facts(id) == ["message.queued", "message.failed"]


def test_a_sender_that_wakes_up_late_with_a_failure_does_not_undo_the_other_s_success(post: Post) -> None:
    id = queued()
    post.answers = [Done("250 second"), LATER]

    def while_the_first_sleeps() -> None:
        post.on_wire = lambda: None
        messaging.send(message_id=id, now=NOW + LEASE)

    post.on_wire = while_the_first_sleeps
    messaging.send(message_id=id, now=NOW)
    message = Message.objects.get()
    assert (message.state, message.tries, message.reference) == ("sent", 2, "250 second")
    assert facts(id) == ["message.queued", "message.sent"]


def test_a_sender_that_wakes_up_late_with_a_success_is_believed_once(post: Post) -> None:
    id = queued()
    post.answers = [LATER, Done("250 first")]

    def while_the_first_sleeps() -> None:
        post.on_wire = lambda: None
        messaging.send(message_id=id, now=NOW + LEASE)

    post.on_wire = while_the_first_sleeps
    messaging.send(message_id=id, now=NOW)
    message = Message.objects.get()
    assert (message.state, message.reference, message.next_try_at) == ("sent", "250 first", None)
    assert facts(id) == ["message.queued", "message.sent"]


@pytest.mark.django_db(transaction=True)
def test_a_sender_that_wakes_up_late_does_not_free_the_lease_of_the_next(post: Post) -> None:
    id = queued()
    post.answers = [LATER, Done("250 second")]
    asleep, first_may_answer = threading.Event(), threading.Event()

    def sleep() -> None:
        asleep.set()
        assert first_may_answer.wait(20)

    def first_sender() -> None:
        try:
            messaging.send(message_id=id, now=NOW)
        finally:
            connection.close()

    def while_the_second_is_on_the_wire() -> None:
        first_may_answer.set()
        first.join(20)
        message = Message.objects.get()
        assert (message.state, message.tries, message.lease_until) == ("sending", 2, NOW + 2 * LEASE)

    post.on_wire = sleep
    first = threading.Thread(target=first_sender)
    first.start()
    assert asleep.wait(20)
    post.on_wire = while_the_second_is_on_the_wire
    messaging.send(message_id=id, now=NOW + LEASE)
    assert (Message.objects.get().state, Message.objects.get().reference) == ("sent", "250 second")


# ---- secrets ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("answer", [Done("250 taken"), Refused("refused", detail="550")])
def test_the_words_of_a_secret_are_forgotten_once_it_is_out_or_given_up(post: Post, answer: Outcome[str]) -> None:
    post.answers = [answer]
    id = queued(kind="login_code", subject="Your code: 123456", text="123456", html="<b>123456</b>", secret=True)
    messaging.send(message_id=id, now=NOW)
    assert post.letters[0].text == "123456"
    message = Message.objects.get()
    assert (message.subject, message.text, message.html) == ("", "", "")
    assert message.state in {"sent", "failed"}
    assert "123456" not in str(list(Fact.objects.values()))


def test_the_words_of_a_secret_are_kept_while_it_is_still_to_be_tried(post: Post) -> None:
    post.answers = [LATER]
    id = queued(text="123456", secret=True)
    messaging.send(message_id=id, now=NOW)
    assert Message.objects.get().text == "123456"


def test_the_words_of_other_messages_stay_to_be_read(post: Post) -> None:
    messaging.send(message_id=queued(), now=NOW)
    assert Message.objects.get().text == "Your card is renewed."


# ---- by hand ------------------------------------------------------------------------------------------------------


def test_staff_may_put_a_failed_message_back(post: Post) -> None:
    post.answers = [Refused("refused", detail="550"), Done("250 taken")]
    id = queued()
    messaging.send(message_id=id, now=NOW)
    messaging.try_again(message_id=id, who="staff:1", why="mailbox is open again", now=NOW + MINUTE)
    messaging.send(message_id=id, now=NOW + MINUTE)
    assert Message.objects.get().state == "sent"
    messaging.try_again(message_id=id, who="staff:1", why="once more", now=NOW + MINUTE)
    assert Message.objects.get().state == "sent"
    assert len(post.letters) == 2


def test_the_states_of_the_outbox_are_walls_in_the_database() -> None:
    queued()
    for change in (
        {"state": "sent", "next_try_at": None},
        {"state": "queued", "next_try_at": None},
        {"state": "sending", "lease_until": None},
        {"state": "failed", "next_try_at": NOW},
        {"state": "lost", "next_try_at": NOW},
    ):
        with pytest.raises(IntegrityError), transaction.atomic():
            Message.objects.update(**change)
