//! Which event counts as known, and when.

use std::sync::RwLock;

use super::super::keeper::{Keeper, SourceState, keeper_key};
use super::*;
use crate::journal::{Journal, JournalOptions, Reader};

struct Fixture {
    folder: tempfile::TempDir,
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
        folder,
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
        std::iter::from_fn(|| reader.try_next().expect("readable"))
            .flat_map(|record| record.events.clone())
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
    let claim = it.intake.claim(&[id]).expect("readable").expect("free");
    assert_eq!(claim.seen, [false]);
    let writing = claim.guard;
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
    let claim = it.intake.claim(&[id]).expect("readable").expect("free");
    let writing = claim.guard;
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
    it.intake.ids_are_settled(1);
    tokio::time::resume();
    it.accept(&["1"]).await.expect("room again");
}

#[tokio::test]
async fn an_id_whose_event_left_the_journal_before_it_was_stored_is_new_again() {
    let it = fixture(WINDOW);
    it.accept(&["1"]).await.expect("room");
    it.accept(&["2"]).await.expect("room");
    // The keeper meets the second body first: the one before it has expired.
    it.intake.ids_are_settled(2);
    assert!(it.intake.lock(&it.intake.ids).recent.is_empty());
    it.accept(&["1"]).await.expect("room");
    assert_eq!(it.kept(), rows(&[("1", false), ("2", false), ("1", false)]));
}

impl Fixture {
    /// A keeper as at a start, with what an earlier one had stored.
    async fn keeper(&self) -> (Keeper, Reader) {
        let state = self.intake.store.load_connector(&keeper_key("s"));
        let state: SourceState = match state.expect("readable") {
            Some(state) => serde_json::from_slice(&state).expect("plain data"),
            None => SourceState::default(),
        };
        let view = Arc::new(RwLock::default());
        Keeper::catch_up(Arc::clone(&self.intake), state, view)
            .await
            .expect("readable")
    }

    /// Where the store keeps tables of seen ids: of all keyspaces the last to be made.
    fn tables(&self) -> std::path::PathBuf {
        let keyspaces = self.folder.path().join("state/keyspaces");
        let last = std::fs::read_dir(keyspaces)
            .expect("a folder")
            .map(|entry| entry.expect("readable").path())
            .max();
        last.expect("some").join("tables")
    }

    fn recent(&self) -> usize {
        self.intake.lock(&self.intake.ids).recent.len()
    }
}

#[tokio::test]
async fn ids_leave_memory_when_many_have_gathered_and_stay_known() {
    let it = fixture(WINDOW);
    let names: Vec<String> = (0..SETTLE_IDS).map(|n| n.to_string()).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    it.accept(&names[1..]).await.expect("room");
    let (mut keeper, mut reader) = it.keeper().await;
    assert_eq!(it.recent(), SETTLE_IDS - 1, "one too few");
    it.accept(&names[..1]).await.expect("room");
    keeper.read_to_the_end(&mut reader).await;
    assert_eq!(it.recent(), 0);
    assert_eq!(it.intake.store.recent_ids("s").expect("readable"), []);
    it.accept(&["0", "1", "new"]).await.expect("room");
    let kept = it.kept();
    let expected = [("0", true), ("1", true), ("new", false)];
    assert_eq!(kept[SETTLE_IDS..], rows(&expected));
}

#[tokio::test]
async fn ids_that_were_not_settled_before_a_restart_are_known_after_it() {
    let it = fixture(WINDOW);
    it.accept(&["1"]).await.expect("room");
    it.keeper().await;
    // The keeper does not come to this one any more.
    it.accept(&["2"]).await.expect("room");
    // As if the process had ended: what was in memory is gone.
    *it.intake.lock(&it.intake.ids) = RecentIds::default();
    it.keeper().await;
    it.accept(&["1", "2", "3"]).await.expect("room");
    let expected = [("1", true), ("2", true), ("3", false)];
    assert_eq!(it.kept()[2..], rows(&expected));
}

#[tokio::test]
async fn ids_that_came_long_ago_are_settled_however_few_they_are() {
    let it = fixture(WINDOW);
    it.accept(&["1"]).await.expect("room");
    let (mut keeper, _) = it.keeper().await;
    let now = it.intake.now();
    keeper.settle_old(now).await;
    assert_eq!(it.recent(), 1);
    keeper.settle_old(now + Duration::from_secs(3601)).await;
    assert_eq!(it.recent(), 0);
    it.accept(&["1"]).await.expect("room");
    assert_eq!(it.kept()[1..], rows(&[("1", true)]));
}

#[tokio::test]
async fn ids_that_cannot_be_settled_stay_known_and_are_settled_later() {
    let it = fixture(WINDOW);
    it.accept(&["1"]).await.expect("room");
    let (mut keeper, _) = it.keeper().await;
    let later = it.intake.now() + Duration::from_secs(3601);
    let tables = it.tables();
    let aside = tables.with_extension("aside");
    std::fs::rename(&tables, &aside).expect("a folder");
    keeper.settle_old(later).await;
    it.accept(&["1"]).await.expect("room");
    assert_eq!(it.kept()[1..], rows(&[("1", true)]));
    assert_eq!(it.recent(), 1, "not settled");
    std::fs::rename(&aside, &tables).expect("a folder");
    keeper.settle_old(later).await;
    assert_eq!(it.recent(), 1, "not at once");
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(31)).await;
    keeper.settle_old(later).await;
    assert_eq!(it.recent(), 0);
    it.accept(&["1"]).await.expect("room");
    assert_eq!(it.kept()[2..], rows(&[("1", true)]));
}
