//! Targets and holders: selectors to identifiers that passed D15.

use rescind_core::entitlement::Holder;
use rescind_core::target::Target;
use rescind_schemas::v1 as proto;
use rescind_schemas::v1::target::Selector;

use crate::error::CodecError;
use crate::wire::{fixed, required};

fn issued(issuer: &str, id: &str) -> proto::IssuedId {
    proto::IssuedId { issuer: issuer.to_owned(), id: id.to_owned() }
}

pub(crate) fn target_to_wire(target: &Target) -> proto::Target {
    let selector = match target {
        Target::Token { issuer, jti } => Selector::Token(issued(issuer, jti)),
        Target::TokenHash(hash) => Selector::TokenSha256(hash.to_vec()),
        Target::Session { issuer, sid } => Selector::Session(issued(issuer, sid)),
        Target::User { issuer: Some(issuer), id } => Selector::User(issued(issuer, id)),
        Target::User { issuer: None, id } => Selector::UserOfAnyIssuer(id.as_ref().to_owned()),
        Target::Key { issuer, kid } => Selector::Key(issued(issuer, kid)),
        Target::Client { id } => Selector::Client(id.as_ref().to_owned()),
        Target::Tenant { id } => Selector::Tenant(id.as_ref().to_owned()),
        Target::Service { name } => Selector::Service(name.as_ref().to_owned()),
        Target::All => Selector::All(proto::Literal {}),
    };
    proto::Target { selector: Some(selector) }
}

/// A target of a kind that this version does not know decodes to no selector, and so is refused too.
pub(crate) fn target_from_wire(wire: Option<proto::Target>) -> Result<Target, CodecError> {
    let wire = required("target", wire)?;
    let target = match wire.selector.ok_or(CodecError::UnknownKind { field: "target" })? {
        Selector::Token(proto::IssuedId { issuer, id }) => {
            Target::Token { issuer: issuer.into(), jti: id.into() }
        }
        Selector::TokenSha256(hash) => Target::TokenHash(fixed("token_sha256", &hash)?),
        Selector::Session(proto::IssuedId { issuer, id }) => {
            Target::Session { issuer: issuer.into(), sid: id.into() }
        }
        Selector::User(proto::IssuedId { issuer, id }) => {
            Target::User { issuer: Some(issuer.into()), id: id.into() }
        }
        Selector::UserOfAnyIssuer(id) => Target::User { issuer: None, id: id.into() },
        Selector::Key(proto::IssuedId { issuer, id }) => {
            Target::Key { issuer: issuer.into(), kid: id.into() }
        }
        Selector::Client(id) => Target::Client { id: id.into() },
        Selector::Tenant(id) => Target::Tenant { id: id.into() },
        Selector::Service(name) => Target::Service { name: name.into() },
        Selector::All(proto::Literal {}) => Target::All,
    };
    Ok(target.checked()?)
}

pub(crate) fn holder_to_wire(holder: &Holder) -> proto::Holder {
    use proto::holder::Holder as Wire;
    let holder = match holder {
        Holder::User { issuer, id } => Wire::User(issued(issuer, id)),
        Holder::Role(name) => Wire::Role(name.as_ref().to_owned()),
        Holder::Group(name) => Wire::Group(name.as_ref().to_owned()),
    };
    proto::Holder { holder: Some(holder) }
}

pub(crate) fn holder_from_wire(wire: Option<proto::Holder>) -> Result<Holder, CodecError> {
    use proto::holder::Holder as Wire;
    let wire = required("holder", wire)?;
    let holder = match wire.holder.ok_or(CodecError::UnknownKind { field: "holder" })? {
        Wire::User(proto::IssuedId { issuer, id }) => Holder::User { issuer: issuer.into(), id: id.into() },
        Wire::Role(name) => Holder::Role(name.into()),
        Wire::Group(name) => Holder::Group(name.into()),
    };
    Ok(holder.checked()?)
}
