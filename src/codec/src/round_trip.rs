//! Property: what is encoded is decoded to the same value, for every kind.

use proptest::prelude::*;
use rescind_core::digest::StateDigest;
use rescind_core::entry::{ChainedEntry, Entry, Tick};
use rescind_core::ids::InstanceId;
use rescind_core::lease::{LeaseRequest, Nonce};
use rescind_core::position::{EntryHash, Epoch, Heads, Lane, Position, Revision};
use rescind_core::record::RecordState;
use rescind_core::report::{Freshness, Report};
use rescind_core::snapshot::{Manifest, SnapshotItem};
use rescind_core::time::{UnixMs, UnixS};

use crate::kit::*;
use crate::*;

fn any_entry() -> impl Strategy<Value = Entry> {
    let lane = prop_oneof![Just(Lane::Deny), Just(Lane::Grant(0))];
    let times = VALID_FROM.0..VALID_UNTIL.0;
    lane.prop_flat_map(move |lane| {
        let changes = proptest::collection::vec(any_change(lane), 1..6);
        let numbers = (1..=u16::MAX, 1..1_u64 << 40, any::<(u32, u64)>(), times.clone());
        (changes, numbers, any::<[u8; 32]>(), any::<[u8; 16]>()).prop_map(
            move |(changes, (epoch, first, (deps_epoch, deps), at), prev_hash, boot)| Entry {
                epoch: Epoch(epoch.into()),
                prev_hash: EntryHash(prev_hash),
                deps: if lane == Lane::Deny { Position::default() } else { Position::new(deps_epoch, deps) },
                committed_at: UnixMs(at),
                boot: InstanceId(boot),
                ..entry(lane, first, changes)
            },
        )
    })
}

fn any_tick() -> impl Strategy<Value = Tick> {
    let numbers = (1..=u32::MAX, 1..=30_000_u32, VALID_FROM.0..VALID_UNTIL.0, any::<u64>(), any::<u128>());
    (numbers, any_heads(), any::<[u8; 32]>(), any::<[u8; 16]>()).prop_map(
        |((epoch, lease_ms, at, floor, digest), heads, root, boot)| Tick {
            epoch: Epoch(epoch),
            heads,
            digest: StateDigest(digest),
            lease_ms,
            controller_time: UnixMs(at),
            floor: Revision(floor),
            boot: InstanceId(boot),
            ..tick(root)
        },
    )
}

fn any_request() -> impl Strategy<Value = LeaseRequest> {
    any::<([u8; 16], [u8; 16])>().prop_map(|(instance, nonce)| LeaseRequest {
        agent: agent_id(),
        instance: InstanceId(instance),
        nonce: Nonce(nonce),
    })
}

fn any_report() -> impl Strategy<Value = Report> {
    let fresh = prop_oneof![Just(Freshness::Unsynced), Just(Freshness::Stale), Just(Freshness::Fresh)];
    let numbers = any::<(u64, u128, u32, i64, Option<i64>)>();
    (fresh, numbers, any_heads(), any::<bool>(), "\\PC{0,40}").prop_map(
        |(freshness, (sequence, digest, target_kinds, at, first_deny), applied, durable, fault)| Report {
            sequence,
            applied,
            durable: if durable { applied } else { Heads::default() },
            digest: StateDigest(digest),
            freshness,
            target_kinds,
            fault: fault.into(),
            at: UnixMs(at),
            first_deny_at: first_deny.map(UnixMs),
            ..report()
        },
    )
}

fn any_item() -> impl Strategy<Value = SnapshotItem> {
    let ended = any::<Option<i64>>().prop_map(|at| RecordState::Ended { residual_cutoff: at.map(UnixS) });
    prop_oneof![
        (any_record(any_deny_id()), prop_oneof![Just(RecordState::Active), ended])
            .prop_map(|(record, state)| SnapshotItem::Record(record, state)),
        any_entitlement().prop_map(SnapshotItem::Entitlement),
    ]
}

proptest! {
    #[test]
    fn entries(entry in any_entry()) {
        let (bytes, hash) = encode_entry(&entry, &controller_key());
        let item = decode_log_message(&bytes, entry.lane, &trust());
        let message = (entry.lane == Lane::Deny).then(|| bytes.as_slice().into());
        prop_assert_eq!(item, Ok(LogItem::Entry(ChainedEntry { entry, hash, message })));
    }

    #[test]
    fn changes_are_as_long_as_they_say_and_pass_the_check(change in any_change(Lane::Deny)) {
        let one = encode_entry(&entry(Lane::Deny, 1, vec![change.clone()]), &controller_key()).0.len();
        let two = encode_entry(&entry(Lane::Deny, 1, vec![change.clone(); 2]), &controller_key()).0.len();
        // Two lengths further out may grow by a byte each.
        prop_assert!((0..=2).contains(&(two - one - encoded_change_len(&change))));
        prop_assert_eq!(check_change(&change), Ok(()));
    }

    #[test]
    fn ticks(tick in any_tick()) {
        let signed = encode_tick(&tick, &controller_key());
        let item = decode_log_message(&signed.log_message(), Lane::Deny, &trust());
        prop_assert_eq!(item, Ok(LogItem::Tick(tick, signed)));
    }

    #[test]
    fn leases(requests in proptest::collection::vec(any_request(), 1..20), tick in any_tick()) {
        let tree = NonceTree::new(&requests);
        let tick = Tick { nonce_root: tree.root(), ..tick };
        let signed = encode_tick(&tick, &controller_key());
        for (index, request) in requests.iter().enumerate() {
            let sent = encode_lease_request(request, &chain(), &agent_key());
            prop_assert_eq!(&decode_lease_request(&sent, &trust(), NOW).unwrap(), request);
            let grant = decode_grant(&encode_grant(&signed, &tree.path(index).unwrap()), request, &trust()).unwrap();
            prop_assert_eq!(grant.nonce, request.nonce);
            prop_assert_eq!(&grant.tick, &tick);
        }
    }

    #[test]
    fn reports(report in any_report()) {
        let bytes = encode_report(&report, &chain(), &agent_key());
        prop_assert_eq!(decode_report(&bytes, &trust(), NOW), Ok(report));
    }

    #[test]
    fn snapshots(items in proptest::collection::vec(any_item(), 1..40), heads in any_heads()) {
        let mut writer = ChunkWriter::new();
        let mut chunks: Vec<Chunk> = items.iter().filter_map(|item| writer.push(item)).collect();
        chunks.extend(writer.finish());
        let listings: Vec<_> = chunks.iter().map(Chunk::listing).collect();
        let manifest = Manifest { heads, ..manifest(listings, items.len() as u64) };
        let (bytes, id) = encode_manifest(&manifest, &controller_key());
        prop_assert_eq!(decode_manifest(&bytes, &trust()), Ok((manifest.clone(), id)));
        let mut read = Vec::new();
        for (chunk, listing) in chunks.iter().zip(&manifest.chunks) {
            read.extend(decode_chunk(&chunk.bytes, listing).unwrap().map(Result::unwrap));
        }
        prop_assert_eq!(read, items);
    }

    #[test]
    fn requests(after: u64, entries_max in 1..=REPAIR_ENTRIES_MAX, id: [u8; 32], index: u32, grant: bool) {
        let lane = if grant { Lane::Grant(0) } else { Lane::Deny };
        let repair = RepairRequest { lane, after: Revision(after), entries_max };
        prop_assert_eq!(decode_repair(&encode_repair(&repair)), Ok(repair));
        let chunk = SnapshotRequest::Chunk { manifest: ManifestId(id), index };
        prop_assert_eq!(decode_snapshot_request(&encode_snapshot_request(&chunk)), Ok(chunk));
    }
}

#[test]
fn every_kind_of_change_and_ask() {
    for entry in [deny_entry(), grant_entry()] {
        let (bytes, hash) = encode_entry(&entry, &controller_key());
        let item = decode_log_message(&bytes, entry.lane, &trust());
        let message = (entry.lane == Lane::Deny).then(|| bytes.as_slice().into());
        assert_eq!(item, Ok(LogItem::Entry(ChainedEntry { entry, hash, message })));
    }
    for ask in asks() {
        let directive = directive(ask);
        let bytes = encode_directive(&directive, &chain(), &emitter_key());
        assert_eq!(decode_directive(&bytes, &trust(), NOW), Ok((directive, rights())));
    }
    let manifest = SnapshotRequest::Manifest;
    assert_eq!(decode_snapshot_request(&encode_snapshot_request(&manifest)), Ok(manifest));
}
