//! Every limit of a message, in one place. Checked before anything is decoded or allocated.

/// Limit: bytes of a `LogMessage`. Below NATS' default of 1 MiB for a message, with room for headers.
pub const ENTRY_BYTES_MAX: usize = 900 * 1024;

/// Limit: bytes of an entry's changes as counted by [`encoded_change_len`](crate::encoded_change_len), so that
/// header (two names of 512 bytes, hashes), envelope and framing fit under [`ENTRY_BYTES_MAX`] too.
pub const ENTRY_CHANGES_BYTES_MAX: usize = ENTRY_BYTES_MAX - 4 * 1024;

/// Limit: bytes of a tick's `LogMessage`; two names of 512 bytes and a few hashes need less than 2 KiB.
pub const TICK_BYTES_MAX: usize = 4 * 1024;

/// Limit: bytes of a lease request; two names of 512 bytes. Read from agents that may be hostile.
pub const LEASE_REQUEST_BYTES_MAX: usize = 2 * 1024;

/// Limit: bytes of a lease grant: a tick and a path.
pub const GRANT_BYTES_MAX: usize = 8 * 1024;

/// Limit: hashes of a path; a tree over `u32` leaves is no deeper.
pub(crate) const PATH_HASHES_MAX: usize = 32;

/// Limit: bytes of a report. Read from agents that may be hostile.
pub const REPORT_BYTES_MAX: usize = 8 * 1024;

/// Limit: bytes of a directive. Read from emitters that may be hostile.
pub const DIRECTIVE_BYTES_MAX: usize = 64 * 1024;

/// Limit: bytes of the answer to a directive.
pub const ANSWER_BYTES_MAX: usize = 8 * 1024;

/// Limit: bytes of a request without a signature (repair, snapshot): a few numbers and a hash.
pub const REQUEST_BYTES_MAX: usize = 256;

/// Limit: entries that one repair request can ask for; more comes with the next request.
pub const REPAIR_ENTRIES_MAX: u32 = 1024;

/// Limit: bytes of a snapshot chunk: half of a NATS message, so that one fits beside others in a buffer.
pub const CHUNK_BYTES_MAX: usize = 512 * 1024;

/// Limit: items of a snapshot chunk. Bounds the time of one restore step.
pub const CHUNK_ITEMS_MAX: u32 = 16_384;

/// Limit: chunks of a snapshot: 8 GiB, and a manifest that still fits one message.
pub const CHUNKS_MAX: usize = 16_384;

/// Limit: bytes of a manifest: [`CHUNKS_MAX`] listings of 42 bytes need 672 KiB.
pub const MANIFEST_BYTES_MAX: usize = 900 * 1024;

/// Limit: bytes of a recovery statement with its signature: two names or texts of 512 bytes and two heads.
pub const RECOVERY_BYTES_MAX: usize = 2 * 1024;

/// Limit: bytes of one certificate: three names of 512 bytes, a key and a few words.
pub const CERT_BYTES_MAX: usize = 4 * 1024;

/// Limit: certificates of a trust bundle. Bounds start-up: each costs one signature check.
pub const BUNDLE_CERTS_MAX: usize = 100_000;

/// Limit: bytes of a trust bundle's JSON text: 100,000 certificates of a common length.
pub const BUNDLE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Limit: bytes of a note (`requested_by`, `reason_code`, `incident`): a line for people, as long as an id.
pub const NOTE_BYTES_MAX: usize = 512;

/// Limit: bytes of a word for machines or a version in reports and answers.
pub(crate) const WORD_BYTES_MAX: usize = 64;

/// Limit: bytes of a text for people in an answer.
pub(crate) const MESSAGE_BYTES_MAX: usize = 2048;
/// Limit: bytes of what a standby passes on at once: below what the broker takes.
pub(crate) const FORWARD_BYTES_MAX: usize = 900 << 10;
