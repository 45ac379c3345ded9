//! Compressed request bodies, made in buffers that are used again: new ones of half a megabyte for each
//! request would cost more than filling them.

use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use libdeflater::{CompressionLvl, Compressor};
use sluice_sdk::Bytes;

use crate::protocol;

/// The fastest level that compresses: the library's `fastest` is 0, which only wraps.
fn level() -> CompressionLvl {
    CompressionLvl::new(1).unwrap_or_default()
}

/// As many packers as have worked at the same time.
#[derive(Default)]
pub struct Packers(Mutex<Vec<Packer>>);

struct Packer {
    compressor: Compressor,
    plain: Vec<u8>,
    packed: Vec<u8>,
}

impl Packers {
    /// The batch call for these documents as gzip. `None` when the library has no room, which sends
    /// it plain. Takes about a microsecond a kilobyte.
    pub fn pack(&self, documents: &[Bytes], sent_at: Timestamp, write_key: &str) -> Option<Bytes> {
        let lock = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut packer = lock().pop().unwrap_or_else(Packer::new);
        let packed = packer.pack(documents, sent_at, write_key);
        lock().push(packer);
        packed
    }
}

impl Packer {
    fn new() -> Self {
        Self {
            compressor: Compressor::new(level()),
            plain: Vec::new(),
            packed: Vec::new(),
        }
    }

    fn pack(&mut self, documents: &[Bytes], sent_at: Timestamp, write_key: &str) -> Option<Bytes> {
        self.plain.clear();
        protocol::write_batch(&mut self.plain, documents, sent_at, write_key);
        let bound = self.compressor.gzip_compress_bound(self.plain.len());
        if self.packed.len() < bound {
            self.packed.resize(bound, 0);
        }
        let length = self
            .compressor
            .gzip_compress(&self.plain, &mut self.packed)
            .ok()?;
        Some(Bytes::copy_from_slice(&self.packed[..length]))
    }
}
