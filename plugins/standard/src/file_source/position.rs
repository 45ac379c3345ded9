//! How far each file was read, kept over a restart.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use sluice_sdk::{Bytes, Intake, SourceError};

/// How far a file was read.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Position {
    pub path: PathBuf,
    pub offset: u64,
    /// Hash of the first `head_bytes` bytes.
    pub head: String,
    pub head_bytes: u64,
}

/// Of the first bytes of a file.
pub fn hash(head: &[u8]) -> String {
    let digest = Sha256::digest(head);
    let bytes = digest.iter().take(16);
    bytes.map(|byte| format!("{byte:02x}")).collect()
}

/// By device and inode.
pub type Positions = BTreeMap<String, Position>;

pub async fn load(intake: &Intake) -> Result<Positions, SourceError> {
    let kept = intake.load().await.map_err(|error| {
        SourceError(format!(
            "file: the positions of the last run cannot be read: {error}"
        ))
    })?;
    let Some(kept) = kept else {
        return Ok(Positions::new());
    };
    serde_json::from_slice(&kept).map_err(|error| {
        SourceError(format!(
            "file: the positions of the last run are damaged: {error}"
        ))
    })
}

/// A position that is not kept costs a second reading, and no event.
pub async fn save(intake: &Intake, positions: &Positions) {
    let text = serde_json::to_vec(positions).expect("positions are plain data");
    if let Err(error) = intake.save(Bytes::from(text)).await {
        tracing::debug!("file: the position cannot be kept: {error}");
    }
}
