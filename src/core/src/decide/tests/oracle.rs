//! The fold and the decision against a naive model: a list of changes, searched from the front each time.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

#[derive(Debug, Clone)]
enum Op {
    Record(RecordKind, usize, i64),
    End(usize, Option<i64>),
    Grant(usize, usize, Option<usize>),
    Withdraw(usize),
}

const TARGETS: [&str; 12] = [
    "token:https://idp.example#j0",
    "token:https://idp.example#j1",
    "session:https://idp.example#s0",
    "session:https://idp.example#s1",
    "user:u0",
    "user:https://idp.example#u1",
    "key:https://idp.example#k0",
    "client:c0",
    "client:c1",
    "tenant:t0",
    "service:payments",
    "all",
];
const NAMES: [&str; 5] =
    ["user:https://idp.example#u0", "user:https://idp.example#u1", "role:r0", "role:r1", "group:g0"];
const RIGHTS: [&str; 7] = ["read /a", "read /b", "write:* /a", "* *", "role:r0", "role:r1", "group:g0"];
const TENANTS: [&str; 2] = ["t0", "t1"];

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let kind = prop_oneof![
        Just(RecordKind::Revoke),
        Just(RecordKind::Disable),
        Just(RecordKind::Hold),
        Just(RecordKind::Kill)
    ];
    let op = prop_oneof![
        3 => (kind, 0..TARGETS.len(), 0i64..6).prop_map(|(k, t, c)| Op::Record(k, t, c)),
        3 => (0usize..12, prop::option::of(0i64..6)).prop_map(|(n, c)| Op::End(n, c)),
        4 => (0..NAMES.len(), 0..RIGHTS.len(), prop::option::of(0..TENANTS.len()))
            .prop_map(|(h, r, t)| Op::Grant(h, r, t)),
        1 => (0usize..12).prop_map(Op::Withdraw),
    ];
    prop::collection::vec(op, 0..25)
}

/// A record of the model: as typed, with what became of it.
#[derive(Debug)]
struct Row {
    id: RecordId,
    kind: RecordKind,
    target: String,
    cutoff: Option<i64>,
    active: bool,
}

#[derive(Debug, Default)]
struct Naive {
    rows: Vec<Row>,
    held: BTreeMap<RecordId, (String, String, Option<String>)>,
}

fn right(text: &str) -> Right {
    match text.split_once(' ') {
        Some((action, resource)) => permission(action, resource),
        None => match text.split_once(':') {
            Some(("role", name)) => Right::Member(Membership::Role(name.into())),
            Some((_, name)) => Right::Member(Membership::Group(name.into())),
            None => panic!("`{text}`"),
        },
    }
}

impl Naive {
    fn play(ops: &[Op]) -> (World, Self) {
        let (mut world, mut naive) = (World::new(StalePolicies::default()), Self::default());
        for op in ops {
            naive.step(&mut world, op);
        }
        (world, naive)
    }

    fn step(&mut self, world: &mut World, op: &Op) {
        match *op {
            Op::Record(kind, target, cutoff) => {
                let text = TARGETS[target];
                let parsed: Target = text.parse().unwrap();
                let user = parsed.kind() == TargetKind::User;
                let cutoff =
                    (user && matches!(kind, RecordKind::Revoke | RecordKind::Disable)).then_some(cutoff);
                if kind.takes(parsed.kind()) {
                    let id = world.record(kind, text, cutoff);
                    let active = !(kind == RecordKind::Revoke && user);
                    self.rows.push(Row { id, kind, target: text.into(), cutoff, active });
                }
            }
            Op::End(row, cutoff) => {
                let Some(row) = self.rows.get_mut(row).filter(|row| row.active) else { return };
                match row.kind {
                    RecordKind::Hold | RecordKind::Kill => {
                        world.lift(row.id, &row.target, cutoff);
                        row.cutoff = cutoff;
                        row.active = false;
                    }
                    RecordKind::Disable => {
                        world.reinstate(row.id, &row.target);
                        row.active = false;
                    }
                    RecordKind::Revoke => {}
                }
            }
            Op::Grant(holder, what, tenant) => {
                let tenant = tenant.map(|tenant| TENANTS[tenant]);
                let holder = NAMES[holder];
                let id = world.grant(holder.parse().unwrap(), right(RIGHTS[what]), tenant, Window::default());
                self.held.insert(id, (holder.into(), RIGHTS[what].into(), tenant.map(str::to_owned)));
            }
            Op::Withdraw(nth) => {
                let Some(id) = self.held.keys().nth(nth).copied() else { return };
                let (holder, _, _) = self.held.remove(&id).unwrap();
                let holder: Holder = holder.parse().unwrap();
                world.apply(Lane::Grant(0), |_| ChangeBody::Withdraw { entitlement: id, holder });
            }
        }
    }

    /// D1: the union over all rows.
    fn denied_by(&self, token: &Token) -> Vec<RecordId> {
        let matches = |row: &&Row| {
            let n = token.n;
            let names = [
                format!("token:{ISS}#j{n}"),
                format!("session:{ISS}#s{n}"),
                format!("user:u{n}"),
                format!("user:{ISS}#u{n}"),
                format!("key:{ISS}#k{n}"),
                format!("client:c{n}"),
                format!("tenant:t{n}"),
                "service:payments".to_owned(),
                "all".to_owned(),
            ];
            let cut = row.cutoff.is_some_and(|cutoff| token.iat.is_none_or(|iat| iat <= cutoff));
            names.contains(&row.target) && (row.active || cut)
        };
        self.rows.iter().filter(matches).map(|row| row.id).collect()
    }

    fn entitled(&self, holder: &str, token: &Token, action: &str, resource: &str, depth: usize) -> bool {
        depth <= 4
            && self.held.values().any(|(who, what, tenant)| {
                let in_tenant = tenant.as_ref().is_none_or(|tenant| *tenant == format!("t{}", token.n));
                who == holder
                    && in_tenant
                    && match what.split_once(' ') {
                        Some((actions, resources)) => {
                            let action_fits = actions == action
                                || actions == "*"
                                || actions.strip_suffix('*').is_some_and(|prefix| action.starts_with(prefix));
                            action_fits && (resources == resource || resources == "*")
                        }
                        None => self.entitled(what, token, action, resource, depth + 1),
                    }
            })
    }
}

#[derive(Debug, Clone)]
struct Token {
    n: usize,
    iat: Option<i64>,
}

impl Token {
    fn bearer(&self, world: &World) -> Bearer {
        let n = self.n;
        let text = |prefix: &str| format!("{prefix}{n}");
        let (sub, jti, sid, app, kid, tenant) =
            (text("u"), text("j"), text("s"), text("c"), text("k"), text("t"));
        Bearer::new(
            world.published.view.hasher(),
            &TokenFacts {
                subject: Some(&sub),
                jti: Some(&jti),
                session: Some(&sid),
                client: Some(&app),
                key_id: Some(&kid),
                tenant: Some(&tenant),
                issued_at: self.iat.map(UnixS),
                ..facts()
            },
        )
    }
}

/// Records that stand beside the view: early denies and orphans, some of them also in the view.
fn beside(world: &mut World, naive: &mut Naive, picks: &[(RecordKind, usize, i64, bool)]) {
    let mut extra = View::new(world.published.view.hasher().clone());
    for (kind, target, cutoff, in_view) in picks {
        let text = TARGETS[*target];
        let target: Target = text.parse().unwrap();
        let user = target.kind() == TargetKind::User;
        let dated = user && matches!(kind, RecordKind::Revoke | RecordKind::Disable);
        if !kind.takes(target.kind()) {
            continue;
        }
        let cutoff = dated.then_some(*cutoff);
        let id = if *in_view {
            world.record(*kind, text, cutoff)
        } else {
            world.revision += 1;
            RecordId::new(Lane::Deny, Position::new(1, world.revision)).unwrap()
        };
        assert!(extra.overlay_add(&Record::new(id, *kind, target, cutoff.map(UnixS)).unwrap()));
        let active = !(*kind == RecordKind::Revoke && user);
        naive.rows.push(Row { id, kind: *kind, target: text.into(), cutoff, active });
    }
    world.published.extra = (extra.overlay_len() > 0).then(|| Arc::new(extra));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]
    /// S8: what stands beside the view denies as if it were in it, each record once and in order.
    #[test]
    fn s8_records_beside_the_view_count_like_those_in_it(
        ops in ops(),
        picks in prop::collection::vec(
            (
                prop::sample::select(vec![RecordKind::Revoke, RecordKind::Disable, RecordKind::Hold, RecordKind::Kill]),
                0..TARGETS.len(),
                0i64..6,
                any::<bool>(),
            ),
            0..8,
        ),
        n in 0usize..2,
        iat in prop::option::of(0i64..6),
    ) {
        let (mut world, mut naive) = Naive::play(&ops);
        beside(&mut world, &mut naive, &picks);
        let token = Token { n, iat };
        let bearer = token.bearer(&world);
        let query = Query { bearer: &bearer, action: "read", resource: "/a", tenant: None };
        let decision = decide(&world.published, &world.enforcement, &query, second);
        let denied = naive.denied_by(&token);
        let entitled = naive.entitled(&format!("user:{ISS}#u{n}"), &token, "read", "/a", 0);
        prop_assert_eq!(decision.records.to_vec(), denied.clone());
        prop_assert_eq!(decision.is_allow(), denied.is_empty() && entitled);
    }


    #[test]
    fn d1_to_d6_the_decision_is_that_of_the_naive_model(
        ops in ops(),
        n in 0usize..2,
        iat in prop::option::of(0i64..6),
        action in prop::sample::select(vec!["read", "write:x", "other"]),
        resource in prop::sample::select(vec!["/a", "/b"]),
    ) {
        let (world, naive) = Naive::play(&ops);
        let token = Token { n, iat };
        let bearer = token.bearer(&world);
        let query = Query { bearer: &bearer, action, resource, tenant: None };
        let decision = decide(&world.published, &world.enforcement, &query, second);
        let denied = naive.denied_by(&token);
        let entitled = naive.entitled(&format!("user:{ISS}#u{n}"), &token, action, resource, 0);
        prop_assert_eq!(decision.records.to_vec(), denied.clone());
        prop_assert_eq!(decision.is_allow(), denied.is_empty() && entitled);
        prop_assert_eq!(!decision.entitlements.is_empty(), decision.is_allow());
    }
}
