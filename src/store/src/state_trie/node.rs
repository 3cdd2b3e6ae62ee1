//! The nodes of a state trie and their stored form.
//!
//! A subtree of at most [`BUCKET`] entries is one bucket; a larger one is a branch of 16 children, by the next four
//! bits of the entries' paths. Stored, a bucket is its length (one byte, never 0) and its entries in key order, each as
//! the distance to the key before and the signed distance to the event before; a branch is a 0, a bit for each child
//! that is there, and those children's hashes and numbers of entries. All numbers are shortest LEB128.
//!
//! The number of entries below each child decides, without reading them, when a branch becomes a bucket again.

use sha2::{Digest, Sha256};

/// The first 16 bytes of the SHA-256 of a node's stored form.
pub(super) type NodeHash = [u8; 16];

/// The most entries a bucket has. Part of the stored form: another number gives other roots. A full bucket is about as
/// long as a full branch, and the state of a small conversation is one node.
pub(super) const BUCKET: usize = 32;

/// How many children a branch has at most.
pub(super) const CHILDREN: usize = 16;

/// How many branches can lie above each other: the paths have 64 bits.
pub(super) const MAX_DEPTH: u32 = 16;

/// Marks a branch, where a bucket has its length.
const BRANCH_TAG: u8 = 0;

/// A state key number and an event number.
pub(super) type Entry = (u64, u64);

/// One subtree of a branch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Child {
    pub(super) hash: NodeHash,
    /// The number of entries below.
    pub(super) count: u64,
}

impl Child {
    /// Whether it is a bucket, known without reading it.
    pub(super) fn is_bucket(self) -> bool {
        self.count <= BUCKET as u64
    }
}

pub(super) type Children = [Option<Child>; CHILDREN];

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Node {
    /// At least one entry, in key order.
    Bucket(Vec<Entry>),
    /// More entries than a bucket holds.
    Branch(Box<Children>),
}

/// The way from the top to a key: the key multiplied by an odd constant (2^64 divided by the golden ratio), so that
/// keys at any regular distance spread evenly over the children. Keys of members may well be numbered 2 or 16 apart,
/// since all kinds of names share one sequence of numbers. No two keys have the same path.
pub(super) fn path(key: u64) -> u64 {
    key.wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

/// Which child of a branch `depth` branches below the top a path goes through.
pub(super) fn turn(path: u64, depth: u32) -> usize {
    usize::from(path.rotate_left(4 * (depth + 1)).to_le_bytes()[0] & 0xF)
}

/// The name of a node with this stored form.
pub(super) fn hash(bytes: &[u8]) -> NodeHash {
    let mut hash = NodeHash::default();
    hash.copy_from_slice(&Sha256::digest(bytes)[..16]);
    hash
}

impl Node {
    /// The number of entries below.
    pub(super) fn count(&self) -> u64 {
        match self {
            Self::Bucket(entries) => entries.len() as u64,
            Self::Branch(children) => children.iter().flatten().map(|child| child.count).sum(),
        }
    }

    /// How many bytes it takes in memory, roughly.
    pub(super) fn memory(&self) -> u64 {
        let content = match self {
            Self::Bucket(entries) => size_of::<Entry>() * entries.capacity(),
            Self::Branch(_) => size_of::<Children>(),
        };
        // The node, its two counters and the cache's own entry.
        (content + size_of::<Self>() + 96) as u64
    }

    /// The stored form.
    pub(super) fn encode(&self) -> Vec<u8> {
        match self {
            Self::Bucket(entries) => encode_bucket(entries),
            Self::Branch(children) => encode_branch(children),
        }
    }

    /// A node from its stored form; says what is wrong with one that [`Node::encode`] would not have made.
    pub(super) fn decode(bytes: &[u8]) -> Result<Self, &'static str> {
        let mut reader = Reader(bytes);
        let node = match reader.byte()? {
            BRANCH_TAG => Self::Branch(reader.branch()?),
            len if usize::from(len) <= BUCKET => Self::Bucket(reader.bucket(len)?),
            _ => return Err("a bucket is too large"),
        };
        if !reader.0.is_empty() {
            return Err("a node has something behind it");
        }
        Ok(node)
    }
}

fn encode_bucket(entries: &[Entry]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(1 + 8 * entries.len());
    bytes.push(entries.len().to_le_bytes()[0]);
    let mut last = (0, 0);
    for entry in entries {
        put_number(&mut bytes, entry.0 - last.0);
        let distance = entry.1.wrapping_sub(last.1).cast_signed();
        put_number(&mut bytes, ((distance << 1) ^ (distance >> 63)).cast_unsigned());
        last = *entry;
    }
    bytes
}

fn encode_branch(children: &Children) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(3 + 19 * CHILDREN);
    let present = (0..CHILDREN).filter(|turn| children[*turn].is_some());
    let bits = present.fold(0_u16, |bits, turn| bits | 1 << turn);
    bytes.push(BRANCH_TAG);
    bytes.extend(bits.to_be_bytes());
    for child in children.iter().flatten() {
        bytes.extend(child.hash);
        put_number(&mut bytes, child.count);
    }
    bytes
}

fn put_number(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    bytes.push(number.to_le_bytes()[0]);
}

/// Reads a stored node from its front.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], &'static str> {
        let (taken, rest) = self.0.split_first_chunk().ok_or("a node ends too soon")?;
        self.0 = rest;
        Ok(*taken)
    }

    fn byte(&mut self) -> Result<u8, &'static str> {
        self.take().map(|[byte]| byte)
    }

    fn number(&mut self) -> Result<u64, &'static str> {
        let mut number = 0_u64;
        for shift in (0..u64::BITS).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7F);
            if (bits << shift) >> shift != bits {
                return Err("a number is too large");
            }
            number |= bits << shift;
            if byte < 0x80 {
                let shortest = byte != 0 || shift == 0;
                return if shortest {
                    Ok(number)
                } else {
                    Err("a number is not in its shortest form")
                };
            }
        }
        Err("a number is too long")
    }

    fn bucket(&mut self, len: u8) -> Result<Vec<Entry>, &'static str> {
        let mut entries: Vec<Entry> = Vec::with_capacity(usize::from(len));
        for _ in 0..len {
            let distance = self.number()?;
            let zigzag = self.number()?;
            let event_distance = (zigzag >> 1) ^ (zigzag & 1).wrapping_neg();
            let entry = match entries.last() {
                None => (distance, event_distance),
                Some(_) if distance == 0 => return Err("a key stands twice"),
                Some((key, event)) => {
                    let key = key.checked_add(distance).ok_or("a key is too large")?;
                    (key, event.wrapping_add(event_distance))
                }
            };
            entries.push(entry);
        }
        Ok(entries)
    }

    fn branch(&mut self) -> Result<Box<Children>, &'static str> {
        let bits = u16::from_be_bytes(self.take()?);
        let mut children = Box::<Children>::default();
        let mut total = 0_u64;
        for (turn, child) in children.iter_mut().enumerate() {
            if bits & (1 << turn) == 0 {
                continue;
            }
            let (hash, count) = (self.take()?, self.number()?);
            if count == 0 {
                return Err("a child is empty");
            }
            total = total.checked_add(count).ok_or("a branch has too many entries")?;
            *child = Some(Child { hash, count });
        }
        if total <= BUCKET as u64 {
            return Err("a branch should be a bucket");
        }
        Ok(children)
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::{btree_map, vec};
    use proptest::prelude::*;

    use super::*;

    fn a_node() -> impl Strategy<Value = Node> {
        let bucket = btree_map(any::<u64>(), any::<u64>(), 1..=BUCKET)
            .prop_map(|entries| Node::Bucket(entries.into_iter().collect()));
        let child = (any::<[u8; 16]>(), 40..1_000_000_u64);
        let child = child.prop_map(|(hash, count)| Child { hash, count });
        let branch = (vec(proptest::option::of(child.clone()), CHILDREN - 1), child).prop_map(
            |(some, last)| {
                let mut children = Children::default();
                children[..CHILDREN - 1].copy_from_slice(&some);
                children[CHILDREN - 1] = Some(last);
                Node::Branch(Box::new(children))
            },
        );
        prop_oneof![bucket, branch]
    }

    proptest! {
        #[test]
        fn a_node_is_read_back_as_it_was_written(node in a_node()) {
            prop_assert_eq!(Node::decode(&node.encode()), Ok(node));
        }

        #[test]
        fn bytes_are_refused_or_are_the_one_form_of_their_node(bytes in vec(any::<u8>(), 0..80)) {
            if let Ok(node) = Node::decode(&bytes) {
                prop_assert_eq!(node.encode(), bytes);
            }
        }

        #[test]
        fn a_changed_byte_is_refused_or_gives_another_node(node in a_node(), at in any::<prop::sample::Index>(), bit in 0..8_u32) {
            let mut bytes = node.encode();
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            if let Ok(other) = Node::decode(&bytes) {
                prop_assert_eq!(other.encode(), bytes);
                prop_assert_ne!(other, node);
            }
        }

        #[test]
        fn a_node_cut_short_is_refused(node in a_node(), at in any::<prop::sample::Index>()) {
            let bytes = node.encode();
            prop_assert!(Node::decode(&bytes[..at.index(bytes.len())]).is_err());
        }
    }

    #[test]
    fn keys_at_any_regular_distance_spread_evenly() {
        for distance in [1, 2, 3, 4, 5, 8, 13, 16, 21, 256, 4096, 65_536] {
            let mut below = [0; 256];
            for key in (0..25_600).map(|nth| 77 + nth * distance) {
                below[16 * turn(path(key), 0) + turn(path(key), 1)] += 1;
            }
            assert!(below.iter().all(|count| (80..=120).contains(count)), "{distance}: {below:?}");
        }
    }
}
