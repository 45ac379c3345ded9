//! The names that a plan looks for, as a tree: one look-up a member while the event is read.

use std::ops::Range;

/// A place in the tree; also the place of its span.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NodeId(u32);

impl NodeId {
    /// As a place in a list of spans.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// Names below names. Nodes are numbered so that all below a node follow it.
#[derive(Debug)]
pub struct Trie {
    nodes: Vec<Node>,
}

#[derive(Debug)]
struct Node {
    /// One past the last node below.
    end: u32,
    children: Children,
}

/// Children by a cheap hash of the name, which is made without collisions where it can be.
#[derive(Debug, Default)]
struct Children {
    /// By hash: the first entry, and how many.
    heads: Vec<(u32, u32)>,
    entries: Vec<(Box<[u8]>, NodeId)>,
}

/// Collects paths; the places are known when all are in.
#[derive(Debug, Default)]
pub struct Builder {
    root: Growing,
    paths: u32,
}

#[derive(Debug, Default)]
struct Growing {
    /// Paths that end here.
    marks: Vec<u32>,
    children: Vec<(String, Growing)>,
}

impl Builder {
    /// Look for this path too. Gives its number, for the list of [`Builder::finish`].
    pub fn insert<'a>(&mut self, path: impl Iterator<Item = &'a str>) -> u32 {
        let mut here = &mut self.root;
        for name in path {
            let at = match here.children.iter().position(|(known, _)| known == name) {
                Some(at) => at,
                None => {
                    here.children.push((name.to_owned(), Growing::default()));
                    here.children.len() - 1
                }
            };
            here = &mut here.children[at].1;
        }
        let mark = self.paths;
        here.marks.push(mark);
        self.paths += 1;
        mark
    }

    /// The tree, and the node of each path by its number.
    pub fn finish(self) -> (Trie, Vec<NodeId>) {
        let mut trie = Trie { nodes: Vec::new() };
        let mut places = vec![Trie::ROOT; self.paths as usize];
        trie.add(self.root, &mut places);
        (trie, places)
    }
}

impl Trie {
    /// The whole event.
    pub const ROOT: NodeId = NodeId(0);

    /// An empty one to fill.
    pub fn builder() -> Builder {
        Builder::default()
    }

    fn add(&mut self, growing: Growing, places: &mut [NodeId]) -> NodeId {
        let id = NodeId(u32::try_from(self.nodes.len()).expect("a mapping has fewer paths"));
        for mark in growing.marks {
            places[mark as usize] = id;
        }
        self.nodes.push(Node {
            end: 0,
            children: Children::default(),
        });
        let children: Vec<_> = growing
            .children
            .into_iter()
            .map(|(name, child)| {
                (
                    name.into_bytes().into_boxed_slice(),
                    self.add(child, places),
                )
            })
            .collect();
        let end = u32::try_from(self.nodes.len()).expect("a mapping has fewer paths");
        self.nodes[id.index()] = Node {
            end,
            children: Children::new(children),
        };
        id
    }

    /// How many nodes there are.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether anything is wanted of what is inside.
    pub fn has_children(&self, node: NodeId) -> bool {
        !self.nodes[node.index()].children.entries.is_empty()
    }

    /// This node and all below it.
    pub fn below(&self, node: NodeId) -> Range<usize> {
        node.index()..self.nodes[node.index()].end as usize
    }

    /// The child of a raw name, as it stands between its quotes.
    pub fn child(&self, node: NodeId, raw_name: &[u8]) -> Option<NodeId> {
        let children = &self.nodes[node.index()].children;
        children.find(raw_name).or_else(|| {
            // A name may be written with escapes, which is rare; it has been checked by the scanner.
            raw_name.contains(&b'\\').then(|| {
                let mut quoted = Vec::with_capacity(raw_name.len() + 2);
                quoted.push(b'"');
                quoted.extend_from_slice(raw_name);
                quoted.push(b'"');
                let name: String = serde_json::from_slice(&quoted).ok()?;
                children.find(name.as_bytes())
            })?
        })
    }
}

impl Children {
    const BITS_MAX: u32 = 10;

    fn new(mut entries: Vec<(Box<[u8]>, NodeId)>) -> Self {
        if entries.is_empty() {
            return Self::default();
        }
        let least = entries.len().next_power_of_two().ilog2();
        let bits = (least..=Self::BITS_MAX.max(least))
            .find(|bits| {
                let mut seen: Vec<usize> = entries
                    .iter()
                    .map(|(name, _)| hash(name, 1 << bits))
                    .collect();
                seen.sort_unstable();
                seen.windows(2).all(|pair| pair[0] != pair[1])
            })
            .unwrap_or(least + 1);
        let size = 1 << bits;
        entries.sort_by_key(|(name, _)| hash(name, size));
        let mut heads = vec![(0, 0); size];
        for (at, (name, _)) in (0..).zip(&entries) {
            let (first, count) = &mut heads[hash(name, size)];
            if *count == 0 {
                *first = at;
            }
            *count += 1;
        }
        Self { heads, entries }
    }

    fn find(&self, name: &[u8]) -> Option<NodeId> {
        if self.heads.is_empty() {
            return None;
        }
        let (first, count) = self.heads[hash(name, self.heads.len())];
        self.entries[first as usize..(first + count) as usize]
            .iter()
            .find(|(known, _)| **known == *name)
            .map(|(_, node)| *node)
    }
}

/// A cheap hash below `size`, a power of two: of the length and four of the bytes.
pub fn hash(name: &[u8], size: usize) -> usize {
    let byte = |at: usize| name.get(at).copied().map_or(0, u64::from);
    let len = name.len();
    let mixed = (len as u64)
        .wrapping_add(byte(0) << 8)
        .wrapping_add(byte(len / 2) << 24)
        .wrapping_add(byte(len.wrapping_sub(1)) << 40)
        .wrapping_add(byte(len.wrapping_sub(3)) << 32)
        .wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (mixed >> 48) as usize & (size - 1)
}
