//! JSON objects that mean one thing only: borrowed, bounded, no member twice at any depth.
//!
//! Why: `serde_json` keeps the last of two equal members, other parsers the first. Whoever signs and whoever
//! checks must not read different claims out of one document. Spec: RFC 8725 section 2.4, RFC 7515 section 4.

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, MapAccess, SeqAccess, Visitor};

/// Limit: members in one object. Why: the search for a duplicate is quadratic, and it runs on bytes that
/// nobody has authenticated yet; real tokens stay under 60.
pub(crate) const MEMBERS_MAX: usize = 128;

/// Limit: nesting of objects and lists. Why: bounds the stack; a chain of [`crate::ACT_DEPTH_MAX`] actors fits.
pub(crate) const DEPTH_MAX: u8 = 24;

/// Why a document was refused; deliberately without any of its text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum JsonFault {
    Syntax,
    NotObject,
    DuplicateMember,
    TooManyMembers,
    TooDeep,
}

/// One JSON value; text is borrowed unless it had escapes.
#[derive(Debug, PartialEq)]
pub(crate) enum Node<'a> {
    Null,
    Bool,
    Int(i64),
    Float(f64),
    Text(Cow<'a, str>),
    List(Vec<Node<'a>>),
    Object(Object<'a>),
}

/// An object with distinct members, in the order of the document.
#[derive(Debug, PartialEq)]
pub(crate) struct Object<'a> {
    members: Vec<(Cow<'a, str>, Node<'a>)>,
}

impl<'a> Object<'a> {
    /// Linear search: cheaper than a map for the dozen members that a token has.
    pub(crate) fn get(&self, name: &str) -> Option<&Node<'a>> {
        self.members.iter().find(|(member, _)| member == name).map(|(_, node)| node)
    }

    pub(crate) fn contains(&self, name: &str) -> bool {
        self.get(name).is_some()
    }
}

/// Reads a document whose top level is an object.
pub(crate) fn parse_object(bytes: &[u8]) -> Result<Object<'_>, JsonFault> {
    let fault = Cell::new(None);
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let node = NodeSeed { fault: &fault, depth: 0 }
        .deserialize(&mut reader)
        .and_then(|node| reader.end().map(|()| node))
        .map_err(|_| fault.get().unwrap_or(JsonFault::Syntax))?;
    match node {
        Node::Object(object) => Ok(object),
        _ => Err(JsonFault::NotObject),
    }
}

/// Carries the limits down and the reason for a refusal up, which serde's errors cannot.
#[derive(Clone, Copy)]
struct NodeSeed<'c> {
    fault: &'c Cell<Option<JsonFault>>,
    depth: u8,
}

impl NodeSeed<'_> {
    fn refuse<E: serde::de::Error>(self, fault: JsonFault) -> E {
        self.fault.set(Some(fault));
        E::custom("refused")
    }

    fn deeper<E: serde::de::Error>(self) -> Result<Self, E> {
        if self.depth >= DEPTH_MAX {
            return Err(self.refuse(JsonFault::TooDeep));
        }
        Ok(Self { depth: self.depth.saturating_add(1), ..self })
    }
}

impl<'de> DeserializeSeed<'de> for NodeSeed<'_> {
    type Value = Node<'de>;

    fn deserialize<D: serde::Deserializer<'de>>(self, reader: D) -> Result<Self::Value, D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for NodeSeed<'_> {
    type Value = Node<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Node::Null)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(Node::Bool)
    }

    fn visit_i64<E>(self, value: i64) -> Result<Self::Value, E> {
        Ok(Node::Int(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Self::Value, E> {
        // Why: no date reaches 2^63; saturation keeps it out of range for every reader.
        Ok(Node::Int(i64::try_from(value).unwrap_or(i64::MAX)))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Self::Value, E> {
        Ok(Node::Float(value))
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Node::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Node::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        let inner = self.deeper()?;
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(inner)? {
            list.push(item);
        }
        Ok(Node::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let inner = self.deeper()?;
        let mut members: Vec<(Cow<'de, str>, Node<'de>)> =
            Vec::with_capacity(if self.depth == 0 { TOP_MEMBERS_TYPICAL } else { 0 });
        while let Some(name) = map.next_key_seed(NameSeed)? {
            if members.iter().any(|(known, _)| *known == name) {
                return Err(self.refuse(JsonFault::DuplicateMember));
            }
            if members.len() >= MEMBERS_MAX {
                return Err(self.refuse(JsonFault::TooManyMembers));
            }
            members.push((name, map.next_value_seed(inner)?));
        }
        Ok(Node::Object(Object { members }))
    }
}

/// Room for the claims of an ordinary token without growing.
const TOP_MEMBERS_TYPICAL: usize = 16;

struct NameSeed;

impl<'de> DeserializeSeed<'de> for NameSeed {
    type Value = Cow<'de, str>;

    fn deserialize<D: serde::Deserializer<'de>>(self, reader: D) -> Result<Self::Value, D::Error> {
        reader.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for NameSeed {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a member name")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(text))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(text.to_owned()))
    }

    fn visit_bytes<E: serde::de::Error>(self, _: &[u8]) -> Result<Self::Value, E> {
        Err(E::custom("refused"))
    }
}
