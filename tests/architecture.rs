//! What ARCHITECTURE.md promises about who may know whom.

use std::path::{Path, PathBuf};

fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn the_engine_knows_no_system_by_name() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    rust_files(&root.join("src"), &mut files);
    assert!(files.len() > 20, "the walk found {} files", files.len());
    let mut found = Vec::new();
    for path in files
        .iter()
        .filter(|path| !path.ends_with("src/builtin.rs"))
    {
        let text = std::fs::read_to_string(path)
            .expect("a text")
            .to_lowercase();
        for word in [
            "braze",
            "currents",
            "sluice_segment",
            "sluice_standard",
            "segment.io",
            "segmentapis",
            "write_key",
            "writekey",
            "anonymousid",
            "userid",
        ] {
            if text.contains(word) {
                found.push(format!("{}: {word}", path.display()));
            }
        }
    }
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn plugins_depend_on_the_sdk_and_on_no_other_part() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for (plugin, expected) in [
        ("http_server", &["sluice-sdk"] as &[&str]),
        ("braze", &["sluice-http-server", "sluice-sdk"]),
        ("segment", &["sluice-sdk"]),
        ("standard", &["sluice-http-server", "sluice-sdk"]),
    ] {
        let manifest =
            std::fs::read_to_string(root.join("plugins").join(plugin).join("Cargo.toml"))
                .expect("a manifest");
        let inside: Vec<&str> = manifest
            .lines()
            .skip_while(|line| *line != "[dependencies]")
            .skip(1)
            .take_while(|line| !line.starts_with('['))
            .filter(|line| line.starts_with("sluice"))
            .map(|line| line.split(['.', ' ', '=']).next().unwrap_or_default())
            .collect();
        assert_eq!(inside, expected, "plugins/{plugin}");
    }
}

/// Without the `use … as _` of builtin.rs the registry would be silently empty.
#[test]
fn the_standard_build_has_its_plugins() {
    use sluice as _;
    let names = |plugins: Vec<&'static str>| plugins.join(" ");
    assert_eq!(
        names(
            sluice_sdk::sources()
                .iter()
                .map(|plugin| plugin.name)
                .collect()
        ),
        "braze_webhook file generate http stdin"
    );
    assert_eq!(
        names(
            sluice_sdk::sinks()
                .iter()
                .map(|plugin| plugin.name)
                .collect()
        ),
        "file http segment stdout"
    );
    assert_eq!(
        names(
            sluice_sdk::commands()
                .iter()
                .map(|plugin| plugin.name)
                .collect()
        ),
        "sandbox"
    );
}

#[test]
fn the_time_of_day_comes_in_at_one_place() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    rust_files(&root.join("src"), &mut files);
    let asks = |path: &PathBuf| {
        let text = std::fs::read_to_string(path).expect("a text");
        text.contains("Timestamp::now")
    };
    files.retain(asks);
    assert_eq!(files, [root.join("src/clock.rs")]);
}
