//! Live entitlements: does the bearer hold, now, something that covers this?

use smallvec::SmallVec;

use super::bearer::{Bearer, HintKind};
use super::decision::{Drift, Reason};
use crate::entitlement::{Window, action_covers, resource_covers};
use crate::ids::RecordId;
use crate::key::Key;
use crate::time::UnixS;
use crate::view::{Held, HeldRight, View};

/// Limit: how deep roles and groups nest (user in group in role ...).
const DEPTH_MAX: usize = 4;
/// Limit: holders visited for one question; a graph of memberships cannot make a decision slow.
const VISITS_MAX: usize = 128;

type Path = SmallVec<[RecordId; 4]>;

/// What came out.
#[derive(Debug, Default)]
pub(super) struct Entitled {
    /// `None`: entitled.
    pub(super) reason: Option<Reason>,
    /// What was used.
    pub(super) ids: Path,
    /// Whether the claims say something else.
    pub(super) drift: Drift,
}

/// One question. `time` gives the earliest and latest second that the controller's clock can show.
pub(super) struct Evaluation<'a, T: Fn() -> (UnixS, UnixS)> {
    pub(super) view: &'a View,
    pub(super) action: &'a [u8],
    pub(super) resource: &'a [u8],
    pub(super) tenant: Option<&'a [u8]>,
    pub(super) time: T,
}

/// Where the search stands.
#[derive(Default)]
struct Search {
    path: Path,
    visits: usize,
    outside_window: bool,
    first_membership: Option<Key>,
}

impl<T: Fn() -> (UnixS, UnixS)> Evaluation<'_, T> {
    pub(super) fn bearer(&self, bearer: &Bearer) -> Entitled {
        let mut search = Search::default();
        let found = bearer.holder().is_some_and(|holder| self.holder(holder, 0, &mut search));
        if found {
            let named = |key: Key| bearer.hints().iter().any(|hint| hint.key() == Some(key));
            // Why asked last: without a membership nobody has to read the claims, which lie elsewhere in memory.
            let claims_roles = || bearer.hints().iter().any(|hint| hint.key().is_some());
            let unnamed = search.first_membership.is_some_and(|key| claims_roles() && !named(key));
            let drift = if unnamed { Drift::LiveSaysYes } else { Drift::None };
            return Entitled { reason: None, ids: search.path, drift };
        }
        let reason =
            if search.outside_window { Reason::EntitlementExpired } else { Reason::EntitlementAbsent };
        Entitled { reason: Some(reason), ids: Path::new(), drift: self.drift(bearer) }
    }

    /// Direct permissions first, then memberships in order of id: the same path on every agent.
    fn holder(&self, holder: Key, depth: usize, search: &mut Search) -> bool {
        search.visits += 1;
        let Some(held) = self.view.held(holder) else { return false };
        if search.visits > VISITS_MAX {
            return false;
        }
        for right in held.iter() {
            if self.permits(&right) && self.in_time(right.window, search) {
                search.path.push(right.id);
                return true;
            }
        }
        if depth >= DEPTH_MAX {
            return false;
        }
        for right in held.iter() {
            let HeldRight::Member { of } = right.right else { continue };
            if !self.in_tenant(&right) {
                continue;
            }
            let was_outside = search.outside_window;
            if !self.in_time(right.window, search) {
                // An ended membership explains a deny only where it would have led somewhere.
                search.outside_window = was_outside || self.leads(of, depth, search);
                continue;
            }
            search.path.push(right.id);
            if self.holder(of, depth + 1, search) {
                search.first_membership = if depth == 0 { Some(of) } else { search.first_membership };
                return true;
            }
            search.path.pop();
        }
        false
    }

    fn leads(&self, of: Key, depth: usize, search: &Search) -> bool {
        let mut probe = Search { visits: search.visits, ..Search::default() };
        self.holder(of, depth + 1, &mut probe)
    }

    fn permits(&self, held: &Held<'_>) -> bool {
        match held.right {
            HeldRight::Permission { action, resource } => {
                action_covers(action, self.action)
                    && resource_covers(resource, self.resource)
                    && self.in_tenant(held)
            }
            HeldRight::Member { .. } => false,
        }
    }

    fn in_tenant(&self, held: &Held<'_>) -> bool {
        held.tenant.is_none_or(|tenant| self.tenant == Some(tenant))
    }

    /// INVARIANT (S15): a window has begun only when even the earliest time says so, and has ended as soon as
    /// the latest does.
    fn in_time(&self, window: Window, search: &mut Search) -> bool {
        if !window.is_bounded() {
            return true;
        }
        let (earliest, latest) = (self.time)();
        let begun = window.not_before.is_none_or(|from| from <= earliest);
        let ended = window.not_after.is_some_and(|until| until <= latest);
        search.outside_window |= !begun || ended;
        begun && !ended
    }

    /// The counterfactual: would a claim alone have allowed this?
    fn drift(&self, bearer: &Bearer) -> Drift {
        let says_yes = bearer.hints().iter().position(|hint| match (hint.kind, hint.key()) {
            (HintKind::Role | HintKind::Group, Some(key)) => self.holder(key, 1, &mut Search::default()),
            (HintKind::Role | HintKind::Group, None) => false,
            (HintKind::Permission, _) => action_covers(hint.name.as_bytes(), self.action),
        });
        says_yes.and_then(|index| u16::try_from(index).ok()).map_or(Drift::None, Drift::ClaimSaysYes)
    }
}
