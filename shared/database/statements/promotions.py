"""Statements about promotions, and about the profiles they change."""

from collections.abc import Mapping
from typing import Any, TypeAlias
from uuid import UUID

from sqlalchemy import Select, Update, and_, func, insert, or_, select, update
from sqlalchemy.sql.dml import Insert, ReturningUpdate

from shared.database.batch_tables import promotion
from shared.database.tables import device, device_profile

Promotions: TypeAlias = Select[*tuple[Any, ...]]

_overrides = or_(device.c.model.is_not(None), device.c.prompt.is_not(None))
_has_profile = and_(
    device.c.owner_id == promotion.c.owner_id, device.c.profile == promotion.c.profile, device.c.revoked_at.is_(None)
)


def promotions_page(owner_id: int, *, profile: str | None, after: UUID | None, limit: int) -> Promotions:
    """An owner's promotions, newest first, each with the devices that have its profile now."""
    statement = _promotions(owner_id).order_by(promotion.c.id.desc()).limit(limit)
    if profile is not None:
        statement = statement.where(promotion.c.profile == profile)
    if after is not None:
        statement = statement.where(promotion.c.id < after)
    return statement


def promotion_with_id(owner_id: int, promotion_id: UUID) -> Promotions:
    """One promotion of an owner's, as above."""
    return _promotions(owner_id).where(promotion.c.id == promotion_id)


def locked_promotion(owner_id: int, promotion_id: UUID) -> Promotions:
    """What a promotion changed; nobody else reverts it before the transaction ends."""
    columns = (promotion.c[name] for name in ("profile", "passed", "before", "after", "reverted_at"))
    return (
        select(*columns)
        .where(promotion.c.owner_id == owner_id, promotion.c.id == promotion_id)
        .with_for_update(of=promotion)
    )


def locked_profile(owner_id: int, name: str) -> Promotions:
    """The owner's profile of this name; nobody else changes it before the transaction ends."""
    columns = (device_profile.c.name, device_profile.c.document, device_profile.c.updated_at)
    return (
        select(*columns)
        .where(device_profile.c.owner_id == owner_id, device_profile.c.name == name)
        .with_for_update(of=device_profile)
    )


def changed_profile(owner_id: int, name: str, document: Mapping[str, Any]) -> Update:
    """Let an owner's profile be as this document says."""
    return (
        update(device_profile)
        .where(device_profile.c.owner_id == owner_id, device_profile.c.name == name)
        .values(document=document, updated_at=func.now())
    )


def new_promotion(row: Mapping[str, Any]) -> Insert:
    """Record a promotion."""
    return insert(promotion).values(row)


def reversion(owner_id: int, promotion_id: UUID) -> ReturningUpdate[UUID]:
    """Note that a promotion was taken back."""
    return (
        update(promotion)
        .where(promotion.c.owner_id == owner_id, promotion.c.id == promotion_id)
        .values(reverted_at=func.now())
        .returning(promotion.c.id)
    )


def _promotions(owner_id: int) -> Promotions:
    with_profile = select(func.count()).select_from(device).where(_has_profile)
    return select(
        promotion,
        with_profile.where(~_overrides).scalar_subquery().label("following"),
        with_profile.where(_overrides).scalar_subquery().label("overriding"),
    ).where(promotion.c.owner_id == owner_id)
