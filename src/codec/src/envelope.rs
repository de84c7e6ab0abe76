//! Signed envelopes: what was signed, by whom, for which purpose.

use crate::error::CodecError;
use crate::keys::{KeyId, PublicKey, SecretKey};
use crate::limits;
use crate::trust::{Role, Signer, TrustBundle};
use crate::wire::{Frame, check_size, fixed, framed_len, put_field};

/// What a signature is for. A signature of one domain is worth nothing in another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Domain {
    /// An entry of the chain, by a controller.
    Entry,
    /// A tick, by a controller.
    Tick,
    /// A lease request, by an agent.
    LeaseRequest,
    /// A report, by an agent.
    Report,
    /// A directive, by an emitter.
    Directive,
    /// The answer to a directive, by a controller.
    DirectiveAnswer,
    /// Directives that a standby passes on, by a controller.
    Forward,
    /// A snapshot's manifest, by a controller.
    Manifest,
    /// A key certificate, by the realm's root.
    Cert,
    /// An approval of a recovery, by an emitter.
    Recovery,
}

impl Domain {
    /// Text that is signed in front of a zero byte and the payload.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Entry => "rescind.v1.entry",
            Self::Tick => "rescind.v1.tick",
            Self::LeaseRequest => "rescind.v1.lease-request",
            Self::Report => "rescind.v1.report",
            Self::Directive => "rescind.v1.directive",
            Self::DirectiveAnswer => "rescind.v1.directive-answer",
            Self::Forward => "rescind.v1.forward",
            Self::Manifest => "rescind.v1.manifest",
            Self::Cert => "rescind.v1.cert",
            Self::Recovery => "rescind.v1.recovery",
        }
    }

    /// The word in error messages.
    pub(crate) const fn what(self) -> &'static str {
        match self {
            Self::Entry => "entry",
            Self::Tick => "tick",
            Self::LeaseRequest => "lease request",
            Self::Report => "report",
            Self::Directive => "directive",
            Self::DirectiveAnswer => "answer",
            Self::Forward => "forward",
            Self::Manifest => "manifest",
            Self::Cert => "certificate",
            Self::Recovery => "recovery statement",
        }
    }

    const fn bytes_max(self) -> usize {
        match self {
            Self::Entry => limits::ENTRY_BYTES_MAX,
            Self::Tick => limits::TICK_BYTES_MAX,
            Self::LeaseRequest => limits::LEASE_REQUEST_BYTES_MAX,
            Self::Report => limits::REPORT_BYTES_MAX,
            Self::Directive => limits::DIRECTIVE_BYTES_MAX,
            Self::DirectiveAnswer => limits::ANSWER_BYTES_MAX,
            Self::Forward => limits::FORWARD_BYTES_MAX,
            Self::Manifest => limits::MANIFEST_BYTES_MAX,
            Self::Cert => limits::CERT_BYTES_MAX,
            Self::Recovery => limits::RECOVERY_BYTES_MAX,
        }
    }

    /// Who may sign; `None`: the root key only.
    const fn role(self) -> Option<Role> {
        match self {
            Self::Entry | Self::Tick | Self::DirectiveAnswer | Self::Forward | Self::Manifest => {
                Some(Role::Controller)
            }
            Self::LeaseRequest | Self::Report => Some(Role::Agent),
            Self::Directive | Self::Recovery => Some(Role::Emitter),
            Self::Cert => None,
        }
    }

    fn signed_bytes(self, payload: &[u8]) -> Vec<u8> {
        let domain = self.text().as_bytes();
        let mut signed = Vec::with_capacity(domain.len() + 1 + payload.len());
        signed.extend_from_slice(domain);
        signed.push(0);
        signed.extend_from_slice(payload);
        signed
    }
}

/// Signs `payload` for `domain` and wraps it. Public so that tests can forge what an honest party would not send.
#[must_use]
pub fn seal(domain: Domain, key: &SecretKey, payload: &[u8]) -> Vec<u8> {
    let signature = key.sign(&domain.signed_bytes(payload));
    let KeyId(key_id) = key.key_id();
    let length = framed_len(payload.len()) + framed_len(key_id.len()) + framed_len(signature.len());
    let mut out = Vec::with_capacity(length);
    put_field(&mut out, 1, payload);
    put_field(&mut out, 2, &key_id);
    put_field(&mut out, 3, &signature);
    out
}

/// The parts of an envelope; nothing is verified.
#[derive(Clone, Copy)]
pub(crate) struct Sealed<'a> {
    pub(crate) payload: &'a [u8],
    pub(crate) key_id: KeyId,
    pub(crate) signature: [u8; 64],
}

/// A payload whose signature was verified, and the certificates of its key.
pub(crate) struct Opened<'a, 't> {
    pub(crate) payload: &'a [u8],
    pub(crate) signer: Signer<'t>,
}

impl<'a> Sealed<'a> {
    /// Splits an envelope under the domain's limit into its parts.
    pub(crate) fn parse(domain: Domain, bytes: &'a [u8]) -> Result<Self, CodecError> {
        check_size(domain.what(), bytes, domain.bytes_max())?;
        let mut frame = Frame::new(domain.what(), bytes);
        let payload = frame.field(1)?;
        let key_id = KeyId(fixed("key_id", frame.field(2)?)?);
        let signature = fixed("signature", frame.field(3)?)?;
        frame.end()?;
        Ok(Self { payload, key_id, signature })
    }

    /// Verifies with a key of the bundle that has the domain's role. Whether its certificate is valid at the
    /// message's time is the caller's to ask: [`Signer::at`].
    pub(crate) fn open(self, domain: Domain, trust: &TrustBundle) -> Result<Opened<'a, '_>, CodecError> {
        let refused = CodecError::BadSignature { what: domain.what(), key_id: self.key_id };
        let role = domain.role().ok_or_else(|| refused.clone())?;
        let signer = trust.signer(self.key_id, role)?;
        if !self.is_signed_by(domain, signer.key()) {
            return Err(refused);
        }
        Ok(Opened { payload: self.payload, signer })
    }

    /// Whether `key` signed this for `domain`.
    pub(crate) fn is_signed_by(&self, domain: Domain, key: &PublicKey) -> bool {
        key.verifies(&domain.signed_bytes(self.payload), &self.signature)
    }
}

/// Splits and verifies an envelope.
pub(crate) fn open<'a, 't>(
    domain: Domain,
    bytes: &'a [u8],
    trust: &'t TrustBundle,
) -> Result<Opened<'a, 't>, CodecError> {
    Sealed::parse(domain, bytes)?.open(domain, trust)
}

#[cfg(test)]
mod tests;
