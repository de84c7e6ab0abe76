//! What one holder holds, packed into one allocation: 30 to 60 bytes per entitlement, read in one pass.
//!
//! Layout per entitlement, little endian: id `u64`, flags `u8`, lengths of action, resource and where flagged
//! tenant (`u8`, where flagged wide `u16`), then where flagged `not_before i64`, `not_after i64`, the key of the
//! role or group (16 bytes), then text.

use core::fmt;
use std::sync::Arc;

use super::FoldError;
use crate::entitlement::{Entitlement, Membership, Right, Window};
use crate::ids::RecordId;
use crate::key::Key;
use crate::time::UnixS;

/// Limit: entitlements of one holder. A decision reads them one after the other; use roles for more.
pub const HELD_PER_HOLDER_MAX: usize = 4096;

const MEMBER: u8 = 1;
const GROUP: u8 = 2;
const TENANT: u8 = 4;
const NOT_BEFORE: u8 = 8;
const NOT_AFTER: u8 = 16;
const WIDE: u8 = 32;

/// The entitlements of one holder, ordered by id.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct HeldSet(Arc<[u8]>);

impl fmt::Debug for HeldSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HeldSet({})", self.len())
    }
}

/// One entitlement as a decision reads it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Held<'a> {
    pub(crate) id: RecordId,
    pub(crate) right: HeldRight<'a>,
    /// `None`: every tenant.
    pub(crate) tenant: Option<&'a [u8]>,
    pub(crate) window: Window,
}

/// See [`Held`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HeldRight<'a> {
    Permission { action: &'a [u8], resource: &'a [u8] },
    Member { of: Key },
}

impl HeldSet {
    /// Takes back what [`Self::bytes`] gave; `None` where it is damaged.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let mut rest = bytes;
        let mut last = 0;
        while !rest.is_empty() {
            let (held, _, after) = take(rest)?;
            if held.id.packed() <= last {
                return None;
            }
            last = held.id.packed();
            rest = after;
        }
        Some(Self(bytes.into()))
    }

    /// The packed form, for a store.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// How many entitlements.
    #[must_use]
    pub fn len(&self) -> usize {
        self.iter().count()
    }

    /// Whether there is none; a table keeps no empty set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = Held<'_>> {
        let mut rest = &self.0[..];
        core::iter::from_fn(move || {
            let (held, _, after) = take(rest)?;
            rest = after;
            Some(held)
        })
    }

    /// Place of the first entitlement whose id is at or above `id`, its length, and whether it is `id`.
    fn place(&self, id: RecordId) -> (usize, usize, bool, usize) {
        let (mut at, mut count) = (0, 0);
        while let Some((held, len, _)) = self.0.get(at..).and_then(take) {
            if held.id >= id {
                return (at, len, held.id == id, count);
            }
            at += len;
            count += 1;
        }
        (at, 0, false, count)
    }

    pub(super) fn with(&self, entitlement: &Entitlement, member: Option<Key>) -> Result<Self, FoldError> {
        let (at, _, there, before) = self.place(entitlement.id);
        if there {
            return Err(FoldError::Duplicate(entitlement.id));
        }
        let appended = at == self.0.len();
        let count = if appended { before } else { self.len() };
        if count >= HELD_PER_HOLDER_MAX {
            return Err(FoldError::HolderFull(entitlement.id));
        }
        let one = pack(entitlement, member).ok_or(FoldError::TooLong(entitlement.id))?;
        let (left, right) = self.0.split_at_checked(at).unwrap_or((&self.0, &[]));
        Ok(Self([left, &one, right].concat().into()))
    }

    pub(super) fn without(&self, id: RecordId) -> Option<Self> {
        let (at, len, there, _) = self.place(id);
        let (left, rest) = self.0.split_at_checked(at)?;
        there.then(|| Self([left, rest.get(len..).unwrap_or_default()].concat().into()))
    }
}

fn pack(entitlement: &Entitlement, member: Option<Key>) -> Option<Vec<u8>> {
    let (mut flags, action, resource) = match &entitlement.right {
        Right::Permission { action, resource } => (0, action.as_str(), resource.as_str()),
        Right::Member(Membership::Role(name)) => (MEMBER, &**name, ""),
        Right::Member(Membership::Group(name)) => (MEMBER | GROUP, &**name, ""),
    };
    let Window { not_before, not_after } = entitlement.window;
    let tenant = entitlement.tenant.as_deref();
    flags |= if tenant.is_some() { TENANT } else { 0 };
    flags |= if not_before.is_some() { NOT_BEFORE } else { 0 };
    flags |= if not_after.is_some() { NOT_AFTER } else { 0 };
    let tenant = tenant.unwrap_or_default();
    let texts = [action, resource, tenant];
    let lengths = if flags & TENANT == 0 { 2 } else { 3 };
    flags |= if texts.iter().any(|text| text.len() > usize::from(u8::MAX)) { WIDE } else { 0 };
    let mut packed = Vec::with_capacity(64 + action.len() + resource.len() + tenant.len());
    packed.extend(entitlement.id.packed().to_le_bytes());
    packed.push(flags);
    for text in texts.iter().take(lengths) {
        let [low, high] = u16::try_from(text.len()).ok()?.to_le_bytes();
        packed.push(low);
        if flags & WIDE != 0 {
            packed.push(high);
        }
    }
    for bound in [not_before, not_after].into_iter().flatten() {
        packed.extend(bound.0.to_le_bytes());
    }
    if flags & MEMBER != 0 {
        let key = member?;
        packed.extend(key.hi.to_le_bytes());
        packed.extend(key.lo.to_le_bytes());
    }
    for text in texts {
        packed.extend(text.as_bytes());
    }
    Some(packed)
}

/// Reads the first entitlement: it, its length, and what follows. `None`: nothing there, or damaged.
#[inline]
fn take(bytes: &[u8]) -> Option<(Held<'_>, usize, &[u8])> {
    let (id, rest) = bytes.split_first_chunk::<8>()?;
    let (&[flags], rest) = rest.split_first_chunk::<1>()?;
    let (action_len, rest) = length(rest, flags)?;
    let (resource_len, rest) = length(rest, flags)?;
    let (tenant_len, mut rest) = if flags & TENANT == 0 { (0, rest) } else { length(rest, flags)? };
    let mut number = |flag: u8| {
        if flags & flag == 0 {
            return Some(None);
        }
        let (bytes, after) = rest.split_first_chunk::<8>()?;
        rest = after;
        Some(Some(*bytes))
    };
    let not_before = number(NOT_BEFORE)?.map(|bytes| UnixS(i64::from_le_bytes(bytes)));
    let not_after = number(NOT_AFTER)?.map(|bytes| UnixS(i64::from_le_bytes(bytes)));
    let (hi, lo) = (number(MEMBER)?, number(MEMBER)?);
    let (action, rest) = rest.split_at_checked(action_len)?;
    let (resource, rest) = rest.split_at_checked(resource_len)?;
    let (tenant, rest) = rest.split_at_checked(tenant_len)?;
    let right = match (hi, lo) {
        (Some(hi), Some(lo)) => {
            HeldRight::Member { of: Key { hi: u64::from_le_bytes(hi), lo: u64::from_le_bytes(lo) } }
        }
        (_, _) => HeldRight::Permission { action, resource },
    };
    let held = Held {
        id: RecordId::from_packed(u64::from_le_bytes(*id))?,
        right,
        tenant: (flags & TENANT != 0).then_some(tenant),
        window: Window { not_before, not_after },
    };
    Some((held, bytes.len() - rest.len(), rest))
}

#[inline]
fn length(bytes: &[u8], flags: u8) -> Option<(usize, &[u8])> {
    if flags & WIDE == 0 {
        let (&low, rest) = bytes.split_first()?;
        return Some((usize::from(low), rest));
    }
    let (wide, rest) = bytes.split_first_chunk::<2>()?;
    Some((usize::from(u16::from_le_bytes(*wide)), rest))
}

#[cfg(test)]
mod tests;
