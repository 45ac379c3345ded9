//! A folder to write to, for the conformance kit.

use std::io;
use std::path::PathBuf;

use serde_json::{Value, json};
use sluice_sdk::{Behaviour, BoxFuture, Double};

use crate::stand_in::Folder;

/// A folder to write to, for the conformance kit.
struct Target(Folder);

pub fn start() -> BoxFuture<'static, io::Result<Box<dyn Double>>> {
    Box::pin(async { Ok(Box::new(Target(Folder::new()?)) as Box<dyn Double>) })
}

impl Target {
    fn path(&self) -> PathBuf {
        self.0.path().join("documents.ndjson")
    }

    fn aside(&self) -> PathBuf {
        self.0.path().join("aside.ndjson")
    }
}

impl Double for Target {
    fn settings(&self) -> Value {
        json!({"path": self.path()})
    }

    fn accepted(&self) -> u64 {
        let files = [self.path(), self.aside()];
        let texts = files
            .iter()
            .filter_map(|path| std::fs::read_to_string(path).ok());
        texts.map(|text| text.lines().count() as u64).sum()
    }

    fn sample(&self, n: u64) -> Option<String> {
        Some(json!({"n": n}).to_string())
    }

    fn behave(&self, behaviour: Behaviour) -> bool {
        match behaviour {
            // A folder in the file's place cannot be written, whoever we are.
            Behaviour::Unwell => {
                std::fs::rename(self.path(), self.aside()).is_ok()
                    && std::fs::create_dir(self.path()).is_ok()
            }
            Behaviour::Well => {
                if self.path().is_dir() {
                    let _ = std::fs::remove_dir(self.path());
                    let _ = std::fs::rename(self.aside(), self.path());
                }
                true
            }
            _ => false,
        }
    }
}
