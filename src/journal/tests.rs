//! The promises of the log, kept through torn writes, rot, full and broken disks.

#![allow(clippy::unwrap_used, clippy::single_range_in_vec_init)]

use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;
use tempfile::TempDir;

use super::recent::{KEPT_BYTES_MAX, Recent};
use super::record::{HEADER_BYTES, Header, Kind};
use super::segment::FILE_HEADER_BYTES;
use super::*;

const BIG: u64 = 1 << 40;

/// A log alone, without lock and store: quick to open again and again.
fn open_sized(folder: &Path, segment_bytes: u64, max_size_bytes: u64) -> Arc<Log> {
    open_salted(folder, segment_bytes, max_size_bytes, 0x5eed)
}

fn open_salted(folder: &Path, segment_bytes: u64, max_size_bytes: u64, salt: u32) -> Arc<Log> {
    let (logs, damaged) = (folder.join("log"), folder.join("damaged"));
    std::fs::create_dir_all(&logs).unwrap();
    std::fs::create_dir_all(&damaged).unwrap();
    let log = Log::open(shared::Shared {
        source: "orders".into(),
        folder: logs,
        damaged_folder: damaged,
        salt,
        segment_bytes,
        max_size_bytes,
        retain: Duration::from_millis(1000),
        total_bytes: Arc::default(),
        disk: disk::Disk::default(),
        durable: tokio::sync::watch::Sender::new(0),
        released_before: AtomicU64::new(0),
        state: Mutex::default(),
        _lock: Arc::new(tempfile::tempfile().unwrap()),
    });
    Arc::new(log.unwrap())
}

fn open(folder: &Path) -> Arc<Log> {
    open_sized(folder, BIG, BIG)
}

/// A body of some events, each `{"n":…}`, with their marks.
fn body_of(ids: &[u64]) -> (Vec<EventMark>, Bytes) {
    let (mut body, mut events) = (String::from("["), Vec::new());
    for id in ids {
        let start = body.len() as u32;
        body.push_str(&format!("{{\"n\":{id}}}"));
        events.push(EventMark {
            start,
            end: body.len() as u32,
            event_type: if id % 2 == 0 { "even" } else { "odd" }.into(),
            id: format!("id-{id}"),
            time_ms: (id % 3 != 0).then_some(*id as i64),
            duplicate: id % 5 == 0,
        });
        body.push(',');
    }
    body.push(']');
    (events, body.into())
}

async fn append(log: &Log, ids: &[u64]) -> Result<u64, AppendError> {
    append_at(log, ids, 7).await
}

async fn append_at(log: &Log, ids: &[u64], received_ms: i64) -> Result<u64, AppendError> {
    let (events, body) = body_of(ids);
    log.append(received_ms, events, Vec::new(), body).await
}

async fn append_malformed(log: &Log, bytes: usize) -> Result<u64, AppendError> {
    let reason = "not an object".to_owned();
    let mark = MalformedMark {
        start: 0,
        end: bytes as u32,
        reason,
    };
    log.append(7, Vec::new(), vec![mark], vec![b'x'; bytes].into())
        .await
}

fn read_all(log: &Arc<Log>) -> Vec<Arc<Record>> {
    let mut reader = log.reader(0);
    std::iter::from_fn(|| reader.try_next().unwrap()).collect()
}

/// As for a reader that is far behind.
fn forget_recent(log: &Log) {
    log.shared.state().recent = Recent::default();
}

/// The ids that are read, in order; their bytes must be the ones appended.
fn ids(log: &Arc<Log>) -> Vec<u64> {
    let mut all = Vec::new();
    for record in read_all(log) {
        for mark in &record.events {
            let id: u64 = mark.id.strip_prefix("id-").unwrap().parse().unwrap();
            assert_eq!(record.event_bytes(mark), format!("{{\"n\":{id}}}"));
            all.push(id);
        }
    }
    all
}

fn segments(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder.join("log")).unwrap();
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

fn damaged_files(folder: &Path) -> usize {
    std::fs::read_dir(folder.join("damaged")).unwrap().count()
}

fn flip(path: &Path, at: usize) {
    let mut bytes = std::fs::read(path).unwrap();
    bytes[at] ^= 0x10;
    std::fs::write(path, bytes).unwrap();
}

fn place_of(path: &Path, text: &str) -> usize {
    let bytes = std::fs::read(path).unwrap();
    bytes
        .windows(text.len())
        .position(|part| part == text.as_bytes())
        .unwrap()
}

fn sum(log: &Log) -> u64 {
    log.received_by_type().values().sum()
}

#[tokio::test]
async fn what_is_appended_is_read_as_it_was() {
    let folder = TempDir::new().unwrap();
    let log = open(folder.path());
    let (events, body) = body_of(&[1, 2, 3]);
    let malformed = vec![MalformedMark {
        start: 0,
        end: 2,
        reason: "no id".into(),
    }];
    let first = log
        .append(42, events.clone(), malformed.clone(), body.clone())
        .await
        .unwrap();
    assert_eq!(
        (first, log.next_sequence(), log.malformed_count()),
        (0, 3, 1)
    );
    assert_eq!(append(&log, &[4]).await.unwrap(), 3);
    let expected = Record {
        first_sequence: 0,
        received_ms: 42,
        events,
        malformed,
        body,
    };
    assert_eq!(*read_all(&log)[0], expected);
    drop(log);
    let log = open(folder.path());
    assert_eq!(*read_all(&log)[0], expected, "from the disk");
    assert_eq!(ids(&log), [1, 2, 3, 4]);
}

#[tokio::test]
async fn a_mark_outside_the_body_is_refused() {
    let folder = TempDir::new().unwrap();
    let log = open(folder.path());
    let (events, body) = body_of(&[1]);
    let answer = log.append(0, events, Vec::new(), body.slice(..3)).await;
    assert!(
        matches!(answer, Err(AppendError::Unfit { .. })),
        "{answer:?}"
    );
    assert_eq!(append(&log, &[2]).await.unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_that_wait_together_share_a_sync() {
    let folder = TempDir::new().unwrap();
    let log = open(folder.path());
    append(&log, &[0]).await.unwrap();
    let before = log.sync_count();
    let calls: Vec<_> = (0..500u64)
        .map(|n| {
            let log = log.clone();
            tokio::spawn(async move { append(&log, &[n]).await.unwrap() })
        })
        .collect();
    let mut numbers = Vec::new();
    for call in calls {
        numbers.push(call.await.unwrap());
    }
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=500).collect::<Vec<_>>());
    let syncs = log.sync_count() - before;
    assert!(syncs < 250, "500 appends took {syncs} syncs");
}

#[tokio::test]
async fn a_restart_keeps_all_and_goes_on_counting() {
    let folder = TempDir::new().unwrap();
    for round in 0..4 {
        let log = open_sized(folder.path(), 600, BIG);
        assert_eq!(log.next_sequence(), round * 30);
        for n in 0..10 {
            let id = round * 30 + n * 3;
            assert_eq!(append(&log, &[id, id + 1, id + 2]).await.unwrap(), id);
        }
    }
    let log = open_sized(folder.path(), 600, BIG);
    assert!(segments(folder.path()).len() > 4);
    assert_eq!(ids(&log), (0..120).collect::<Vec<_>>());
    let counts = log.received_by_type();
    assert_eq!((counts["even"], counts["odd"], counts.len()), (60, 60, 2));
    assert!(log.lost().is_empty());
    assert_eq!(damaged_files(folder.path()), 0);
}

#[tokio::test]
async fn a_torn_last_record_is_cut_wherever_it_was_torn() {
    let folder = TempDir::new().unwrap();
    let log = open(folder.path());
    append(&log, &[0, 1]).await.unwrap();
    let good_end = log.size_bytes() as usize;
    append(&log, &[2, 3, 4]).await.unwrap();
    let end = log.size_bytes() as usize;
    drop(log);
    let path = segments(folder.path()).remove(0);
    let bytes = std::fs::read(&path).unwrap();
    assert_eq!(bytes.len(), end);
    for cut in good_end..end {
        // Once as a shorter file, once with the zeros of the pre-allocation behind.
        for zeros in [0, 100] {
            let mut torn = bytes[..cut].to_vec();
            torn.resize(cut + zeros, 0);
            if zeros > 0 && torn.len() >= end && torn[..end] == bytes[..] {
                continue; // The record ended in the zeros that stand there now.
            }
            std::fs::write(&path, &torn).unwrap();
            let log = open(folder.path());
            assert_eq!(ids(&log), [0, 1], "cut at {cut}");
            assert_eq!(std::fs::metadata(&path).unwrap().len(), good_end as u64);
            assert_eq!(append(&log, &[9]).await.unwrap(), 2, "cut at {cut}");
            assert_eq!(ids(&log), [0, 1, 9], "cut at {cut}");
            assert_eq!(sum(&log), 3);
            drop(log);
            assert_eq!(ids(&open(folder.path())), [0, 1, 9], "cut at {cut}");
        }
    }
}

#[tokio::test]
async fn a_segment_that_was_only_begun_is_begun_again() {
    let folder = TempDir::new().unwrap();
    let log = open(folder.path());
    append(&log, &[0, 1]).await.unwrap();
    drop(log);
    for begun in [&b""[..], &[0; 20], &[0; 5000]] {
        let name = segment::SegmentId {
            first_sequence: 2,
            part: 0,
        }
        .file_name();
        std::fs::write(folder.path().join("log").join(name), begun).unwrap();
        let log = open(folder.path());
        assert_eq!((ids(&log), log.next_sequence()), (vec![0, 1], 2));
    }
    let log = open(folder.path());
    assert_eq!(append(&log, &[2]).await.unwrap(), 2);
    assert_eq!(ids(&log), [0, 1, 2]);
}

#[tokio::test]
async fn a_flipped_bit_costs_one_record_and_is_reported() {
    // In the body, in the marks, in the header's checksummed part.
    for text in ["{\"n\":12}", "id-12", "\u{c5}SJ"] {
        for is_restarted in [true, false] {
            let folder = TempDir::new().unwrap();
            let mut log = open(folder.path());
            for n in 0..10 {
                append(&log, &[n * 10 + 1, n * 10 + 2]).await.unwrap();
            }
            let path = segments(folder.path()).remove(0);
            let at = match text {
                "\u{c5}SJ" => place_of(&path, "id-2").max(place_of(&path, "{\"n\":2}")) + 10,
                text => place_of(&path, text) + 2,
            };
            if is_restarted {
                drop(log);
                flip(&path, at);
                log = open(folder.path());
            } else {
                flip(&path, at);
                forget_recent(&log);
            }
            let read = ids(&log);
            let expected: Vec<u64> = (0..10)
                .filter(|n| *n != 1)
                .flat_map(|n| [n * 10 + 1, n * 10 + 2])
                .collect();
            assert_eq!(read, expected, "{text} {is_restarted}");
            assert_eq!(log.lost(), [2..4], "{text} {is_restarted}");
            assert_eq!(damaged_files(folder.path()), 1);
            assert_eq!((sum(&log), log.next_sequence()), (20, 20));
            // A second look neither reports again nor stops.
            assert_eq!(ids(&log), expected);
            append(&log, &[99]).await.unwrap();
            drop(log);
            let log = open(folder.path());
            assert_eq!(ids(&log).len(), 19);
            assert_eq!(damaged_files(folder.path()), 1);
            assert_eq!((sum(&log), log.next_sequence()), (21, 21));
            let unknown = if is_restarted {
                2
            } else {
                log.received_by_type()[DAMAGED_TYPE]
            };
            assert_eq!(log.received_by_type()[DAMAGED_TYPE], unknown);
        }
    }
}

#[tokio::test]
async fn a_damaged_file_header_or_checkpoint_costs_no_event() {
    for at in [2, 13, 40, 80] {
        let folder = TempDir::new().unwrap();
        let log = open_sized(folder.path(), 600, BIG);
        for n in 0..20 {
            append(&log, &[n]).await.unwrap();
        }
        drop(log);
        let paths = segments(folder.path());
        assert!(paths.len() > 2);
        flip(&paths[1], at);
        flip(paths.last().unwrap(), at);
        let log = open_sized(folder.path(), 600, BIG);
        assert_eq!(ids(&log), (0..20).collect::<Vec<_>>(), "byte {at}");
        let counts = log.received_by_type();
        assert_eq!((counts["even"], counts["odd"], counts.len()), (10, 10, 2));
        assert!(damaged_files(folder.path()) >= 1);
        append(&log, &[20]).await.unwrap();
        assert_eq!(ids(&log).len(), 21);
    }
}

#[tokio::test]
async fn a_lost_format_file_costs_no_event() {
    let folder = TempDir::new().unwrap();
    let mut all = Vec::new();
    for salt in 1..4 {
        let log = open_salted(folder.path(), BIG, BIG, salt);
        append(&log, &[u64::from(salt)]).await.unwrap();
        all.push(u64::from(salt));
        assert_eq!(ids(&log), all);
    }
    assert_eq!(ids(&open(folder.path())), all);
    assert_eq!(damaged_files(folder.path()), 0);
}

#[tokio::test]
async fn a_cut_off_sealed_segment_is_a_visible_gap() {
    let folder = TempDir::new().unwrap();
    let log = open_sized(folder.path(), 600, BIG);
    for n in 0..20 {
        append(&log, &[n]).await.unwrap();
    }
    let first = segments(folder.path()).remove(0);
    let bytes = std::fs::read(&first).unwrap();
    std::fs::write(&first, &bytes[..bytes.len() - 5]).unwrap();
    forget_recent(&log);
    let read = ids(&log);
    assert_eq!(read.len(), 19);
    let lost = log.lost();
    assert_eq!(lost.len(), 1);
    assert!(!read.contains(&lost[0].start));
    assert_eq!(damaged_files(folder.path()), 1);
}

#[tokio::test]
async fn a_body_that_looks_like_a_record_is_not_taken_for_one() {
    let folder = TempDir::new().unwrap();
    let log = open(folder.path());
    append(&log, &[0]).await.unwrap();
    let (events, inner) = body_of(&[66]);
    let marks = record::encode_marks(&events, &[], &inner).unwrap();
    let header = Header {
        kind: Kind::Events,
        payload_bytes: marks.payload_bytes,
        event_count: 1,
        first_sequence: 1,
        received_ms: 0,
        payload_crc: marks.payload_crc,
    };
    // The salt is not known to who sends bodies.
    let forged = [&header.encode(0)[..], &marks.bytes, &inner].concat();
    log.append(0, Vec::new(), Vec::new(), forged.into())
        .await
        .unwrap();
    append(&log, &[1]).await.unwrap();
    drop(log);
    let path = segments(folder.path()).remove(0);
    let at = place_of(&path, "id-66") - 60 - HEADER_BYTES;
    flip(&path, at);
    assert_eq!(ids(&open(folder.path())), [0, 1]);
}

#[tokio::test]
async fn release_deletes_what_all_have_passed_and_is_old() {
    let folder = TempDir::new().unwrap();
    let log = open_sized(folder.path(), 600, BIG);
    for n in 0..40 {
        append_at(&log, &[n], 1000 + n as i64).await.unwrap();
    }
    let before = segments(folder.path()).len();
    // Nobody has read, however old.
    assert_eq!(log.release(0, i64::MAX), Released::default());
    // All have read, but it is young (retain is one second).
    assert_eq!(log.release(40, 1500), Released::default());
    assert_eq!(segments(folder.path()).len(), before);
    // Some have read, and all is old: the segment that holds 20 stays.
    let released = log.release(20, 1_000_000);
    assert!(released.segments > 0 && released.bytes > 0);
    assert_eq!(released.sequences, 0..log.oldest_sequence());
    assert!(log.oldest_sequence() <= 20 && log.oldest_sequence() > 10);
    assert_eq!(ids(&log), (log.oldest_sequence()..40).collect::<Vec<_>>());
    // Age goes by the last record of each segment, over a restart too.
    drop(log);
    let log = open_sized(folder.path(), 600, BIG);
    log.release(40, 2031);
    assert!(
        (25..=30).contains(&log.oldest_sequence()),
        "{}",
        log.oldest_sequence()
    );
    // The segment that is written to stays.
    log.release(40, i64::MAX);
    assert_eq!(segments(folder.path()).len(), 1);
    assert_eq!(append(&log, &[40]).await.unwrap(), 40);
    drop(log);
    let log = open_sized(folder.path(), 600, BIG);
    assert_eq!((sum(&log), log.next_sequence()), (41, 41));
}

#[tokio::test]
async fn a_full_journal_says_so_until_there_is_room() {
    let folder = TempDir::new().unwrap();
    let log = open_sized(folder.path(), 500, 2000);
    let mut n = 0;
    while n < 1000 && append(&log, &[n]).await.is_ok() {
        n += 1;
    }
    assert!((5..1000).contains(&n));
    let answer = append(&log, &[n]).await;
    assert!(
        matches!(
            answer,
            Err(AppendError::Full {
                max_size_bytes: 2000,
                ..
            })
        ),
        "{answer:?}"
    );
    assert!(log.size_bytes() <= 2200);
    assert_eq!(ids(&log), (0..n).collect::<Vec<_>>());
    // Young, but read by all: it may go when room is needed.
    let released = log.release(n, 7);
    assert!(released.segments > 0);
    assert_eq!(append(&log, &[n]).await.unwrap(), n);
    // And goes by itself from here on.
    for n in n + 1..n + 8 {
        log.release(n, 7);
        append(&log, &[n]).await.unwrap();
    }
    assert!(log.size_bytes() <= 2200);
    // Expiring is the other way out.
    while append(&log, &[0]).await.is_ok() {}
    let expired = log.expire_oldest();
    assert_eq!(
        (expired.segments, expired.sequences.end),
        (1, log.oldest_sequence())
    );
    assert!(append(&log, &[0]).await.is_ok());
}

#[tokio::test]
async fn an_expired_reader_goes_on_at_the_oldest() {
    let folder = TempDir::new().unwrap();
    let log = open_sized(folder.path(), 300, BIG);
    append(&log, &[0]).await.unwrap();
    let mut reader = log.reader(0);
    assert_eq!(reader.next().await.unwrap().first_sequence, 0);
    for n in 1..30 {
        append(&log, &[n]).await.unwrap();
    }
    for _ in 0..4 {
        log.expire_oldest();
    }
    let mut last = 0;
    while let Some(record) = reader.try_next().unwrap() {
        last = record.first_sequence;
    }
    assert_eq!(last, 29);
    assert!(log.lost().is_empty(), "expired is not lost");
}

#[tokio::test]
async fn what_expired_unread_is_known_by_its_type_until_all_have_passed_it() {
    let folder = TempDir::new().unwrap();
    let log = open_sized(folder.path(), 300, BIG);
    for n in 0..30 {
        append(&log, &[n]).await.unwrap();
    }
    log.release(1, 0);
    while log.oldest_sequence() < 12 {
        assert_eq!(log.expire_oldest().segments, 1);
    }
    let end = log.oldest_sequence();
    let named = |numbers: std::ops::Range<u64>| {
        let runs = log.expired_types(numbers).into_iter();
        let one = |(run, name): (std::ops::Range<u64>, String)| run.map(move |n| (n, name.clone()));
        runs.flat_map(one).collect::<Vec<_>>()
    };
    let kind = |n: u64| {
        (
            n,
            if n.is_multiple_of(2) { "even" } else { "odd" }.to_owned(),
        )
    };
    assert_eq!(named(3..end), (3..end).map(kind).collect::<Vec<_>>());

    // Damage costs the types of one segment, and no number.
    let path = std::fs::read_dir(folder.path().join("log"))
        .unwrap()
        .flatten();
    let mut kept: Vec<PathBuf> = path.map(|entry| entry.path()).collect();
    kept.retain(|path| path.extension().is_some_and(|it| it == "expired"));
    kept.sort();
    std::fs::write(&kept[1], b"rot").unwrap();
    let damaged = named(0..end);
    assert_eq!(damaged.len() as u64, end);
    assert!(damaged.iter().any(|(_, name)| name == EXPIRED_TYPE));
    assert_eq!(damaged.last(), Some(&kind(end - 1)));

    log.release(end, 0);
    assert!(kept.iter().all(|path| !path.exists()));
}

#[tokio::test]
async fn a_full_disk_is_answered_and_passes() {
    let folder = TempDir::new().unwrap();
    let log = open(folder.path());
    append(&log, &[0, 1]).await.unwrap();
    let (room, good_bytes) = (&log.shared.disk.faults.room_bytes, log.size_bytes());
    for bytes in [0, 1, 39, 41, 90] {
        room.store(bytes, Ordering::SeqCst);
        let answer = append(&log, &[8]).await;
        assert!(matches!(answer, Err(AppendError::Io(_))), "{answer:?}");
        let path = segments(folder.path()).remove(0);
        assert_eq!(std::fs::metadata(path).unwrap().len(), good_bytes);
        assert_eq!(ids(&log), [0, 1]);
    }
    room.store(i64::MAX, Ordering::SeqCst);
    assert_eq!(append(&log, &[2]).await.unwrap(), 2);
    drop(log);
    let log = open(folder.path());
    assert_eq!((ids(&log), sum(&log)), (vec![0, 1, 2], 3));
}

#[tokio::test]
async fn room_for_the_record_alone_is_enough() {
    let folder = TempDir::new().unwrap();
    let log = open(folder.path());
    log.shared
        .disk
        .faults
        .room_bytes
        .store(400, Ordering::SeqCst);
    append(&log, &[0]).await.unwrap();
    assert_eq!(ids(&log), [0]);
}

#[tokio::test]
async fn after_a_failed_sync_a_new_segment_is_begun() {
    let folder = TempDir::new().unwrap();
    let log = open(folder.path());
    append(&log, &[0, 1]).await.unwrap();
    let broken = &log.shared.disk.faults.is_sync_broken;
    broken.store(true, Ordering::SeqCst);
    for _ in 0..3 {
        assert!(matches!(append(&log, &[8]).await, Err(AppendError::Io(_))));
        assert_eq!(ids(&log), [0, 1]);
    }
    broken.store(false, Ordering::SeqCst);
    assert_eq!(append(&log, &[2]).await.unwrap(), 2);
    assert_eq!(segments(folder.path()).len(), 2);
    assert_eq!(ids(&log), [0, 1, 2]);
    drop(log);
    // Even if the unanswered record was still in the abandoned file.
    let (events, body) = body_of(&[8]);
    let marks = record::encode_marks(&events, &[], &body).unwrap();
    let header = Header {
        kind: Kind::Events,
        payload_bytes: marks.payload_bytes,
        event_count: 1,
        first_sequence: 2,
        received_ms: 0,
        payload_crc: marks.payload_crc,
    };
    let mut first = std::fs::read(&segments(folder.path())[0]).unwrap();
    first.extend_from_slice(&[&header.encode(0x5eed)[..], &marks.bytes, &body].concat());
    std::fs::write(&segments(folder.path())[0], first).unwrap();
    assert_eq!(ids(&open(folder.path())), [0, 1, 2]);
}

#[tokio::test]
async fn a_flood_of_malformed_bodies_rolls_segments_too() {
    let folder = TempDir::new().unwrap();
    let log = open_sized(folder.path(), 500, 2000);
    for _ in 0..30 {
        append_malformed(&log, 300).await.unwrap();
        log.release(0, 7);
    }
    assert_eq!(append(&log, &[0]).await.unwrap(), 0);
    drop(log);
    let log = open_sized(folder.path(), 500, 2000);
    assert_eq!(
        (ids(&log), log.malformed_count(), sum(&log)),
        (vec![0], 30, 1)
    );
    let read = read_all(&log);
    assert!(read.len() > 1);
    assert_eq!(read[0].malformed[0].reason, "not an object");
}

#[tokio::test]
async fn a_reader_waits_for_what_is_durable_and_wakes() {
    let folder = TempDir::new().unwrap();
    let log = open(folder.path());
    let mut reader = log.reader(0);
    let waiting = tokio::spawn(async move {
        let first = reader.next().await.unwrap();
        (first, reader.next().await.unwrap())
    });
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert!(!waiting.is_finished());
    append(&log, &[0, 1]).await.unwrap();
    append(&log, &[2]).await.unwrap();
    // Only so that a broken wake-up fails and does not hang.
    let woken = tokio::time::timeout(Duration::from_secs(30), waiting).await;
    let (first, second) = woken.unwrap().unwrap();
    assert_eq!((first.end_sequence(), second.first_sequence), (2, 2));
}

#[tokio::test]
async fn a_cancelled_wait_loses_nothing() {
    let folder = TempDir::new().unwrap();
    let log = open_sized(folder.path(), 700, BIG);
    let mut reader = log.reader(0);
    let mut read = Vec::new();
    for n in 0..60 {
        append(&log, &[n]).await.unwrap();
        if n % 2 == 0 {
            // Then it is read on another thread.
            forget_recent(&log);
        }
        tokio::select! {
            biased;
            record = reader.next() => read.push(record.unwrap().first_sequence),
            () = tokio::task::yield_now() => {}
        }
        let rest = std::iter::from_fn(|| reader.try_next().unwrap());
        read.extend(rest.map(|record| record.first_sequence));
    }
    while read.len() < 60 {
        let next = tokio::time::timeout(Duration::from_secs(30), reader.next()).await;
        read.push(next.unwrap().unwrap().first_sequence);
    }
    assert_eq!(read, (0..60).collect::<Vec<_>>());
}

#[tokio::test]
async fn records_in_memory_and_on_disk_are_read_as_one() {
    let folder = TempDir::new().unwrap();
    let log = open_sized(folder.path(), 700, BIG);
    for n in 0..20 {
        append(&log, &[n]).await.unwrap();
    }
    let mut follower = log.reader(0);
    let mut read = vec![follower.next().await.unwrap().first_sequence];
    for n in 20..60 {
        if n % 4 < 2 {
            forget_recent(&log);
        }
        append(&log, &[n]).await.unwrap();
        if n % 3 == 2 {
            let rest = std::iter::from_fn(|| follower.try_next().unwrap());
            read.extend(rest.map(|record| record.first_sequence));
        }
    }
    assert_eq!(read, (0..60).collect::<Vec<_>>());
    assert_eq!(ids(&log), read);
    assert_eq!((log.lost().len(), damaged_files(folder.path())), (0, 0));
}

#[tokio::test]
async fn no_more_records_than_agreed_stay_in_memory() {
    let folder = TempDir::new().unwrap();
    let log = open(folder.path());
    let body: Bytes = vec![b'x'; KEPT_BYTES_MAX / 4].into();
    for _ in 0..6 {
        log.append(7, Vec::new(), Vec::new(), body.clone())
            .await
            .unwrap();
    }
    let in_memory = |offset| {
        let state = log.shared.state();
        let (segment, _) = state.segments.first_key_value().unwrap();
        state.recent.at(*segment, offset).is_some()
    };
    let (record, checkpoint) = (HEADER_BYTES + 8 + body.len(), HEADER_BYTES + 12);
    let at = |n: usize| FILE_HEADER_BYTES + (checkpoint + n * record) as u64;
    let there: Vec<bool> = (0..6).map(|n| in_memory(at(n))).collect();
    assert_eq!(there, [false, false, true, true, true, true]);
}

#[tokio::test]
async fn a_reader_begins_at_the_record_that_holds_the_number() {
    let folder = TempDir::new().unwrap();
    let log = open_sized(folder.path(), 500, BIG);
    for n in 0..20 {
        append(&log, &[n * 2, n * 2 + 1]).await.unwrap();
    }
    for from in 0..40 {
        let record = log.reader(from).next().await.unwrap();
        assert_eq!(record.first_sequence, from / 2 * 2);
    }
    assert!(log.reader(40).try_next().unwrap().is_none());
}

#[tokio::test]
async fn a_cursor_beyond_the_log_moves_the_log() {
    let folder = TempDir::new().unwrap();
    let log = open(folder.path());
    append(&log, &[0]).await.unwrap();
    log.advance_past(1).await.unwrap();
    assert!(log.lost().is_empty());
    log.advance_past(10).await.unwrap();
    assert_eq!((log.next_sequence(), log.lost()), (10, vec![1..10]));
    drop(log);
    let log = open(folder.path());
    assert_eq!(append(&log, &[7]).await.unwrap(), 10);
    let mut reader = log.reader(10);
    assert_eq!(reader.next().await.unwrap().events[0].id, "id-7");
    assert_eq!((ids(&log), sum(&log)), (vec![0, 7], 11));
}

#[test]
fn a_second_opener_is_told_who_holds_the_folder() {
    let folder = TempDir::new().unwrap();
    let journal = Journal::open(JournalOptions::new(folder.path())).unwrap();
    let log = journal.log("orders").unwrap();
    let store = journal.store().clone();
    let is_locked = || match Journal::open(JournalOptions::new(folder.path())) {
        Err(OpenError::Locked { path, holder }) => {
            assert_eq!(
                (path.as_path(), holder),
                (folder.path(), Some(std::process::id()))
            );
            true
        }
        Err(error) => panic!("{error}"),
        Ok(_) => false,
    };
    assert!(is_locked());
    drop(journal);
    assert!(is_locked(), "the log is still in use");
    drop(log);
    assert!(is_locked(), "the store is still in use");
    drop(store);
    assert!(!is_locked());
}

#[test]
fn a_newer_or_unknown_format_is_refused() {
    let folder = TempDir::new().unwrap();
    drop(Journal::open(JournalOptions::new(folder.path())).unwrap());
    let open_with = |format: &str| {
        std::fs::write(folder.path().join("FORMAT"), format).unwrap();
        Journal::open(JournalOptions::new(folder.path()))
            .err()
            .unwrap()
    };
    let newer = open_with("2 00000000\n");
    assert!(
        matches!(
            newer,
            OpenError::NewerFormat {
                found: 2,
                supported: 1,
                ..
            }
        ),
        "{newer}"
    );
    let unknown = open_with("hello");
    assert!(
        matches!(unknown, OpenError::UnknownFormat { .. }),
        "{unknown}"
    );
}

#[tokio::test]
async fn one_limit_holds_for_all_logs() {
    let folder = TempDir::new().unwrap();
    let mut options = JournalOptions::new(folder.path());
    options.max_size_bytes = 4000;
    let journal = Journal::open(options).unwrap();
    let (one, two) = (journal.log("one").unwrap(), journal.log("two").unwrap());
    assert!(Arc::ptr_eq(&one, &journal.log("one").unwrap()));
    while append(&one, &[0]).await.is_ok() {}
    assert!(append(&two, &[0]).await.is_err());
    assert!(
        journal.size_bytes() <= 4200,
        "a new segment's head may come on top"
    );
    assert!(matches!(
        journal.log("../one"),
        Err(OpenError::BadName { .. })
    ));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_bytes_behind_the_records_hide_none(
        bytes in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..600),
            // Pieces of a real segment, to get past the first checks.
            prop::collection::vec((0usize..900, 1usize..200), 1..5).prop_map(|cuts| {
                let real = real_segment();
                let piece = |(start, len): (usize, usize)| {
                    let start = start.min(real.len());
                    real[start..(start + len).min(real.len())].to_vec()
                };
                cuts.into_iter().flat_map(piece).collect()
            }),
        ],
        zeros in 0usize..100,
    ) {
        let folder = TempDir::new().unwrap();
        std::fs::create_dir_all(folder.path().join("log")).unwrap();
        let path = folder.path().join("log").join("00000000000000000000.log");
        let mut content = real_segment();
        content.resize(content.len() + zeros, 0);
        content.extend_from_slice(&bytes);
        std::fs::write(&path, content).unwrap();
        let log = open(folder.path());
        let read = ids(&log);
        prop_assert_eq!(&read[..6], &[0, 1, 2, 3, 4, 5]);
        prop_assert_eq!(sum(&log), log.next_sequence());
    }

    #[test]
    fn any_damage_leaves_a_log_that_works(
        flips in prop::collection::vec((0usize..900, 1u8..), 1..6),
    ) {
        let folder = TempDir::new().unwrap();
        std::fs::create_dir_all(folder.path().join("log")).unwrap();
        let path = folder.path().join("log").join("00000000000000000000.log");
        let mut content = real_segment();
        for (at, with) in flips {
            let at = at % content.len();
            content[at] ^= with;
        }
        std::fs::write(&path, content).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let log = open(folder.path());
        runtime.block_on(append(&log, &[77])).unwrap();
        let read = ids(&log);
        prop_assert_eq!(read.last(), Some(&77));
        prop_assert!(read.is_sorted());
        prop_assert_eq!(sum(&log), log.next_sequence());
    }
}

/// The bytes of a segment with the events 0 to 5.
fn real_segment() -> Vec<u8> {
    static BYTES: std::sync::OnceLock<Vec<u8>> = std::sync::OnceLock::new();
    BYTES
        .get_or_init(|| {
            let folder = TempDir::new().unwrap();
            let log = open(folder.path());
            let runtime = tokio::runtime::Builder::new_current_thread()
                .build()
                .unwrap();
            for n in [0, 2, 4] {
                runtime.block_on(append(&log, &[n, n + 1])).unwrap();
            }
            drop(log);
            std::fs::read(segments(folder.path()).remove(0)).unwrap()
        })
        .clone()
}

#[tokio::test]
async fn what_is_recorded_can_be_read_beside_the_process_that_writes_it() {
    let folder = TempDir::new().unwrap();
    let mut options = JournalOptions::new(folder.path());
    options.segment_bytes = 400;
    let journal = Journal::open(options).unwrap();
    let log = journal.log("orders").unwrap();
    let other = journal.log("zoo").unwrap();
    for n in 1..40 {
        append(&log, &[n]).await.unwrap();
    }
    append(&other, &[99]).await.unwrap();
    assert!(is_data_folder(folder.path()));
    assert!(recorded_bytes(folder.path()) > 0);

    let mut seen = Vec::new();
    let damaged = for_each_recorded(folder.path(), &mut |event| {
        let text = String::from_utf8(event.bytes.to_vec()).unwrap();
        seen.push(format!("{} {} {text}", event.source, event.sequence));
        true
    })
    .unwrap();
    assert_eq!(damaged, 0);
    // Every fifth is marked as one that came before.
    let mut wanted: Vec<String> = (1..40)
        .filter(|n| n % 5 != 0)
        .map(|n| format!("orders {} {{\"n\":{n}}}", n - 1))
        .collect();
    wanted.push("zoo 0 {\"n\":99}".to_owned());
    assert_eq!(seen, wanted);

    // The process goes on as if nobody had looked.
    append(&log, &[40]).await.unwrap();
    assert_eq!(log.next_sequence(), 40);
}
