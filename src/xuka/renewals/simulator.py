"""What would be active when, if this happened to a card: the rules of ``rules``, ``lines`` and ``auto_rules``. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

from xuka.catalogue.rules import Policy, instant_of
from xuka.kernel.span import Span
from xuka.lines.rules import Booked, CannotStart, Lived, Track, end_of, pass_time, start_next, use
from xuka.renewals.auto_rules import (
    Switch,
    Trigger,
    after_refusal,
    due_at,
    is_due,
    off_until,
    triggers,
    used_percent,
)
from xuka.renewals.rules import Left, NotNow, Stacked, again_at, is_over, loses_what_is_paid, stack


@dataclass(frozen=True, slots=True)
class Action:
    """Something that happens to a card.

    Attributes:
        at: when, aware, or without offset on the clock of the simulation's zone.
        does: ``buy`` a period; ``use`` the card; ``use_up`` the data of what runs; ``start_next`` by hand;
            ``switch_on`` and ``switch_off`` that it renews itself; ``look`` at how much is left.
        policy: of the plan that is bought, where it is not the one simulated.
        left: of the data that runs, where that matters.
        trigger: when it renews itself; None is what its plan proposes.
        minor: what a purchase costs, in minor units.
    """

    at: datetime
    does: Literal["buy", "use", "use_up", "start_next", "switch_on", "switch_off", "look"] = "buy"
    policy: Policy | None = None
    left: Left | None = None
    trigger: Trigger | None = None
    minor: int = 1


@dataclass(frozen=True, slots=True)
class Happened:
    """What came of an action: what a renewal did, or why nothing happened (``refused``: a code), and from when it can.

    ``policy``: of what was bought. ``by_itself``: the card renewed itself, or wanted to.
    """

    at: datetime
    stacked: Stacked | None = None
    refused: str = ""
    possible_at: datetime | None = None
    policy: Policy | None = None
    by_itself: bool = False

    @property
    def again_at(self) -> datetime | None:
        """From when one could renew so once more."""
        return again_at(stacked=self.stacked, policy=self.policy, now=self.at) if self.stacked and self.policy else None


@dataclass(frozen=True, slots=True)
class Simulated:
    """What came of every action, and the tracks as they are in the end: the main one, then those beside it.

    ``renews_itself``: whether it would go on doing so.
    """

    happened: tuple[Happened, ...]
    tracks: tuple[Track, ...]
    renews_itself: bool = False

    @property
    def spans(self) -> list[Span]:
        """When each period that has dates is active, in order of time."""
        spans = [period.span for track in self.tracks for period in track if period.span]
        return sorted(spans, key=lambda span: (span.starts_at, span.ends_at))

    @property
    def valid_until(self) -> datetime | None:
        """The end of the last period that has dates."""
        return max((span.ends_at for span in self.spans), default=None)


class RenewsTooOften(Exception):
    """The card renews itself, or tries to, more often than was to be told."""


def simulate(
    policy: Policy,
    actions: Iterable[Action],
    zone: str = "UTC",
    until: datetime | None = None,
    most_by_itself: int | None = None,
) -> Simulated:
    """What would be active when, if this happened to a new card, in this order; ``until``: and nobody did more.

    It takes the very steps that a real line takes, so both agree.

    Raises:
        RenewsTooOften: more often than ``most_by_itself``.
    """
    card = _Card(policy, zone, most_by_itself)
    for action in actions:
        at = action.at if action.at.tzinfo else instant_of(action.at, zone)
        card.pass_time(at)
        card.act(action, at)
    if until:
        card.pass_time(until)
    return Simulated(tuple(card.happened), tuple(card.tracks), card.trigger is not None)


class _Card:
    """A simulated card: its tracks, the policies of what is booked, and whether and when it renews itself."""

    def __init__(self, policy: Policy, zone: str, most_by_itself: int | None = None) -> None:
        self.policy, self.zone, self.most_by_itself = policy, zone, most_by_itself
        self.tracks: list[Track] = [()]
        self.policies: dict[UUID, Policy] = {}
        self.happened: list[Happened] = []
        self.bought = 0
        self.began_at: datetime | None = None
        self.spent: list[tuple[datetime, int]] = []
        self.used_at: datetime | None = None
        self.trigger: Trigger | None = None
        self.tries = 0
        self.next_at: datetime | None = None
        self.last_end: datetime | None = None
        self.renewed_end: datetime | None = None

    def act(self, action: Action, at: datetime) -> None:
        try:
            self.happened.append(self._done(action, at))
        except NotNow as refused:
            self.happened.append(Happened(at, None, refused.code, refused.possible_at))
        except CannotStart as refused:
            self.happened.append(Happened(at, None, refused.code))
        left = Left(0, 1) if action.does == "use_up" else action.left
        if action.does in {"look", "use_up"} and left:
            self._renew_by_use(left, at)

    def _done(self, action: Action, at: datetime) -> Happened:
        match action.does:
            case "buy":
                return self._bought(action.policy or self.policy, action.left, at, minor=action.minor)
            case "use":
                self.used_at = at
                self.tracks = [use(track, at) for track in self.tracks]
            case "use_up" | "start_next":
                self._start_next(action, at)
            case "switch_on":
                self._switch_on(action.trigger, at)
            case "switch_off":
                self._switch_off(at)
            case "look":
                pass
        return Happened(at)

    def _bought(
        self, policy: Policy, left: Left | None, at: datetime, *, minor: int = 1, by_itself: bool = False
    ) -> Happened:
        """Buy a period; by itself only what loses nothing that is paid for."""
        newest = self._newest()
        last = self.policies[newest.id] if newest else None
        id = UUID(int=self.bought)
        lived = None
        if last and last.ending.stages:
            lived = Lived(self.began_at or at, self._end(at), tuple(self.spent), self.used_at)
        beside = tuple(period for track in self.tracks[1:] for period in track)
        stacked = stack(
            track=self.tracks[0], policy=policy, now=at, last=last, left=left, beside=beside, lived=lived, id=id
        )
        if by_itself and loses_what_is_paid(stacked.lost):
            raise NotNow("would_lose")
        booking = stacked.booking
        assert booking is not None, "it was just made"
        self.bought += 1
        self.began_at = self.began_at or at
        self.spent.append((at, minor))
        self.policies[id] = policy
        if booking.is_beside:
            self.tracks.append(booking.track)
        else:
            self.tracks[0] = booking.track
        self._plan(at)
        return Happened(at, stacked, policy=policy, by_itself=by_itself)

    def pass_time(self, until: datetime) -> None:
        """What waits starts, and the card renews itself when that is due."""
        while self.next_at is not None and self.next_at <= until:
            due = self.next_at
            self.tracks = [pass_time(track, due) for track in self.tracks]
            self._renew(due)
        self.tracks = [pass_time(track, until) for track in self.tracks]

    def _newest(self) -> Booked | None:
        return max(
            self.tracks[0], key=lambda p: (p.span is None, p.span.ends_at if p.span else p.funded_at), default=None
        )

    def _end(self, at: datetime) -> datetime | None:
        return end_of(self.tracks[0], at)

    def _start_next(self, action: Action, at: datetime) -> None:
        because = "used_up" if action.does == "use_up" else "by_hand"
        if because == "used_up" and not any(period.span is None for period in self.tracks[0]) and self.trigger:
            return  # nothing waits, and it renews itself
        self.tracks[0] = start_next(self.tracks[0], at, because)
        self._plan(at)

    # -- renewing itself, by the rules of ``auto_rules``

    def _switch_on(self, trigger: Trigger | None, at: datetime) -> None:
        offered = triggers(self.policy)
        wanted = trigger or next(iter(offered), None)
        if wanted is None or wanted not in offered:
            raise NotNow("trigger")
        self.trigger, self.last_end = wanted, None
        self._plan(at)

    def _switch_off(self, at: datetime) -> None:
        end = self._end(at)
        until = off_until(self.policy, end) if end else None
        if self.next_at and end and until and until <= at < end:
            self.last_end = end
        else:
            self.trigger = self.next_at = None

    def _plan(self, at: datetime) -> None:
        if self.trigger is None:
            return
        end = self._end(at)
        if self.trigger and self.last_end not in (None, end):
            self.trigger = None
        self.tries = 0
        ahead = self.trigger is not None and end is not None and end > at and end != self.renewed_end
        self.next_at = max(due_at(self.trigger, end), at) if ahead and self.trigger and end else None

    def _renew(self, at: datetime) -> None:
        """Its date, or a further try; what goes by use is over at the end."""
        assert self.trigger is not None, "else nothing is due"
        if self.trigger.is_by_use and not self.tries and not self.policy.auto.at_end_too:
            self.trigger = self.next_at = None
            return
        self._try(None, at)

    def _renew_by_use(self, left: Left, at: datetime) -> None:
        end = self._end(at)
        ahead = sum(not is_over(period, at) for track in self.tracks for period in track)
        used = used_percent(left=left.bytes, of=left.of_bytes)
        waits = self.trigger is not None and self.trigger.is_by_use and not self.tries and self.next_at is not None
        if waits and self.trigger and end and is_due(self.trigger, ends_at=end, packs=ahead, used_percent=used, now=at):
            self._try(left, at)

    def _try(self, left: Left | None, at: datetime) -> None:
        if self.most_by_itself is not None and sum(one.by_itself for one in self.happened) >= self.most_by_itself:
            raise RenewsTooOften
        renews = self._end(at)
        try:
            self.happened.append(self._bought(self.policy, left, at, by_itself=True))
            if self._end(at) == renews:  # it runs beside: this end is renewed, and not again
                self.renewed_end, self.next_at = renews, None
        except NotNow as refused:
            self.tries += 1
            verdict = after_refusal(
                refused.code, terms=self.policy.auto, tries=self.tries, now=at, zone=self.zone,
                possible_at=refused.possible_at,
            )  # fmt: skip
            self.happened.append(Happened(at, None, refused.code, verdict.next_at, by_itself=True))
            self.next_at = verdict.next_at
            if verdict.switch != Switch.ON:
                self.trigger = self.next_at = None
