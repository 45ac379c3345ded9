//! `run --watch`: reload when the config or a mapping file changes.
//!
//! Looks at times and sizes instead of asking the system for notice: that also works in containers
//! and on network drives, and the files are few.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use sluice_sdk::Stop;

use super::reload::{Asked, Reloader};

/// How often files are looked at. A change must be there twice, so that no half-written file is read.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Most files that are looked at beside the ones that were read.
const FILES_MAX: usize = 10_000;

type Seen = Vec<(PathBuf, Option<(u64, SystemTime)>)>;

/// Reload after each change since `read_at`, when the files were read first, until `stop`.
pub(super) async fn watch(reloader: Arc<Reloader>, read_at: SystemTime, stop: Stop) {
    let mut before = look(&reloader).await;
    let mut loaded = before.clone();
    // Starting takes a while: what was written meanwhile is not what runs.
    loaded.retain(|(_, about)| about.is_none_or(|(_, modified)| modified < read_at));
    loop {
        tokio::select! {
            () = stop.requested() => return,
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
        let now = look(&reloader).await;
        if now != loaded && now == before {
            // Told in the log by the reload itself.
            let _ = reloader.reload(Asked::Watch).await;
            // Other files may belong to it now. A change of the same ones meanwhile is seen next.
            let after = look(&reloader).await;
            let same_files = after.len() == now.len()
                && after
                    .iter()
                    .zip(&now)
                    .all(|((one, _), (other, _))| one == other);
            loaded = if same_files { now.clone() } else { after };
        }
        before = now;
    }
}

async fn look(reloader: &Reloader) -> Seen {
    let files = reloader.files().await;
    let looked = tokio::task::spawn_blocking(move || state(files));
    looked.await.unwrap_or_default()
}

/// The files, and the YAML files beside each: one more in a folder of mappings counts.
fn state(files: Vec<PathBuf>) -> Seen {
    let mut folders: Vec<&Path> = files.iter().filter_map(|file| file.parent()).collect();
    folders.sort();
    folders.dedup();
    let mut paths: Vec<PathBuf> = folders
        .into_iter()
        .map(|folder| match folder {
            empty if empty == Path::new("") => Path::new("."),
            folder => folder,
        })
        .flat_map(|folder| std::fs::read_dir(folder).into_iter().flatten().flatten())
        .map(|entry| entry.path())
        .filter(|path| {
            path.extension()
                .is_some_and(|end| end == "yaml" || end == "yml")
        })
        .take(FILES_MAX)
        .collect();
    paths.extend(files);
    paths.sort();
    paths.dedup();
    paths
        .into_iter()
        .map(|path| {
            let about = std::fs::metadata(&path).ok();
            let about = about.and_then(|about| Some((about.len(), about.modified().ok()?)));
            (path, about)
        })
        .collect()
}
