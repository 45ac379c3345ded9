//! What stands in the file after a crash, a full disk, a rotation.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use serde_json::json;
use sluice_sdk::{Document, parse_config};
use tempfile::{TempDir, tempdir};

use super::*;

fn sink(path: &Path, rotate: serde_json::Value, clock: fn() -> SystemTime) -> FileSink {
    let config: FileSinkConfig =
        parse_config(json!({"path": path, "rotate": rotate})).expect("settings");
    let writer = Writer::new(config.path, config.rotate, clock);
    FileSink {
        writer: Arc::new(Mutex::new(writer)),
    }
}

fn batch(bodies: &[&str]) -> Batch {
    let documents = bodies.iter().map(|body| Document {
        event_id: "1".to_owned(),
        event_type: "a".to_owned(),
        body: (*body).to_owned().into(),
    });
    Batch {
        documents: documents.collect(),
        attempt: 0,
    }
}

async fn deliver(sink: &FileSink, bodies: &[&str]) -> Outcome {
    match sink.deliver(&batch(bodies)).await {
        Delivery::All(outcome) => outcome,
        other => panic!("{other:?}"),
    }
}

/// Names and contents.
fn files(folder: &TempDir) -> BTreeMap<String, String> {
    let entries = fs::read_dir(folder.path()).expect("a folder");
    entries
        .map(|entry| {
            let entry = entry.expect("an entry");
            let name = entry.file_name().to_string_lossy().into_owned();
            (name, fs::read_to_string(entry.path()).expect("a file"))
        })
        .collect()
}

#[tokio::test]
async fn a_line_that_a_crash_tore_is_cut_off_and_whole_ones_stay() {
    for (before, after) in [
        (
            "{\"n\":1}\n{\"n\":2}\n{\"n\":",
            "{\"n\":1}\n{\"n\":2}\n{\"n\":9}\n",
        ),
        // Nothing whole in it.
        ("{\"n", "{\"n\":9}\n"),
        // Torn in the middle of a character.
        ("{\"n\":1}\n{\"é", "{\"n\":1}\n{\"n\":9}\n"),
        // As an editor leaves it.
        ("{\"n\":1}\n{\"n\":2}", "{\"n\":1}\n{\"n\":2}\n{\"n\":9}\n"),
        ("", "{\"n\":9}\n"),
    ] {
        let folder = tempdir().expect("a folder");
        let path = folder.path().join("out.ndjson");
        let torn = match before.strip_suffix('é') {
            Some(start) => [start.as_bytes(), &"é".as_bytes()[..1]].concat(),
            None => before.as_bytes().to_vec(),
        };
        fs::write(&path, torn).expect("a file");
        let sink = sink(&path, json!({}), SystemTime::now);
        assert_eq!(deliver(&sink, &["{\"n\":9}"]).await, Outcome::Delivered);
        assert_eq!(files(&folder)["out.ndjson"], after, "{before}");
    }
}

#[tokio::test]
async fn a_file_is_finished_before_it_grows_too_long() {
    let folder = tempdir().expect("a folder");
    let path = folder.path().join("out.ndjson");
    let sink = sink(&path, json!({"size": 20}), SystemTime::now);
    let mut finished = BTreeMap::new();
    for n in 10..40 {
        let body = format!("{{\"n\":{n}}}");
        assert_eq!(deliver(&sink, &[&body]).await, Outcome::Delivered);
        let mut found = files(&folder);
        found.remove("out.ndjson");
        for (name, text) in found {
            assert!(text.len() <= 20 && text.ends_with('\n'), "{name}: {text}");
            let before = finished.insert(name, text.clone());
            assert!(
                before.is_none_or(|before| before == text),
                "it was whole from the start"
            );
        }
    }
    // A document that is longer alone has a file of its own.
    let long = format!("{{\"n\":\"{}\"}}", "x".repeat(40));
    assert_eq!(deliver(&sink, &[&long]).await, Outcome::Delivered);
    let files = files(&folder);
    assert_eq!(files["out.ndjson"], format!("{long}\n"));
    let all: String = files.values().cloned().collect();
    for n in 10..40 {
        assert_eq!(all.matches(&format!("{{\"n\":{n}}}\n")).count(), 1, "{n}");
    }
}

#[tokio::test]
async fn a_file_is_finished_when_it_is_old_and_under_a_name_that_nobody_has() {
    fn soon() -> SystemTime {
        SystemTime::now() + Duration::from_secs(60)
    }
    /// New Year 2100.
    fn much_later() -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(4_102_444_800)
    }
    let folder = tempdir().expect("a folder");
    let path = folder.path().join("out.ndjson");
    let rotate = json!({"after_seconds": 3600});
    for (clock, body) in [
        (SystemTime::now as fn() -> SystemTime, "{\"n\":1}"),
        (soon, "{\"n\":2}"),
        (much_later, "{\"n\":3}"),
        (much_later, "{\"n\":4}"),
    ] {
        // A new sink each time, as after a restart.
        let sink = sink(&path, rotate.clone(), clock);
        assert_eq!(deliver(&sink, &[body]).await, Outcome::Delivered);
    }
    let expected = [
        ("out-21000101T000000.000Z-1.ndjson", "{\"n\":3}\n"),
        ("out-21000101T000000.000Z.ndjson", "{\"n\":1}\n{\"n\":2}\n"),
        ("out.ndjson", "{\"n\":4}\n"),
    ];
    let expected = expected.map(|(name, text)| (name.to_owned(), text.to_owned()));
    assert_eq!(files(&folder), BTreeMap::from(expected));
}

#[tokio::test]
async fn a_file_without_an_ending_is_finished_too() {
    let folder = tempdir().expect("a folder");
    let sink = sink(&folder.path().join("out"), json!({"size": 1}), || {
        UNIX_EPOCH + Duration::from_secs(1_788_264_000)
    });
    for body in ["{}", "[]"] {
        assert_eq!(deliver(&sink, &[body]).await, Outcome::Delivered);
    }
    let expected = [("out", "[]\n"), ("out-20260901T120000.000Z", "{}\n")];
    let expected = expected.map(|(name, text)| (name.to_owned(), text.to_owned()));
    assert_eq!(files(&folder), BTreeMap::from(expected));
}

#[tokio::test]
async fn a_file_that_was_taken_away_is_made_anew() {
    let folder = tempdir().expect("a folder");
    let path = folder.path().join("out.ndjson");
    let sink = sink(&path, json!({}), SystemTime::now);
    deliver(&sink, &["{\"n\":1}"]).await;
    fs::rename(&path, folder.path().join("mine")).expect("to rename");
    deliver(&sink, &["{\"n\":2}"]).await;
    let files = files(&folder);
    assert_eq!(files["mine"], "{\"n\":1}\n");
    assert_eq!(files["out.ndjson"], "{\"n\":2}\n");
}

#[tokio::test]
#[cfg(target_os = "linux")]
async fn a_full_disk_is_tried_again_and_named() {
    let sink = sink(Path::new("/dev/full"), json!({}), SystemTime::now);
    match deliver(&sink, &["{}"]).await {
        Outcome::Retry { reason, .. } => {
            assert!(
                reason.contains("/dev/full cannot be written: No space left"),
                "{reason}"
            );
        }
        other => panic!("{other:?}"),
    }
}

/// Where not even root may make a file.
#[tokio::test]
#[cfg(target_os = "linux")]
async fn a_folder_without_the_right_to_write_holds_and_says_what_to_do() {
    let sink = sink(Path::new("/sys/out.ndjson"), json!({}), SystemTime::now);
    match deliver(&sink, &["{}"]).await {
        Outcome::Hold { reason } => {
            assert!(
                reason.contains("/sys/out.ndjson cannot be written"),
                "{reason}"
            );
            assert!(reason.contains("give the right to write it"), "{reason}");
        }
        other => panic!("{other:?}"),
    }
    assert!(matches!(sink.check().await, Err(CheckError::Refused(_))));
}
