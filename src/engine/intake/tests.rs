//! Which event counts as known, and when.

use super::*;
use crate::journal::{Journal, JournalOptions, Record};

struct Fixture {
    _folder: tempfile::TempDir,
    log: Arc<Log>,
    intake: Arc<SourceIntake>,
}

fn fixture(window: Option<Duration>) -> Fixture {
    let folder = tempfile::tempdir().expect("a folder");
    let journal = Journal::open(JournalOptions::new(folder.path())).expect("a new folder opens");
    let log = journal.log("s").expect("a new log opens");
    let intake = SourceIntake::new(
        "s".to_owned(),
        Arc::clone(&log),
        Arc::clone(journal.store()),
        window,
        false,
        Malformed::default(),
        Clock::default(),
    );
    Fixture {
        _folder: folder,
        log,
        intake,
    }
}

const WINDOW: Option<Duration> = Some(Duration::from_secs(3600));

fn submission(ids: &[&str]) -> Submission {
    Submission {
        body: Bytes::from_static(b"{}"),
        events: ids
            .iter()
            .map(|id| sluice_sdk::EventMark {
                start: 0,
                end: 2,
                event_type: "a".to_owned(),
                id: (*id).to_owned(),
                time_ms: None,
            })
            .collect(),
        malformed: Vec::new(),
    }
}

impl Fixture {
    async fn accept(&self, ids: &[&str]) -> Result<(), IntakeError> {
        Arc::clone(&self.intake).append(submission(ids)).await
    }

    /// Ids in the journal, each with whether it was known.
    fn kept(&self) -> Vec<(String, bool)> {
        let mut reader = self.log.reader(0);
        let records: Vec<Record> =
            std::iter::from_fn(|| reader.try_next().expect("readable")).collect();
        records
            .into_iter()
            .flat_map(|record| record.events)
            .map(|event| (event.id, event.duplicate))
            .collect()
    }
}

fn rows(rows: &[(&str, bool)]) -> Vec<(String, bool)> {
    rows.iter()
        .map(|(id, known)| ((*id).to_owned(), *known))
        .collect()
}

#[tokio::test]
async fn the_second_of_an_id_is_marked_in_the_same_body_and_in_a_later_one() {
    let it = fixture(WINDOW);
    it.accept(&["1", "2", "1"]).await.expect("room");
    it.accept(&["2", "3"]).await.expect("room");
    let expected = [
        ("1", false),
        ("2", false),
        ("1", true),
        ("2", true),
        ("3", false),
    ];
    assert_eq!(it.kept(), rows(&expected));
}

#[tokio::test]
async fn without_a_window_everything_is_new() {
    let it = fixture(None);
    it.accept(&["1", "1"]).await.expect("room");
    assert_eq!(it.kept(), rows(&[("1", false), ("1", false)]));
}

/// Another request has the id, and nobody knows yet whether its event reaches the disk.
#[tokio::test]
async fn a_duplicate_that_comes_in_between_waits_and_is_new_if_the_first_one_failed() {
    let it = fixture(WINDOW);
    let id = hash("s", "1");
    assert_eq!(it.intake.claim(&[id]).expect("readable"), Some(vec![false]));
    let writing = WritingGuard {
        intake: &it.intake,
        hashes: vec![id],
    };
    let mut second = tokio::spawn(Arc::clone(&it.intake).append(submission(&["1"])));
    // Not a wait for anything: it must not end however long it is given.
    let early = tokio::time::timeout(Duration::from_millis(100), &mut second).await;
    assert!(early.is_err(), "it waits");
    assert_eq!(it.kept(), []);
    drop(writing);
    second.await.expect("no panic").expect("room");
    assert_eq!(it.kept(), rows(&[("1", false)]));
}

#[tokio::test]
async fn a_duplicate_that_comes_in_between_is_known_if_the_first_one_is_on_disk() {
    let it = fixture(WINDOW);
    let id = hash("s", "1");
    it.intake.claim(&[id]).expect("readable");
    let writing = WritingGuard {
        intake: &it.intake,
        hashes: vec![id],
    };
    let second = tokio::spawn(Arc::clone(&it.intake).append(submission(&["1"])));
    tokio::task::yield_now().await;
    writing.written(1);
    drop(writing);
    second.await.expect("no panic").expect("room");
    assert_eq!(it.kept(), rows(&[("1", true)]));
}

/// Ids in memory have a bound: above it requests wait for the keeper, which stores them.
#[tokio::test]
async fn ids_that_nobody_stores_push_back_instead_of_filling_memory() {
    let it = fixture(WINDOW);
    let many = |from: u32| {
        (from..=from + RECENT_IDS_MAX as u32).map(|n| {
            let mut hash = IdHash::default();
            hash[..4].copy_from_slice(&n.to_be_bytes());
            hash
        })
    };
    let recent = many(0).map(|hash| (hash, 1));
    it.intake.lock(&it.intake.ids).recent.extend(recent);
    tokio::time::pause();
    assert!(matches!(
        it.accept(&["1"]).await,
        Err(IntakeError::Full { .. })
    ));
    let stored: Vec<IdHash> = many(0).collect();
    it.intake.ids_are_stored(stored.iter(), 1, false);
    tokio::time::resume();
    it.accept(&["1"]).await.expect("room again");
}

#[tokio::test]
async fn an_id_whose_event_left_the_journal_before_it_was_stored_is_new_again() {
    let it = fixture(WINDOW);
    it.accept(&["1"]).await.expect("room");
    it.accept(&["2"]).await.expect("room");
    // The keeper meets the second body first: the one before it has expired.
    it.intake.ids_are_stored([hash("s", "2")].iter(), 2, true);
    assert!(it.intake.lock(&it.intake.ids).recent.is_empty());
    it.accept(&["1"]).await.expect("room");
    assert_eq!(it.kept(), rows(&[("1", false), ("2", false), ("1", false)]));
}
