//! A Bloom filter over the ids in the tables: what is not in it is in none of them. Nearly every id
//! that is asked for is new, and to ask the tables takes longer than to map the event.

use fastbloom::AtomicBloomFilter;

use super::seen::IdHash;

/// One in a hundred new ids is looked for in the tables all the same.
const BITS_PER_ID: usize = 10;
/// The least a filter is made for, 1.25 MiB: each time it has become too small it is made anew, of all
/// that is in the tables.
const LEAST: usize = 1024 * 1024;
/// The most a filter is made for, 16 MiB: with more ids within the window the tables are asked.
const MOST: usize = 16 * 1024 * 1024 * 8 / BITS_PER_ID;

pub(super) struct Filter {
    bits: AtomicBloomFilter,
    /// How many ids it is made for.
    room: usize,
}

impl Filter {
    /// An empty one for so many ids, and for as many again that are yet to come. `None`: too many.
    pub fn for_ids(count: usize) -> Option<Self> {
        Self::within(count, MOST)
    }

    fn within(count: usize, most: usize) -> Option<Self> {
        let room = (2 * count).clamp(LEAST.min(most), most);
        // One that is nearly full when it is made would be made anew soon.
        (count <= room - room / 8).then(|| Self {
            bits: AtomicBloomFilter::with_num_bits(room * BITS_PER_ID).expected_items(room),
            room,
        })
    }

    pub fn has_room_for(&self, count: usize) -> bool {
        count <= self.room
    }

    pub fn insert(&self, id: &IdHash) {
        self.bits.insert_hash(half(id));
    }

    pub fn may_contain(&self, id: &IdHash) -> bool {
        self.bits.contains_hash(half(id))
    }
}

/// Half of a hash is a hash.
fn half(id: &IdHash) -> u64 {
    let (half, _) = id.split_first_chunk().expect("16 bytes have 8");
    u64::from_be_bytes(*half)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use sha2::{Digest, Sha256};

    use super::*;

    fn id(n: usize) -> IdHash {
        let digest: [u8; 32] = Sha256::digest(n.to_be_bytes()).into();
        *digest.first_chunk().unwrap()
    }

    #[test]
    fn all_that_is_in_it_is_found_and_little_else() {
        let filter = Filter::within(100_000, 200_000).unwrap();
        for n in 0..200_000 {
            filter.insert(&id(n));
        }
        assert!((0..200_000).all(|n| filter.may_contain(&id(n))));
        let wrong = (200_000..300_000).filter(|n| filter.may_contain(&id(*n)));
        let wrong = wrong.count();
        assert!(wrong < 2_000, "{wrong} of 100,000 that are not in it");
    }

    #[test]
    fn it_grows_twofold_up_to_a_limit_and_is_then_given_up() {
        let room = |count| Filter::within(count, 4 * LEAST).map(|filter| filter.room);
        assert_eq!(room(0), Some(LEAST));
        assert_eq!(room(LEAST), Some(2 * LEAST));
        assert_eq!(room(3 * LEAST), Some(4 * LEAST));
        assert_eq!(room(4 * LEAST - LEAST / 4), None);
        let filter = Filter::for_ids(LEAST).unwrap();
        assert!(filter.has_room_for(2 * LEAST) && !filter.has_room_for(2 * LEAST + 1));
    }
}
