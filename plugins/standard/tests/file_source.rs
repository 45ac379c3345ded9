//! Files that grow, are renamed, cut off, replaced and taken away while the source reads them.
//!
//! The clock of these tests stands still and jumps as soon as nobody has anything to do, so that a
//! minute's wait takes no time and proves that nothing more came.
#![cfg(unix)]
#![allow(clippy::unwrap_used)]

mod support;

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use serde_json::{Value, json};
use sluice_sdk::{Intake, SourceError, Stop};
use sluice_standard as _;
use support::Journal;
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

/// Much longer than the source waits between two looks.
const SOME_LOOKS: Duration = Duration::from_secs(3);
/// Longer than a renamed file is read on.
const MINUTES: Duration = Duration::from_secs(200);

/// A folder with a source that reads in it.
struct World {
    folder: TempDir,
    journal: Journal,
    running: Option<(Stop, JoinHandle<Result<(), SourceError>>)>,
}

impl World {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            journal: Journal::default(),
            running: None,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Add to a file, with or without a newline at the end.
    fn add(&self, name: &str, text: &str) {
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.path(name));
        file.unwrap().write_all(text.as_bytes()).unwrap();
    }

    fn rename(&self, from: &str, to: &str) {
        fs::rename(self.path(from), self.path(to)).unwrap();
    }

    fn spawn(&self, path: &str, follow: bool) -> (Stop, JoinHandle<Result<(), SourceError>>) {
        let sources = sluice_sdk::sources();
        let plugin = sources.iter().find(|it| it.name == "file").unwrap();
        let settings = json!({"path": self.path(path), "follow": follow});
        let source = (plugin.build)(settings).unwrap();
        let (stop, intake) = (Stop::default(), Intake::new(Arc::new(self.journal.clone())));
        let task = tokio::spawn(source.run(intake, stop.clone()));
        (stop, task)
    }

    fn follow(&mut self, path: &str) {
        self.running = Some(self.spawn(path, true));
    }

    async fn stop(&mut self) {
        let (stop, task) = self.running.take().unwrap();
        stop.request();
        task.await.unwrap().unwrap();
    }

    /// As by `kill -9`: at whatever await it is.
    async fn kill(&mut self) {
        let (_, task) = self.running.take().unwrap();
        task.abort();
        task.await.unwrap_err();
    }

    /// Read what is there, to its end.
    async fn read_once(&self, path: &str) -> Result<(), SourceError> {
        let (_, task) = self.spawn(path, false);
        timeout(MINUTES, task).await.unwrap().unwrap()
    }

    /// The ids that were taken so far, in their order.
    fn ids(&self) -> String {
        self.journal.0.lock().unwrap().ids.join(" ")
    }

    fn aside(&self) -> Vec<(String, String)> {
        self.journal.0.lock().unwrap().aside.clone()
    }

    async fn expect(&self, ids: &str) {
        sleep(SOME_LOOKS).await;
        assert_eq!(self.ids(), ids);
    }
}

fn line(id: u32) -> String {
    format!("{{\"id\":\"{id}\",\"event_type\":\"a\"}}\n")
}

#[tokio::test(start_paused = true)]
async fn a_file_that_is_renamed_is_read_on_and_its_successor_from_the_start() {
    let mut world = World::new();
    world.add("log", &line(1));
    world.follow("log");
    world.expect("1").await;
    // The writer has the old file open still, as after logrotate until its signal arrives.
    world.add("log", &line(2));
    world.rename("log", "log.1");
    world.add("log", &line(3));
    world.add("log.1", &line(4));
    sleep(SOME_LOOKS).await;
    world.add("log.1", &line(5));
    world.add("log", &line(6));
    sleep(SOME_LOOKS).await;
    let mut ids: Vec<String> = world.ids().split(' ').map(str::to_owned).collect();
    ids.sort();
    assert_eq!(ids, ["1", "2", "3", "4", "5", "6"]);
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_writer_may_go_on_in_the_renamed_file_as_long_as_it_pauses_less_than_a_minute() {
    let mut world = World::new();
    world.add("log", &line(1));
    world.follow("log");
    world.expect("1").await;
    world.rename("log", "log.1");
    for id in 2..6 {
        sleep(Duration::from_secs(50)).await;
        world.add("log.1", &line(id));
    }
    world.expect("1 2 3 4 5").await;
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn several_rotations_between_two_runs_lose_nothing_and_double_nothing() {
    let mut world = World::new();
    world.add("log", &line(1));
    world.follow("log");
    world.expect("1").await;
    world.stop().await;
    world.add("log", &line(2));
    world.rename("log", "log.1");
    world.add("log", &line(3));
    world.follow("log");
    world.expect("1 2 3").await;
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_pattern_keeps_the_order_of_a_numbered_series() {
    let mut world = World::new();
    for id in [3, 1, 2] {
        world.add(&format!("log-{id}.ndjson"), &line(id));
    }
    world.add("other.txt", &line(9));
    world.follow("*.ndjson");
    world.expect("1 2 3").await;
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_pattern_gains_files_and_folders() {
    let mut world = World::new();
    world.follow("*/*.ndjson");
    world.expect("").await;
    fs::create_dir(world.path("a")).unwrap();
    world.add("a/1.ndjson", &line(1));
    world.expect("1").await;
    world.add("a/2.ndjson", &line(2));
    world.expect("1 2").await;
    // Renamed within the pattern: it is the same file.
    world.rename("a/1.ndjson", "a/0.ndjson");
    world.add("a/0.ndjson", &line(3));
    world.expect("1 2 3").await;
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_file_that_is_cut_off_is_read_from_its_start() {
    for after in [vec![3], vec![3, 4, 5, 6]] {
        let mut world = World::new();
        world.add("log", &(line(1) + &line(2)));
        world.follow("log");
        world.expect("1 2").await;
        // As copytruncate does; what is written next may be shorter or longer than what was there.
        fs::copy(world.path("log"), world.path("log.1")).unwrap();
        let text: String = after.iter().map(|id| line(*id)).collect();
        fs::write(world.path("log"), text).unwrap();
        let more: Vec<String> = after.iter().map(u32::to_string).collect();
        world.expect(&format!("1 2 {}", more.join(" "))).await;
        world.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_file_that_was_cut_off_between_two_runs_is_read_from_its_start() {
    let mut world = World::new();
    world.add("log", &(line(1) + &line(2)));
    world.follow("log");
    world.expect("1 2").await;
    world.stop().await;
    fs::write(world.path("log"), line(3) + &line(4) + &line(5)).unwrap();
    world.follow("log");
    world.expect("1 2 3 4 5").await;
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_restart_goes_on_at_the_kept_position() {
    let mut world = World::new();
    world.add("log", &line(1));
    for id in 2..5 {
        world.follow("log");
        sleep(SOME_LOOKS).await;
        match id % 2 {
            0 => world.stop().await,
            _ => world.kill().await,
        }
        world.add("log", &line(id));
    }
    world.read_once("log").await.unwrap();
    assert_eq!(world.ids(), "1 2 3 4");
    world.read_once("log").await.unwrap();
    assert_eq!(world.ids(), "1 2 3 4", "nothing new");
}

#[tokio::test(start_paused = true)]
async fn a_file_is_the_same_after_its_device_got_another_number() {
    let mut world = World::new();
    world.add("log", &line(1));
    world.follow("log");
    world.expect("1").await;
    world.stop().await;
    renumber(&world.journal);
    world.add("log", &line(2));
    world.follow("log");
    world.expect("1 2").await;
    world.stop().await;
    // Unless it begins otherwise: then it is another one.
    renumber(&world.journal);
    fs::write(world.path("log"), line(3) + &line(4) + &line(5)).unwrap();
    world.follow("log");
    world.expect("1 2 3 4 5").await;
    world.stop().await;
}

/// As a restart of the machine may do with network and virtual disks.
fn renumber(journal: &Journal) {
    let mut kept = journal.0.lock().unwrap();
    let positions: Value = serde_json::from_slice(kept.position.as_ref().unwrap()).unwrap();
    let positions: serde_json::Map<String, Value> = positions
        .as_object()
        .unwrap()
        .iter()
        .map(|(key, it)| (format!("1{key}"), it.clone()))
        .collect();
    kept.position = Some(serde_json::to_vec(&positions).unwrap().into());
}

#[tokio::test(start_paused = true)]
async fn lines_that_the_journal_has_no_room_for_come_after_a_kill() {
    let mut world = World::new();
    world.add("log", &line(1));
    world.follow("log");
    world.expect("1").await;
    world.journal.0.lock().unwrap().is_full = true;
    world.add("log", &line(2));
    world.expect("1").await;
    world.kill().await;
    world.journal.0.lock().unwrap().is_full = false;
    world.follow("log");
    world.expect("1 2").await;
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_unfinished_last_line_waits_for_its_end() {
    let mut world = World::new();
    let (start, end) = (&line(2)[..9], &line(2)[9..]);
    world.add("log", &(line(1) + start));
    world.follow("log");
    sleep(MINUTES).await;
    assert_eq!(world.ids(), "1");
    world.add("log", end);
    world.expect("1 2").await;
    // Over a restart as well.
    world.add("log", start);
    sleep(SOME_LOOKS).await;
    world.stop().await;
    world.follow("log");
    sleep(SOME_LOOKS).await;
    world.add("log", &end.replace('}', ",\"again\":true}"));
    world.expect("1 2 2").await;
    assert_eq!(world.aside(), []);
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_unfinished_last_line_counts_when_the_file_is_gone_or_not_followed() {
    let mut world = World::new();
    world.add("log", line(1).trim_end());
    world.follow("log");
    world.expect("").await;
    fs::remove_file(world.path("log")).unwrap();
    sleep(MINUTES).await;
    assert_eq!(world.ids(), "1");
    world.stop().await;

    world.add("once", line(2).trim_end());
    world.read_once("once").await.unwrap();
    assert_eq!(world.ids(), "1 2");
}

#[tokio::test(start_paused = true)]
async fn a_file_that_is_gone_for_good_is_let_go() {
    let mut world = World::new();
    world.add("log", &line(1));
    world.follow("log");
    world.expect("1").await;
    fs::remove_file(world.path("log")).unwrap();
    sleep(MINUTES).await;
    assert_eq!(open_files(&world.path("log")), 0);
    let position = world.journal.0.lock().unwrap().position.clone();
    assert_eq!(position.unwrap(), "{}");
    world.add("log", &line(2));
    world.expect("1 2").await;
    world.stop().await;
}

/// How many handles this process has of a file, also of a removed one.
fn open_files(path: &Path) -> usize {
    let Ok(handles) = fs::read_dir("/proc/self/fd") else {
        return 0; // Not on this system.
    };
    let targets = handles
        .flatten()
        .filter_map(|it| fs::read_link(it.path()).ok());
    let path = path.to_string_lossy().into_owned();
    targets
        .filter(|target| target.to_string_lossy().starts_with(&path))
        .count()
}

#[tokio::test(start_paused = true)]
async fn ends_of_lines_blank_lines_and_broken_ones() {
    let mut world = World::new();
    let two = line(2).replace('\n', "\r\n");
    world.add("log", &format!("{}{two}\r\n\n  \n", line(1)));
    world.add("log", "{\"id\":\"3\",\"event_ty\r\n");
    world.add("log", &line(4));
    world.follow("log");
    world.expect("1 2 4").await;
    let torn = ("not JSON".to_owned(), "{\"id\":\"3\",\"event_ty".to_owned());
    assert_eq!(world.aside(), [torn]);
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn bytes_that_are_no_text_are_set_aside_and_the_rest_goes_on() {
    let world = World::new();
    let mut bytes = line(1).into_bytes();
    bytes.extend(b"{\"id\":\"2\",\"event_type\":\"\xff\"}\n\0\0\0\0\n");
    bytes.extend(line(3).into_bytes());
    fs::write(world.path("log"), bytes).unwrap();
    world.read_once("log").await.unwrap();
    assert_eq!(world.ids(), "1 3");
    assert_eq!(world.aside().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_line_that_is_too_long_is_set_aside_whole_and_the_next_one_is_read() {
    let mut world = World::new();
    let long = format!(
        "{{\"id\":\"1\",\"event_type\":\"a\",\"x\":\"{}\"}}",
        "x".repeat(40 << 20)
    );
    let (first, rest) = long.split_at(20 << 20);
    world.follow("log");
    world.add("log", first);
    world.expect("").await;
    world.add("log", &format!("{rest}\n{}", line(2)));
    world.expect("2").await;
    let aside = world.aside();
    assert!(aside.iter().all(|(reason, _)| reason == "line too long"));
    let pieces: String = aside.into_iter().map(|(_, text)| text).collect();
    assert_eq!(pieces.len(), long.len());
    assert!(pieces == long, "other bytes");
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn without_follow_a_missing_file_is_an_error_with_the_next_step() {
    let world = World::new();
    let error = world.read_once("log").await.unwrap_err().to_string();
    assert!(
        error.contains("log; check `path`, or set `follow: true`"),
        "{error}"
    );
    // A folder of the pattern too.
    assert!(world.read_once("logs/*.ndjson").await.is_err());
}

/// A socket has a name like a file, and nobody may open it, whoever he is.
#[tokio::test(start_paused = true)]
async fn a_file_that_cannot_be_opened_is_an_error_or_tried_again_and_never_left_out() {
    let mut world = World::new();
    let socket = std::os::unix::net::UnixListener::bind(world.path("log")).unwrap();
    let error = world.read_once("log").await.unwrap_err().to_string();
    assert!(error.contains("log cannot be read"), "{error}");
    world.follow("log");
    world.expect("").await;
    drop(socket);
    fs::remove_file(world.path("log")).unwrap();
    world.add("log", &line(1));
    world.expect("1").await;
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn without_follow_one_file_is_open_at_a_time_however_many_there_are() {
    let world = World::new();
    for id in 1..=50 {
        world.add(&format!("{id:05}.ndjson"), &line(id));
    }
    world.journal.0.lock().unwrap().is_full = true;
    let (_, task) = world.spawn("*.ndjson", false);
    sleep(SOME_LOOKS).await;
    assert!(open_files(world.folder.path()) <= 1);
    world.journal.0.lock().unwrap().is_full = false;
    task.await.unwrap().unwrap();
    assert_eq!(world.ids().split(' ').count(), 50);
}

/// All positions are written together: once for each file would be the square of their number.
#[tokio::test(start_paused = true)]
async fn the_positions_of_many_files_are_kept_once_a_look() {
    let mut world = World::new();
    for id in 1..=50 {
        world.add(&format!("{id:05}.ndjson"), &line(id));
    }
    world.follow("*.ndjson");
    sleep(SOME_LOOKS).await;
    assert_eq!(world.ids().split(' ').count(), 50);
    assert_eq!(world.journal.0.lock().unwrap().saves, 1);
    world.kill().await;
    world.read_once("*.ndjson").await.unwrap();
    assert_eq!(world.ids().split(' ').count(), 50, "nothing twice");
    assert_eq!(world.journal.0.lock().unwrap().saves, 1, "nothing new");
}

/// What may happen around a file that is followed.
#[derive(Debug, Clone, Copy)]
enum Step {
    Write,
    /// The first half of a line; the next write begins with the other half.
    WriteHalf,
    Rotate,
    /// The source looks meanwhile.
    Wait,
    Restart,
    Kill,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => Just(Step::Write),
        1 => Just(Step::WriteHalf),
        2 => Just(Step::Rotate),
        3 => Just(Step::Wait),
        1 => Just(Step::Restart),
        1 => Just(Step::Kill),
    ];
    prop::collection::vec(step, 1..25)
}

/// Take the steps; ids of the whole lines that were written.
async fn take(world: &mut World, steps: &[Step]) -> Vec<String> {
    let (mut written, mut half, mut rotations) = (Vec::new(), String::new(), 0);
    world.follow("log*");
    for step in steps {
        match step {
            Step::Write | Step::WriteHalf if !half.is_empty() => {
                world.add("log", &std::mem::take(&mut half));
            }
            Step::Write | Step::WriteHalf => {
                let id = written.len() as u32 + 1;
                written.push(id.to_string());
                let text = line(id);
                let middle = match step {
                    Step::WriteHalf => text.len() / 2,
                    _ => text.len(),
                };
                world.add("log", &text[..middle]);
                text[middle..].clone_into(&mut half);
            }
            // Programs rotate between two lines.
            Step::Rotate if half.is_empty() && world.path("log").exists() => {
                rotations += 1;
                world.rename("log", &format!("log.{rotations}"));
            }
            Step::Rotate => {}
            Step::Wait => sleep(SOME_LOOKS).await,
            Step::Restart => {
                world.stop().await;
                world.follow("log*");
            }
            Step::Kill => {
                world.kill().await;
                world.follow("log*");
            }
        }
    }
    world.add("log", &half);
    sleep(SOME_LOOKS).await;
    world.stop().await;
    written
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn whatever_happens_every_line_comes_and_after_clean_stops_none_twice(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            let mut world = World::new();
            let written = take(&mut world, &steps).await;
            let mut came: Vec<String> = world.journal.0.lock().unwrap().ids.clone();
            came.sort_by_key(|id| id.parse::<u32>().unwrap());
            if steps.iter().any(|step| matches!(step, Step::Kill)) {
                came.dedup();
            }
            prop_assert_eq!(came, written);
            prop_assert_eq!(world.aside(), []);
            Ok(())
        })?;
    }
}
