//! What every linked plugin must keep, whoever wrote it: a new one is covered by being linked.

use std::fs;
use std::path::Path;
use std::process::Command;

use sluice as _;
use sluice_sdk::conformance::{Report, check_sink, check_source};

fn assert_all(reports: &[Report]) {
    let wrong: Vec<String> = reports
        .iter()
        .filter(|report| !report.faults.is_empty())
        .map(ToString::to_string)
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_sink_keeps_the_contract() {
    let mut reports = Vec::new();
    for plugin in sluice_sdk::sinks() {
        reports.push(check_sink(plugin).await);
    }
    assert!(reports.len() >= 4, "{} sinks are linked", reports.len());
    assert_all(&reports);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_source_keeps_the_contract() {
    let mut reports = Vec::new();
    for plugin in sluice_sdk::sources() {
        reports.push(check_source(plugin).await);
    }
    assert!(reports.len() >= 4, "{} sources are linked", reports.len());
    assert_all(&reports);
}

#[test]
fn no_name_is_taken_twice() {
    assert_eq!(sluice_sdk::name_clashes(), Vec::<String>::new());
}

/// A plugin made for another SDK would register with a list that nobody reads.
#[test]
fn cargo_refuses_a_program_with_two_versions_of_the_sdk() {
    let ours = Path::new(env!("CARGO_MANIFEST_DIR")).join("plugins/sdk/Cargo.toml");
    let ours = fs::read_to_string(ours).expect("the SDK is here");
    let links = ours
        .lines()
        .find(|line| line.starts_with("links"))
        .expect("the SDK says `links`");
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, package: &str, more: &str| {
        let folder = folder.path().join(name);
        fs::create_dir_all(folder.join("src")).expect("writable");
        fs::write(folder.join("src/lib.rs"), "").expect("writable");
        fs::write(folder.join("build.rs"), "fn main() {}").expect("writable");
        let text = format!("[package]\nname = \"{package}\"\nedition = \"2024\"\n{more}\n");
        fs::write(folder.join("Cargo.toml"), text).expect("writable");
    };
    let sdk = |version: &str| format!("version = \"{version}\"\n{links}");
    write("one", "sluice-sdk", &sdk("0.1.0"));
    write("two", "sluice-sdk", &sdk("0.2.0"));
    let plugin = "version = \"1.0.0\"\n[dependencies]\nsluice-sdk = { path = \"../two\" }";
    write("plugin", "acme-sink", plugin);
    let both = "[dependencies]\nsluice-sdk = { path = \"one\" }\nacme-sink = { path = \"plugin\" }";
    write("", "our-sluice", both);

    let answer = Command::new(env!("CARGO"))
        .args(["metadata", "--offline", "--format-version", "1"])
        .current_dir(folder.path())
        .output()
        .expect("cargo runs");
    let said = String::from_utf8_lossy(&answer.stderr);
    assert!(!answer.status.success(), "cargo takes both");
    assert!(
        said.contains("links to the native library `sluice-sdk`"),
        "{said}"
    );
    assert!(said.contains("acme-sink"), "{said}");
}

#[test]
fn every_folder_of_mappings_is_registered_with_all_its_files() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("mappings");
    let mut folders = 0;
    for folder in fs::read_dir(&root).expect("mappings").flatten() {
        if !folder.path().is_dir() {
            continue;
        }
        folders += 1;
        let name = folder.file_name().into_string().expect("text");
        let sets = sluice_sdk::mapping_sets();
        let set = sets.iter().find(|set| set.name == name);
        let set = set.unwrap_or_else(|| panic!("{name} is not in src/builtin.rs"));
        let files = (set.files)();
        assert!(files.iter().any(|(path, _)| path.contains('/')), "overlays");
        for (path, text) in files {
            let there = fs::read_to_string(folder.path().join(path)).expect(path);
            assert_eq!(there, text, "{path}");
        }
    }
    assert!(folders >= 1, "no folder of mappings");
}
