//! The tree over nonces. Source: RFC 6962 section 2.1; design in `lease.proto`.
//!
//! Built level by level: a node without a sibling moves up as it is, which gives the same root as the RFC's split
//! at the largest power of two, and every path in logarithmic time.

use rescind_core::lease::LeaseRequest;
use sha2::{Digest as _, Sha256};

use crate::limits::PATH_HASHES_MAX;

type Hash = [u8; 32];

/// A tree over the lease requests that one tick answers.
#[derive(Debug, Clone)]
pub struct NonceTree {
    /// Leaves first; each level is half as long as the one before, rounded up. Empty: no leaves.
    levels: Vec<Vec<Hash>>,
}

/// The proof that one request is in a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoncePath {
    pub(crate) index: u32,
    pub(crate) size: u32,
    pub(crate) hashes: Vec<Hash>,
}

impl NonceTree {
    /// A tree over requests, leaves in this order.
    #[must_use]
    pub fn new(requests: &[LeaseRequest]) -> Self {
        let mut levels = Vec::new();
        let mut level: Vec<Hash> = requests.iter().map(leaf).collect();
        while level.len() > 1 {
            let above = level.chunks(2).map(join).collect();
            levels.push(core::mem::replace(&mut level, above));
        }
        if !level.is_empty() {
            levels.push(level);
        }
        Self { levels }
    }

    /// The root; all zero without leaves.
    #[must_use]
    pub fn root(&self) -> [u8; 32] {
        self.levels.last().and_then(|level| level.first()).copied().unwrap_or_default()
    }

    /// The proof of the request at `index`, from 0; `None` past the last.
    #[must_use]
    pub fn path(&self, index: usize) -> Option<NoncePath> {
        let size = self.levels.first()?.len();
        if index >= size {
            return None;
        }
        let siblings =
            self.levels.iter().enumerate().filter_map(|(height, level)| level.get((index >> height) ^ 1));
        Some(NoncePath {
            index: u32::try_from(index).ok()?,
            size: u32::try_from(size).ok()?,
            hashes: siblings.copied().collect(),
        })
    }
}

impl NoncePath {
    /// Whether `request` is the leaf of this path under `root`. Source: RFC 9162 section 2.1.3.2.
    #[must_use]
    pub fn proves(&self, request: &LeaseRequest, root: &[u8; 32]) -> bool {
        if self.index >= self.size || self.hashes.len() > PATH_HASHES_MAX {
            return false;
        }
        let (mut at, mut last) = (self.index, self.size - 1);
        let mut hash = leaf(request);
        for sibling in &self.hashes {
            if last == 0 {
                return false;
            }
            if at & 1 == 1 || at == last {
                hash = node(sibling, &hash);
                // Levels at which this node had no sibling.
                while at & 1 == 0 && at != 0 {
                    at >>= 1;
                    last >>= 1;
                }
            } else {
                hash = node(&hash, sibling);
            }
            at >>= 1;
            last >>= 1;
        }
        last == 0 && hash == *root
    }
}

fn join(pair: &[Hash]) -> Hash {
    match pair {
        [left, right] => node(left, right),
        [alone, ..] => *alone,
        [] => Hash::default(),
    }
}

fn leaf(request: &LeaseRequest) -> Hash {
    let agent = request.agent.as_str().as_bytes();
    let length = u16::try_from(agent.len()).unwrap_or(u16::MAX);
    Sha256::new()
        .chain_update([0])
        .chain_update(length.to_be_bytes())
        .chain_update(agent)
        .chain_update(request.instance.0)
        .chain_update(request.nonce.0)
        .finalize()
        .into()
}

fn node(left: &Hash, right: &Hash) -> Hash {
    Sha256::new().chain_update([1]).chain_update(left).chain_update(right).finalize().into()
}

#[cfg(test)]
mod tests;
