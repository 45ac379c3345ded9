#![allow(clippy::unwrap_used)]

use super::*;
use tempfile::TempDir;

fn open(folder: &TempDir) -> Store {
    let lock = Arc::new(tempfile::tempfile().unwrap());
    Store::open(&folder.path().join("state"), lock).unwrap()
}

fn commit(connector: &str, state: &str, letters: &[&str]) -> StoreCommit {
    StoreCommit {
        connector: connector.into(),
        state: Some(state.into()),
        dead_letters: letters
            .iter()
            .map(|letter| letter.as_bytes().to_vec())
            .collect(),
        ..StoreCommit::default()
    }
}

fn listed(store: &Store, connector: Option<&str>) -> Vec<String> {
    let letters = store.dead_letters(connector, None, 100).unwrap();
    letters
        .iter()
        .map(|(key, value)| format!("{key}={}", value.escape_ascii()))
        .collect()
}

#[test]
fn state_and_dead_letters_survive_a_restart_together() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder);
    assert_eq!(store.load_connector("a").unwrap(), None);
    store.commit(&commit("a", "one", &["x", "yy"])).unwrap();
    store.commit(&commit("ab", "two", &["z"])).unwrap();
    let keys = store.commit(&commit("a", "three", &["zzz"])).unwrap();
    assert_eq!(keys[0].to_string(), "a/2");
    store.sync().unwrap();
    drop(store);
    let store = open(&folder);
    assert_eq!(store.load_connector("a").unwrap().unwrap(), b"three");
    assert_eq!(store.connectors().unwrap(), ["a", "ab"]);
    assert_eq!(listed(&store, Some("a")), ["a/0=x", "a/1=yy", "a/2=zzz"]);
    assert_eq!(listed(&store, None).len(), 4);
    let totals = DeadLetterTotals {
        next_number: 3,
        count: 3,
        bytes: 6,
    };
    assert_eq!(store.dead_letter_totals().unwrap()["a"], totals);
}

#[test]
fn a_removed_dead_letter_is_counted_once_and_its_number_not_given_again() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder);
    let keys = store.commit(&commit("a", "", &["x", "yy", "z"])).unwrap();
    let gone = vec![keys[1].clone(), keys[1].clone(), "b/7".parse().unwrap()];
    store.remove_dead_letters(&gone).unwrap();
    store.remove_dead_letters(&gone).unwrap();
    assert_eq!(store.dead_letter_count("a").unwrap(), 2);
    assert_eq!(store.dead_letter(&keys[1]).unwrap(), None);
    store.remove_dead_letters(&keys).unwrap();
    assert_eq!(store.commit(&commit("a", "", &["w"])).unwrap()[0].number, 3);
    assert_eq!(listed(&store, None), ["a/3=w"]);
}

#[test]
fn a_replaced_dead_letter_keeps_its_name_and_other_states_change_with_it() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder);
    let keys = store.commit(&commit("a", "", &["x", "yy"])).unwrap();
    let gone: DeadLetterKey = "a/9".parse().unwrap();
    store
        .commit(&StoreCommit {
            connector: "a".to_owned(),
            states: vec![("replay:1".to_owned(), Some(b"half".to_vec()))],
            replace_dead_letters: vec![
                (keys[1].clone(), b"longer".to_vec()),
                (gone, b"?".to_vec()),
            ],
            remove_dead_letters: vec![keys[0].clone()],
            ..StoreCommit::default()
        })
        .unwrap();
    assert_eq!(listed(&store, None), ["a/1=longer"]);
    assert_eq!(store.load_connector("replay:1").unwrap().unwrap(), b"half");
    let totals = DeadLetterTotals {
        next_number: 2,
        count: 1,
        bytes: 6,
    };
    assert_eq!(store.dead_letter_totals().unwrap()["a"], totals);
    store
        .commit(&StoreCommit {
            states: vec![("replay:1".to_owned(), None)],
            ..StoreCommit::default()
        })
        .unwrap();
    assert_eq!(store.connectors().unwrap(), ["a"]);
}

#[test]
fn pages_of_dead_letters_follow_each_other() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder);
    for connector in ["a", "a-b", "b"] {
        store
            .commit(&commit(connector, "", &["1", "2", "3"]))
            .unwrap();
    }
    let (mut after, mut seen) = (None, Vec::new());
    loop {
        let page = store.dead_letters(None, after.as_ref(), 2).unwrap();
        let Some((last, _)) = page.last() else { break };
        after = Some(last.clone());
        seen.extend(page.into_iter().map(|(key, _)| key.to_string()));
    }
    assert_eq!(seen.len(), 9);
    assert_eq!(store.dead_letters(Some("a"), None, 10).unwrap().len(), 3);
    let after = "a/1".parse().unwrap();
    assert_eq!(
        store
            .dead_letters(Some("a"), Some(&after), 10)
            .unwrap()
            .len(),
        1
    );
}

#[test]
fn a_renamed_connector_keeps_its_state_and_dead_letters() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder);
    store.commit(&commit("old", "cursor", &["x", "y"])).unwrap();
    store.commit(&commit("new", "", &["w"])).unwrap();
    let states = [
        ("of:new".to_owned(), Some(b"moved".to_vec())),
        ("of:old".to_owned(), None),
    ];
    store.rename_connector("old", "new", 5, &states).unwrap();
    assert_eq!(listed(&store, None), ["new/0=w", "new/1=x", "new/2=y"]);
    assert_eq!(store.load_connector("new").unwrap().unwrap(), b"cursor");
    assert_eq!(store.connectors().unwrap(), ["new", "of:new"]);
    let totals = store.dead_letter_totals().unwrap();
    assert_eq!((totals["new"].next_number, totals["new"].count), (8, 3));
}

fn id(n: u64, received_ms: i64) -> SeenId {
    let hash = [n.to_be_bytes(), [0; 8]].concat().try_into().unwrap();
    SeenId { hash, received_ms }
}

fn chunk(source: &str, end_sequence: u64, ids: &[SeenId]) -> StoreCommit {
    StoreCommit {
        ids: Some(IdChunk {
            source: source.into(),
            end_sequence,
            ids: ids.to_vec(),
        }),
        ..commit("ids", "", &[])
    }
}

#[test]
fn chunks_of_ids_are_read_back_until_they_are_settled() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder);
    let mut ids = [id(5, 10), id(1, 11), id(5, 12)];
    store.commit(&chunk("a", 2, &ids[..2])).unwrap();
    store.commit(&chunk("a", 300, &ids[2..])).unwrap();
    store.commit(&chunk("ab", 1, &[id(7, 1)])).unwrap();
    drop(store);
    let store = open(&folder);
    assert_eq!(store.recent_ids("a").unwrap(), ids);
    store.settle_ids("a", &mut ids).unwrap();
    assert_eq!(store.recent_ids("a").unwrap(), []);
    assert_eq!(store.recent_ids("ab").unwrap(), [id(7, 1)]);
    drop(store);
    let store = open(&folder);
    let asked = [5, 1, 7].map(|n| id(n, 0).hash);
    assert_eq!(store.are_seen(&asked).unwrap(), [true, true, false]);
}
