//! Where test files are when nobody says so, and what the config says for them.

use std::path::{Path, PathBuf};

use crate::cli::follow::Followed;
use crate::cli::mappings;
use crate::config::ConnectorConfig;
use crate::mapping::FOLDER;
use crate::mapping::testing::TestRoot;

/// The places that were named; otherwise those of the config's mappings and the folder `mappings`;
/// otherwise every built-in set.
pub fn roots(named: &[PathBuf], followed: Option<&Followed>) -> Vec<TestRoot> {
    let mut paths = named.to_vec();
    if paths.is_empty() {
        paths.extend(followed.into_iter().flat_map(on_disk));
        let folder = Path::new(FOLDER);
        if folder.is_dir() {
            paths.push(folder.to_owned());
        }
        paths.sort();
        paths.dedup();
    }
    if paths.is_empty() {
        let sets = mappings::top_sets().into_iter();
        return sets
            .map(|set| PathBuf::from(format!("builtin:{set}")).into())
            .collect();
    }
    with_settings(paths, followed)
}

/// The places of the tests that lie beside a config's mappings.
pub fn of_config(followed: &Followed) -> Vec<TestRoot> {
    let mut paths = on_disk(followed);
    paths.sort();
    paths.dedup();
    with_settings(paths, Some(followed))
}

/// Each place with what the config says for its tests.
fn with_settings(paths: Vec<PathBuf>, followed: Option<&Followed>) -> Vec<TestRoot> {
    paths
        .into_iter()
        .map(
            |path| match followed.and_then(|followed| root(&path, followed)) {
                Some(root) => root,
                None => path.into(),
            },
        )
        .collect()
}

/// Folders and files of mappings that the config names, without built-in sets and patterns.
fn on_disk(followed: &Followed) -> Vec<PathBuf> {
    let connectors = followed.connectors();
    connectors
        .flat_map(|(_, connector)| folders(followed, connector))
        .filter(|path| path.is_dir())
        .collect()
}

/// The folders that a connector's mappings lie in.
fn folders(followed: &Followed, connector: &ConnectorConfig) -> Vec<PathBuf> {
    let base = match &followed.config.folder {
        here if here == Path::new(".") => Path::new(""),
        folder => folder,
    };
    let texts = connector.mappings.iter().map(|(text, _)| text.as_str());
    texts
        .filter(|text| !text.starts_with("builtin:"))
        .filter_map(|text| {
            let path = base.join(text);
            match path.is_dir() {
                true => Some(path),
                false => path.parent().map(Path::to_owned),
            }
        })
        .filter(|path| !path.as_os_str().is_empty())
        .collect()
}

/// A path with what goes for its tests: what the first connector says whose mappings they belong to.
fn root(path: &Path, followed: &Followed) -> Option<TestRoot> {
    let (_, connector) = followed.connectors().find(|(_, connector)| {
        let folders = folders(followed, connector);
        folders
            .iter()
            .any(|folder| path.starts_with(folder) || folder.starts_with(path))
    })?;
    Some(TestRoot {
        path: path.to_owned(),
        places: followed.places(connector),
        include: connector.events.include.clone(),
        exclude: connector.events.exclude.clone(),
    })
}
