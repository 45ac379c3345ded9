//! The few file calls that can fail halfway. All of the log's writes and syncs go through here,
//! so that tests can make the disk full or broken at a chosen byte.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

#[derive(Debug, Default)]
pub(super) struct Disk {
    syncs: AtomicU64,
    #[cfg(test)]
    pub(super) faults: Faults,
}

/// What a test wants to go wrong.
#[cfg(test)]
#[derive(Debug)]
pub(super) struct Faults {
    /// Bytes that can still be written before the disk is full.
    pub room_bytes: std::sync::atomic::AtomicI64,
    pub is_sync_broken: std::sync::atomic::AtomicBool,
}

#[cfg(test)]
impl Default for Faults {
    fn default() -> Self {
        Faults {
            room_bytes: i64::MAX.into(),
            is_sync_broken: false.into(),
        }
    }
}

impl Disk {
    pub(super) fn write_at(&self, mut file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
        file.seek(SeekFrom::Start(offset))?;
        #[cfg(test)]
        {
            let room = self.faults.room_bytes.load(Ordering::SeqCst);
            if room < bytes.len() as i64 {
                file.write_all(&bytes[..room.max(0) as usize])?;
                return Err(io::ErrorKind::StorageFull.into());
            }
        }
        file.write_all(bytes)
    }

    /// fdatasync.
    pub(super) fn sync(&self, file: &File) -> io::Result<()> {
        self.syncs.fetch_add(1, Ordering::Relaxed);
        #[cfg(test)]
        if self.faults.is_sync_broken.load(Ordering::SeqCst) {
            return Err(io::Error::other("broken by the test"));
        }
        file.sync_data()
    }

    pub(super) fn syncs(&self) -> u64 {
        self.syncs.load(Ordering::Relaxed)
    }
}

/// Make the names in a folder durable; without it a new file may be gone after power loss.
pub(super) fn sync_folder(path: &Path) -> io::Result<()> {
    // Windows cannot open a folder this way and keeps names durable by itself.
    if cfg!(unix) {
        File::open(path)?.sync_all()
    } else {
        Ok(())
    }
}

/// Replace a small file as a whole, durably.
pub(super) fn write_file(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let new = path.with_extension("new");
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .open(&new)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&new, path)?;
    path.parent().map_or(Ok(()), sync_folder)
}

/// Read so many bytes at a place; fewer only at the end of the file. Moves the file's own place.
pub(super) fn read_at(mut file: &File, offset: u64, bytes: u64) -> io::Result<Vec<u8>> {
    file.seek(SeekFrom::Start(offset))?;
    let mut read = Vec::with_capacity(usize::try_from(bytes).unwrap_or(0));
    file.take(bytes).read_to_end(&mut read)?;
    Ok(read)
}
