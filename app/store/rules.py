"""Rules as rows: the standing ones, what waits for them, and what each has done."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import aliased
from sqlmodel import Session, col, select

from app.domain.record import Share
from app.domain.records import (
    Decision,
    Link,
    LinkStatus,
    Origin,
    Page,
    Relation,
    Rule,
    Verdict,
)
from app.errors import NotFound
from app.store import record
from app.store.db import LARGEST_ID, rows
from app.store.links import REJECTION, SECOND_LOOK
from app.store.record import BY_RULE


@dataclass(frozen=True)
class RuleRow:
    """A rule with its concept (slug, title), what it did, and what the person decided of the like.

    `accepted` in all, of which `undone` were taken back and `standing` still count. `decided`: what
    the person decided of proposals that the rule would accept.
    """

    id: int
    relation: Relation
    concept_id: int | None
    least: float
    created_at: datetime
    ended_at: datetime | None
    concept: tuple[str, str] | None
    accepted: int
    undone: int
    decided: Share

    @property
    def standing(self) -> int:
        return self.accepted - self.undone

    @property
    def fails(self) -> bool:
        """Whether more was taken back, or refused by the person, than its confidence allows."""
        taken_back = self.undone >= 3 and self.undone > (1 - self.least) * self.accepted * 2
        high = self.decided.interval[1]
        return taken_back or (self.decided.count > 0 and high < self.least)


def who(rule_id: int | None) -> str:
    """How a rule signs its decisions."""
    return f"{BY_RULE}{rule_id}"


def number_of(signature: str) -> int | None:
    """The id of the rule that signed so; None for anybody else."""
    number = signature.removeprefix(BY_RULE)
    if number == signature or not (number.isascii() and number.isdigit()):
        return None
    return int(number)


def get(session: Session, rule_id: int) -> Rule:
    """Raises NotFound."""
    found = session.get(Rule, rule_id) if 0 < rule_id <= LARGEST_ID else None
    if found is None:
        raise NotFound(f"There is no rule {rule_id}.")
    return found


def standing(session: Session, concept_id: int | None, relation: Relation) -> Rule | None:
    """The rule in force for this very concept (None: the one for all), if there is one."""
    return session.exec(
        select(Rule).where(
            Rule.concept_id == concept_id, Rule.relation == relation, col(Rule.ended_at).is_(None)
        )
    ).first()


def listed(session: Session, *, rule_id: int | None = None) -> list[RuleRow]:
    """Every rule, those in force first, then the newest; or the one."""
    statement = (
        sa.select(*(getattr(Rule, name) for name in _OF_A_RULE), col(Page.slug), col(Page.title))
        .outerjoin(Page, col(Page.id) == col(Rule.concept_id))
        .order_by(col(Rule.ended_at).is_not(None), col(Rule.id).desc())
    )
    if rule_id is not None:
        statement = statement.where(col(Rule.id) == rule_id)
    found = rows(session, statement)
    if not found:
        return []
    did = {
        signature: (accepted, int(undone)) for signature, accepted, undone in rows(session, _DID)
    }
    said = {number: Share(count, int(accepted)) for number, count, accepted in rows(session, _SAID)}
    shown = []
    for row in found:
        accepted, undone = did.get(who(row.id), (0, 0))
        shown.append(
            RuleRow(
                **{name: getattr(row, name) for name in _OF_A_RULE},
                concept=(row.slug, row.title) if row.slug is not None else None,
                accepted=accepted,
                undone=undone,
                decided=said.get(row.id, Share()),
            )
        )
    return shown


_OF_A_RULE = ("id", "relation", "concept_id", "least", "created_at", "ended_at")
_DID = (
    sa.select(
        col(Decision.who),
        sa.func.count(),
        sa.func.sum(sa.case((col(Decision.undone).is_(True), 1), else_=0)),
    )
    .where(
        col(Decision.who) >= BY_RULE,
        col(Decision.who) < BY_RULE + "a",
        col(Decision.undoes_id).is_(None),
    )
    .group_by(col(Decision.who))
)
_SAID = (
    sa.select(
        col(Rule.id),
        sa.func.count(),
        sa.func.sum(sa.case((col(Decision.agreed).is_(True), 1), else_=0)),
    )
    .select_from(Rule)
    .join(
        Decision,
        sa.and_(
            record.COUNTS,
            col(Decision.who) == record.PERSON,
            col(Decision.kind) == sa.cast(col(Rule.relation), sa.String),
            col(Decision.confidence) >= col(Rule.least),
            col(Rule.concept_id).is_(None) | (col(Decision.concept_id) == col(Rule.concept_id)),
        ),
    )
    .group_by(col(Rule.id))
)


# ---------------------------------------------------------------- what waits


def _untouched() -> list[Any]:
    """Conditions on links that a rule may decide: the linker's, proposed, never decided before.

    A pair that was rejected once, put off, or taken back by the person is theirs to decide, and so is
    one whose confidence a model has moved.
    """
    return [
        # As a literal, so that the index of waiting links can be used.
        col(Link.status)
        == sa.literal(LinkStatus.PROPOSED.value, sa.String(), literal_execute=True),
        col(Link.origin) == Origin.LINKER,
        col(Link.relation) != Relation.CONTRADICTS,
        col(Link.extra)[REJECTION].as_string().is_(None),
        col(Link.extra)[SECOND_LOOK].as_string().is_(None),
        ~sa.exists().where(col(Decision.link_id) == col(Link.id)),
    ]


def matching(session: Session, *, limit: int) -> list[tuple[int, int]]:
    """(link, rule) of what rules in force would accept; of two rules the older one does it."""
    return [(link, rule) for link, rule in rows(session, _MATCHING, limit=limit)]


def matches(session: Session) -> int:
    """How many links rules in force would accept."""
    return session.connection().execute(_MATCHES).scalar() or 0


_IS_ASKED_FOR = sa.and_(
    col(Rule.relation) == col(Link.relation),
    col(Link.confidence) >= col(Rule.least),
    col(Rule.concept_id).is_(None) | (col(Rule.concept_id) == col(Link.target_id)),
    col(Rule.ended_at).is_(None),
)
_MATCHING = (
    sa.select(col(Link.id), sa.func.min(col(Rule.id)))
    .select_from(Rule)
    .join(Link, _IS_ASKED_FOR)
    .where(*_untouched())
    .group_by(col(Link.id))
    .order_by(col(Link.id))
    .limit(sa.bindparam("limit"))
)
_MATCHES = (
    sa.select(sa.func.count(sa.distinct(col(Link.id))))
    .select_from(Rule)
    .join(Link, _IS_ASKED_FOR)
    .where(*_untouched())
)


def preview(
    session: Session, *, concept_id: int | None, relation: Relation, least: float, limit: int
) -> tuple[int, list[Any]]:
    """How many waiting links a rule would accept now, and the surest of them.

    Rows: id, confidence, and slug and title of `source_` and `target_`.
    """
    values: dict[str, Any] = {"relation": relation, "least": least}
    values |= {"concept": concept_id} if concept_id else {}
    count, first = _preview(bool(concept_id))
    total = session.connection().execute(count, values).scalar() or 0
    return total, list(session.connection().execute(first, {**values, "limit": limit}))


@cache
def _preview(concept: bool) -> tuple[Any, Any]:
    conditions = [
        *_untouched(),
        col(Link.relation) == sa.bindparam("relation", type_=Link.__table__.c.relation.type),  # type: ignore[attr-defined]
        col(Link.confidence) >= sa.bindparam("least", type_=sa.Float),
    ]
    if concept:
        conditions.append(col(Link.target_id) == sa.bindparam("concept"))
    source, target = aliased(Page), aliased(Page)
    first: Any = (
        sa.select(
            col(Link.id),
            col(Link.confidence),
            col(source.slug).label("source_slug"),
            col(source.title).label("source_title"),
            col(target.slug).label("target_slug"),
            col(target.title).label("target_title"),
        )
        .join(source, col(source.id) == col(Link.source_id))
        .join(target, col(target.id) == col(Link.target_id))
        .where(*conditions)
        .order_by(col(Link.confidence).desc(), col(Link.id).desc())
        .limit(sa.bindparam("limit"))
    )
    return sa.select(sa.func.count()).select_from(Link).where(*conditions), first


def accepted_by(session: Session, rule_id: int) -> list[Decision]:
    """Decisions of a rule that stand, newest first."""
    return list(
        session.exec(
            select(Decision)
            .where(
                Decision.who == who(rule_id),
                Decision.verdict == Verdict.ACCEPT,
                record.COUNTS,
            )
            .order_by(col(Decision.id).desc())
        )
    )
