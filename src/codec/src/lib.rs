//! Wire to domain and back: the only crate that reads or writes the types of `rescind-schemas`, and the only
//! place that rejects bytes. What it returns was size-checked, authenticated, and is valid as a whole.
//!
//! Encoding is infallible. Decoding is total, in this order: size limit, envelope, key from the reader's own
//! [`TrustBundle`] in the role that the place asks for, strict Ed25519 over a domain-separated payload, and only
//! then protobuf, with memory bounded by a small multiple of the size limit.
//!
//! Deliberately absent: sockets, files, clocks and randomness. Seeds and times are arguments; what is fresh, in
//! order or allowed is for `rescind-core` to say.
//!
//! Main types: [`SecretKey`], [`PublicKey`]; [`RealmPin`], [`TrustBundle`], [`KeyCert`]; [`encode_entry`],
//! [`encode_tick`], [`decode_log_message`]; [`NonceTree`], [`decode_grant`]; [`ChunkWriter`], [`decode_chunk`].

mod change;
mod directive;
mod entry;
mod envelope;
mod epoch;
mod error;
mod forward;
mod heads;
mod keys;
mod lease;
mod limits;
mod merkle;
mod record;
mod repair;
mod report;
mod snapshot;
mod target;
mod tick;
mod trust;
mod wire;

pub use change::{check_change, check_note, encoded_change_len, reason_sha256};
pub use directive::{DirectiveAnswer, decode_answer, decode_directive, encode_answer, encode_directive};
pub use entry::{LogError, LogItem, decode_log_message, encode_entry};
pub use envelope::{Domain, seal};
pub use epoch::{
    approve, check_approvals, decode_approval, decode_statement, encode_statement, statement_chain,
};
pub use error::CodecError;
pub use forward::{FORWARD_DIRECTIVES_MAX, decode_forward, encode_forward};
pub use keys::{KeyError, KeyId, PublicKey, SecretKey};
pub use lease::{decode_grant, decode_lease_request, encode_grant, encode_lease_request};
pub use limits::{
    ANSWER_BYTES_MAX, BUNDLE_BYTES_MAX, BUNDLE_CERTS_MAX, CERT_BYTES_MAX, CHUNK_BYTES_MAX, CHUNK_ITEMS_MAX,
    CHUNKS_MAX, DIRECTIVE_BYTES_MAX, ENTRY_BYTES_MAX, ENTRY_CHANGES_BYTES_MAX, GRANT_BYTES_MAX,
    LEASE_REQUEST_BYTES_MAX, MANIFEST_BYTES_MAX, NOTE_BYTES_MAX, RECOVERY_BYTES_MAX, REPAIR_ENTRIES_MAX,
    REPORT_BYTES_MAX, REQUEST_BYTES_MAX, TICK_BYTES_MAX,
};
pub use merkle::{NoncePath, NonceTree};
pub use repair::{RepairRequest, decode_repair, encode_repair};
pub use report::{decode_report, encode_report};
pub use snapshot::{
    Chunk, ChunkItems, ChunkWriter, ManifestId, SnapshotRequest, decode_chunk, decode_manifest,
    decode_snapshot_request, encode_manifest, encode_snapshot_request,
};
pub use tick::{SignedTick, encode_tick};
pub use trust::{
    CertError, Identity, IssuedCert, KeyCert, RealmPin, Role, TrustBundle, TrustError, TrustRefusal,
    issue_cert,
};

#[cfg(test)]
mod golden;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod kit;
#[cfg(test)]
mod round_trip;
