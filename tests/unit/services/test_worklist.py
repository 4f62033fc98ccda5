from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import event

from melanoma_app.errors import InvalidInputError, NotFoundError
from melanoma_app.extensions import db
from melanoma_app.models import AuditEvent, Clinic, Lesion, LesionImage, Review, User
from melanoma_app.models.vocabulary import AuditAction, OutcomeLabel, ReviewPlan
from melanoma_app.services import worklist
from melanoma_app.services.actor import Actor
from melanoma_app.services.overview import count_tiles
from melanoma_app.services.worklist import (
    PendingHistology,
    count_worklist,
    describe_count,
    list_overdue_monitoring,
    list_pending_histology,
    list_unsigned,
    next_unsigned,
)
from melanoma_app.services.worklist_queries import WorklistPosition, read_position, write_position
from tests.factories import (
    ClinicFactory,
    HistopathologyFactory,
    LesionFactory,
    LesionImageFactory,
    ModelVersionFactory,
    PredictionFactory,
    ReviewFactory,
    UserFactory,
    actor_of,
)
from tests.records import Records
from tests.worklists import list_what_waits

NOW = datetime.now(UTC).replace(microsecond=0)
TODAY = NOW.date()
pytestmark = pytest.mark.usefixtures("context")


@pytest.fixture
def lesion(clinic: Clinic) -> Lesion:
    return LesionFactory(patient__clinic=clinic)


def days_ago(days: float) -> datetime:
    return NOW - timedelta(days=days)


def photograph(lesion: Lesion, *probabilities: float, taken: float = 0) -> LesionImage:
    """A photograph with the answers of several models, the newest last."""
    image = LesionImageFactory(lesion=lesion, captured_at=days_ago(taken))
    for probability in probabilities:
        label = OutcomeLabel.MALIGNANT if probability >= 0.5 else OutcomeLabel.BENIGN
        PredictionFactory(lesion_image=image, malignancy_probability=probability, label=label)
    return image


def review(image: LesionImage, *, signed: float = 0, **values: object) -> Review:
    return ReviewFactory(prediction=None, lesion_image=image, signed_at=days_ago(signed), **values)


def monitored(lesion: Lesion, *, due: float, signed: float = 90) -> Review:
    image = photograph(lesion, 0.3, taken=signed)
    return review(image, signed=signed, plan=ReviewPlan.MONITOR, due_on=TODAY - timedelta(days=due))


def ids(images: list[LesionImage]) -> list[uuid.UUID]:
    return [image.public_id for image in images]


def unsigned(actor: Actor, **options: object) -> list[uuid.UUID]:
    list_what_waits(actor.clinic_id)
    return [one.image.public_id for one in list_unsigned(actor=actor, **options).items]  # type: ignore[arg-type]


def pending(actor: Actor) -> Sequence[PendingHistology]:
    list_what_waits(actor.clinic_id)
    return list_pending_histology(actor=actor)


def overdue(actor: Actor) -> Sequence[Review]:
    list_what_waits(actor.clinic_id)
    return list_overdue_monitoring(actor=actor)


class TestUnsigned:
    def test_highest_probability_then_oldest_comes_first_when_listed(
        self, actor: Actor, lesion: Lesion
    ) -> None:
        expected = [
            photograph(lesion, 0.9, taken=1),
            photograph(lesion, 0.4, taken=9),
            photograph(lesion, 0.4, taken=2),
            photograph(lesion, 0.0, taken=5),
            photograph(lesion, taken=300),
            photograph(lesion, taken=7),
        ]
        expected.insert(1, photograph(lesion, 0.99, 0.7, taken=0))  # the newest answer counts

        assert unsigned(actor) == ids(expected)

    def test_photograph_is_gone_when_signed(self, actor: Actor, lesion: Lesion) -> None:
        signed, open_one = photograph(lesion, 0.9), photograph(lesion, 0.1)
        review(signed)

        assert unsigned(actor) == ids([open_one])

    def test_only_suspicious_ones_are_listed_when_the_newest_answer_must_be_malignant(
        self, actor: Actor, lesion: Lesion
    ) -> None:
        photograph(lesion, 0.9, 0.1)
        photograph(lesion)
        suspicious = photograph(lesion, 0.1, 0.8)

        assert unsigned(actor, outcome=OutcomeLabel.MALIGNANT) == ids([suspicious])

    @settings(max_examples=15)
    @given(
        photographs=st.lists(
            st.tuples(st.sampled_from([None, 0.0, 0.1 + 0.2, 1 / 3, 1.0]), st.integers(0, 2)), max_size=8
        ),
        size=st.integers(1, 3),
    )
    def test_every_photograph_is_seen_once_and_in_order_when_walking_the_pages(
        self, records: Records, photographs: list[tuple[float | None, int]], size: int
    ) -> None:
        user = UserFactory()
        place, model = LesionFactory(patient__clinic=user.clinic), ModelVersionFactory()
        images = []
        for probability, day in photographs:
            image = LesionImageFactory(lesion=place, created_by=user, captured_at=days_ago(day))
            if probability is not None:
                PredictionFactory(lesion_image=image, model_version=model, malignancy_probability=probability)
            images.append((-1 if probability is None else probability, image))
        list_what_waits(user.clinic_id)
        expected = [
            image.public_id
            for _, image in sorted(images, key=lambda one: (-one[0], one[1].captured_at, one[1].id))
        ]

        seen, cursor = [], None
        while True:
            page = list_unsigned(actor=actor_of(user), cursor=cursor, size=size)
            seen += [one.image.public_id for one in page.items]
            cursor = page.next_cursor
            if cursor is None:
                break

        assert seen == expected
        walked, last = [], None
        while (last := next_unsigned(actor=actor_of(user), after=last)) is not None:
            walked.append(last)
        assert walked == expected

    def test_walk_goes_on_where_it_was_when_the_last_one_is_signed_or_scored_again(
        self, actor: Actor, lesion: Lesion
    ) -> None:
        images = [photograph(lesion, probability) for probability in (0.9, 0.8, 0.7, 0.6)]
        list_what_waits(actor.clinic_id)
        first = list_unsigned(actor=actor, size=2)
        review(images[1])
        PredictionFactory(lesion_image=images[0], malignancy_probability=0.95)

        assert unsigned(actor, cursor=first.next_cursor) == ids(images[2:])

    def test_photograph_is_seen_when_it_is_scored_for_the_first_time_behind_the_cursor(
        self, actor: Actor, lesion: Lesion
    ) -> None:
        scored = [photograph(lesion, 0.9), photograph(lesion, 0.5)]
        late = photograph(lesion)
        list_what_waits(actor.clinic_id)
        first = list_unsigned(actor=actor, size=1)
        PredictionFactory(lesion_image=late, malignancy_probability=0.6)

        assert unsigned(actor, cursor=first.next_cursor) == ids([late, scored[1]])

    def test_patients_are_audited_when_shown(self, actor: Actor, lesion: Lesion, records: Records) -> None:
        photograph(lesion, 0.2)
        list_what_waits(actor.clinic_id)
        list_unsigned(actor=actor)

        (entry,) = records.all(AuditEvent, AuditEvent.action == AuditAction.PATIENTS_LISTED)
        assert entry.details == {"patients": [str(lesion.patient.public_id)]}

    @given(cursor=st.text(max_size=40) | st.binary(max_size=30).map(lambda one: one.hex()))
    @settings(max_examples=50)
    def test_cursor_is_refused_when_it_is_not_ours(self, cursor: str) -> None:
        with pytest.raises(InvalidInputError):
            read_position(cursor)

    @given(
        rank=st.floats(0, 1) | st.just(-1.0),
        captured_at=st.datetimes(timezones=st.just(UTC)),
        key=st.integers(0, 2**63 - 1),
    )
    def test_cursor_names_the_same_place_when_read_back(
        self, rank: float, captured_at: datetime, key: int
    ) -> None:
        position = WorklistPosition(rank=rank, captured_at=captured_at, key=key)

        assert read_position(write_position(position)) == position


class TestNext:
    def test_one_behind_is_next_when_the_open_one_was_signed_meanwhile(
        self, actor: Actor, lesion: Lesion
    ) -> None:
        images = [photograph(lesion, probability) for probability in (0.9, 0.8, 0.7)]
        review(images[1])
        list_what_waits(actor.clinic_id)

        assert next_unsigned(actor=actor) == images[0].public_id
        assert next_unsigned(actor=actor, after=images[0].public_id) == images[2].public_id
        assert next_unsigned(actor=actor, after=images[1].public_id) == images[2].public_id
        assert next_unsigned(actor=actor, after=images[2].public_id) is None

    def test_photograph_is_not_there_when_it_is_of_another_clinic(self, actor: Actor) -> None:
        with pytest.raises(NotFoundError):
            next_unsigned(actor=actor, after=LesionImageFactory().public_id)


class TestPendingHistology:
    def test_longest_wait_comes_first_and_is_overdue_after_28_days_when_listed(
        self, actor: Actor, clinic: Clinic
    ) -> None:
        expected = [
            review(
                photograph(LesionFactory(patient__clinic=clinic), 0.9, taken=60),
                signed=signed,
                plan=ReviewPlan.BIOPSY,
            ).id
            for signed in (50, 28.1, 27.9, 1)
        ]
        review(photograph(LesionFactory(patient__clinic=clinic), 0.9), signed=50, plan=ReviewPlan.REFER)

        listed = pending(actor)

        assert [one.review.id for one in listed] == expected
        assert [one.is_overdue for one in listed] == [True, True, False, False]

    def test_report_counts_only_when_recorded_after_signing(self, actor: Actor, lesion: Lesion) -> None:
        biopsy = review(photograph(lesion, 0.9), signed=5, plan=ReviewPlan.BIOPSY)
        HistopathologyFactory(lesion=lesion, recorded_at=days_ago(6))
        assert [one.review.id for one in pending(actor)] == [biopsy.id]

        HistopathologyFactory(lesion=lesion, recorded_at=days_ago(4))
        assert pending(actor) == []

    def test_lesion_stands_once_when_two_of_its_photographs_ask_for_a_biopsy(
        self, actor: Actor, lesion: Lesion
    ) -> None:
        first, _ = (
            review(photograph(lesion, 0.9), signed=signed, plan=ReviewPlan.BIOPSY) for signed in (40, 3)
        )

        (listed,) = pending(actor)

        assert (listed.review.id, listed.is_overdue) == (first.id, True)


class TestOverdueMonitoring:
    def test_most_overdue_comes_first_when_listed(self, actor: Actor, clinic: Clinic) -> None:
        reviews = {
            due: monitored(LesionFactory(patient__clinic=clinic), due=due) for due in (1, 30, 0, -5, 7)
        }

        assert [one.id for one in overdue(actor)] == [reviews[due].id for due in (30, 7, 1)]

    def test_nothing_is_overdue_when_a_photograph_was_taken_since(self, actor: Actor, lesion: Lesion) -> None:
        monitored(lesion, due=3, signed=90)
        photograph(lesion, taken=91)
        assert len(overdue(actor)) == 1

        photograph(lesion, taken=89)
        assert overdue(actor) == []

    @pytest.mark.parametrize(("plan", "expected"), [(ReviewPlan.REASSURE, 0), (ReviewPlan.MONITOR, 1)])
    def test_newest_review_decides_when_there_are_several(
        self, actor: Actor, lesion: Lesion, plan: ReviewPlan, expected: int
    ) -> None:
        older = photograph(lesion, taken=100)
        monitored(lesion, due=30)
        due_on: date | None = TODAY - timedelta(days=2) if plan is ReviewPlan.MONITOR else None
        newest = review(older, signed=80, plan=plan, due_on=due_on)

        assert [one.id for one in overdue(actor)] == [newest.id] * expected


class TestCounts:
    @pytest.fixture
    def full(self, clinic: Clinic, context: None) -> None:
        """Two unsigned (one suspicious), three biopsies of which two are overdue, one monitoring overdue."""
        photograph(LesionFactory(patient__clinic=clinic), 0.1, 0.9)
        photograph(LesionFactory(patient__clinic=clinic), 0.9, 0.1)
        for signed in (40, 30, 3):
            lesion = LesionFactory(patient__clinic=clinic)
            review(photograph(lesion, 0.9), signed=signed, plan=ReviewPlan.BIOPSY)
        monitored(LesionFactory(patient__clinic=clinic), due=3)
        list_what_waits(clinic.id)

    @pytest.mark.usefixtures("full")
    def test_counts_are_those_of_the_lists_when_asked_in_one_statement(self, actor: Actor) -> None:
        statements: list[str] = []
        event.listen(db.engine, "before_cursor_execute", lambda *given: statements.append(given[2]))

        counts = count_worklist(actor=actor)

        assert (counts.unsigned, counts.histology_pending, counts.monitoring_overdue) == (2, 3, 1)
        assert counts.total == 6
        assert len([one for one in statements if one.startswith("SELECT")]) == 1

    @pytest.mark.usefixtures("full")
    def test_overviews_figures_are_exact_when_asked(self, actor: Actor) -> None:
        tiles = count_tiles(actor=actor)

        assert (tiles.awaiting_review, tiles.high_risk_unsigned, tiles.histology_overdue) == (2, 1, 2)

    @pytest.mark.usefixtures("full")
    def test_counting_stops_when_there_is_more_than_one_wants_to_know(
        self, actor: Actor, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(worklist, "COUNTED_UP_TO", 2)

        counts = count_worklist(actor=actor)

        assert (counts.unsigned, counts.histology_pending, counts.monitoring_overdue) == (2, 2, 1)
        assert [describe_count(number) for number in (0, 1, 2, 4)] == ["0", "1", "1+", "1+"]

    @pytest.mark.usefixtures("full")
    def test_nothing_is_open_when_the_records_are_another_clinics(self, outsider: User) -> None:
        actor = actor_of(outsider)

        assert count_worklist(actor=actor).total == 0
        assert count_tiles(actor=actor).histology_overdue == 0
        assert unsigned(actor) == []
        assert [*list_pending_histology(actor=actor), *list_overdue_monitoring(actor=actor)] == []
        assert next_unsigned(actor=actor) is None

    def test_refused_change_stays_unwritten_when_the_page_that_shows_it_counts(
        self, actor: Actor, lesion: Lesion, records: Records
    ) -> None:
        loaded = db.session.get_one(Lesion, lesion.id)
        loaded.description = "refused"
        count_worklist(actor=actor)

        assert loaded in db.session.dirty


def test_days_are_the_clinics_when_monitoring_is_due(records: Records) -> None:
    """At any moment it is already tomorrow on one side of the world."""
    days_overdue = []
    for zone in ("Pacific/Kiritimati", "Etc/GMT+12"):
        user = UserFactory(clinic=ClinicFactory(time_zone=zone))
        review_ = monitored(LesionFactory(patient__clinic=user.clinic), due=0)
        records.execute(
            "UPDATE review SET due_on = :day WHERE id = :id",
            id=review_.id,
            day=(datetime.now(UTC) - timedelta(hours=12)).date(),
        )
        days_overdue.append(len(overdue(actor_of(user))))

    assert days_overdue == [1, 0]
