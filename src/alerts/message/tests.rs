use super::*;
use crate::alerts::policy::{Counts, HELD, LEAVING, REFUSED};
use crate::engine::dead_letters::LettersStatus;
use crate::engine::status::{ConfigStatus, ConnectorStatus, Held, JournalStatus};

/// 2026-05-04 03:00 UTC.
const NOW_MS: i64 = 1_777_863_600_000;

fn written(topic: Topic, news: News, when_full: WhenFull) -> Message {
    let mut status = Status {
        version: "1.2.3".to_owned(),
        journal: JournalStatus {
            bytes: 900,
            unsettled_bytes: 720,
            bytes_max: 1 << 10,
        },
        ..Status::default()
    };
    let mut connector = ConnectorStatus {
        held: Some(Held {
            reason: "the key is refused (401)\r\nBcc: a@example.com".to_owned(),
            since: String::new(),
        }),
        ..ConnectorStatus::default()
    };
    connector.events.waiting = 4_711;
    status.connectors.insert("orders".to_owned(), connector);
    let three_months_ago = NOW_MS - 88 * 86_400_000;
    let letters = LettersStatus {
        held: 43,
        bytes: 43_000,
        oldest: jiff::Timestamp::from_millisecond(three_months_ago).ok(),
        ..LettersStatus::default()
    };
    status
        .dead_letters
        .insert("source:shop".to_owned(), letters);
    status.config = ConfigStatus {
        version: 7,
        problem: Some(
            "sluice.yaml:4:3  error[unknown-key]: no key `sorces`\n  |\n4 |  sorces:\n".to_owned(),
        ),
        ..ConfigStatus::default()
    };
    let context = Context {
        status: &status,
        config: Path::new("/etc/sluice/sluice.yaml"),
        host: "gate-1",
        when_full,
        full_in: Some(Duration::from_secs(3 * 86_400 + 4 * 3600)),
        letters: &DeadLettersConfig::default(),
        now_ms: NOW_MS,
    };
    compose(&[Notice { topic, news }], &context)
}

fn state(state: State) -> News {
    News::State {
        state,
        before: WELL,
        since_ms: 1_777_862_880_000,
        trouble_since_ms: 1_777_862_880_000,
        changes: 1,
    }
}

#[test]
fn a_hold_says_what_since_when_whether_lost_and_what_to_do() {
    let topic = Topic::Connector("orders".to_owned());
    let message = written(topic, state(HELD), WhenFull::PushBack);
    insta::assert_snapshot!(format!("{}\n\n{}", message.subject, message.body), @r#"
    [sluice] orders: held, needs a person; nothing is lost

    orders is held: it has stopped delivering until a person has acted.

    Reason   the key is refused (401) Bcc: (address)
    Since    2026-05-04 02:48 UTC (12 min ago)
    Waiting  4711 events, safe on disk
    Lost?    No. Events wait in the journal, 70 % of 1KiB is used; at this speed it is full in about 3 d 4 h.

    What to do now
      1. Mend what the reason names: usually a key that was changed or revoked, or an address.
      2. A key from a file is read again by itself, a changed config by `sluice reload`; a key from the environment takes a restart of sluice.
      3. See how it stands: sluice status --config /etc/sluice/sluice.yaml
      4. It tries again at least every five minutes. You are told when it delivers again.

    -- 
    sluice 1.2.3 on gate-1, config /etc/sluice/sluice.yaml
    "#);
}

#[test]
fn a_filling_journal_says_what_will_be_lost() {
    let message = written(Topic::Journal, state(FILLING), WhenFull::ExpireOldest);
    insta::assert_snapshot!(format!("{}\n\n{}", message.subject, message.body), @r#"
    [sluice] journal: filling (70 %)

    The journal holds many events that are not sent yet.

    Since    2026-05-04 02:48 UTC (12 min ago)
    Used     70 % of 1KiB hold events that are not sent
    Full in  about 3 d 4 h at this speed
    Waiting  orders (4711 events)
    Lost?    Not yet. When it is full the oldest events are removed unsent, as `when_full: expire_oldest` says.

    What to do now
      1. See which connector stands, and why: sluice status --config /etc/sluice/sluice.yaml
      2. Mend that first; then the journal empties by itself.
      3. To win time: raise `journal.max_size`, if the disk has room.

    -- 
    sluice 1.2.3 on gate-1, config /etc/sluice/sluice.yaml
    "#);
}

#[test]
fn dead_letters_come_with_reasons_and_the_command_to_look() {
    let by = Counts::from([("too-large".to_owned(), 3), ("no-rule".to_owned(), 40)]);
    let news = News::Grown {
        by,
        since_ms: 1_777_863_590_000,
    };
    let topic = Topic::DeadLetters("orders".to_owned());
    let message = written(topic, news, WhenFull::PushBack);
    insta::assert_snapshot!(format!("{}\n\n{}", message.subject, message.body), @r#"
    [sluice] orders: 43 new dead letters

    43 events of orders could not be sent and were set aside.

    Since   2026-05-04 02:59 UTC
    Reason  40 x no-rule
    Reason  3 x too-large
    Lost?   No. They are kept as dead letters; everything else goes on.

    What to do now
      1. Look at them: sluice dead-letters list --connector orders --config /etc/sluice/sluice.yaml
      2. Mend the rule that the reasons point at.
      3. Send them again: sluice dead-letters replay --connector orders --config /etc/sluice/sluice.yaml

    -- 
    sluice 1.2.3 on gate-1, config /etc/sluice/sluice.yaml
    "#);
}

#[test]
fn a_wrong_config_comes_with_its_place_and_a_warning_of_a_restart() {
    let message = written(Topic::Config, state(REFUSED), WhenFull::PushBack);
    insta::assert_snapshot!(format!("{}\n\n{}", message.subject, message.body), @r#"
        [sluice] config: the new one is wrong, the one before goes on

        The files of the config have changed, are wrong now, and were not taken.

        Problem  sluice.yaml:4:3 error[unknown-key]: no key `sorces`
        Since    2026-05-04 02:48 UTC (12 min ago)
        Running  config 7, as before
        Lost?    No. Everything goes on as before.

        What to do now
          1. See all that is wrong, with its place: sluice validate --config /etc/sluice/sluice.yaml
          2. Mend it, then let it be taken: sluice reload --config /etc/sluice/sluice.yaml (`run --watch` does that by itself)
          3. Do not restart before: with these files sluice does not start.

        -- 
        sluice 1.2.3 on gate-1, config /etc/sluice/sluice.yaml
        "#);
    assert_eq!(message.notices[0]["state"], "refused");
}

#[test]
fn dead_letters_that_leave_soon_come_with_the_day_and_the_ways_out() {
    let topic = Topic::LeavingLetters("source:shop".to_owned());
    let message = written(topic, state(LEAVING), WhenFull::PushBack);
    insta::assert_snapshot!(format!("{}\n\n{}", message.subject, message.body), @r#"
        [sluice] source shop: dead letters will be LOST soon

        The oldest dead letters of source shop are about to be removed for good, as `journal.dead_letters.retain` says.

        Held   43 dead letters
        Leave  from 2026-05-06 03:00 UTC on, in 2 d 0 h
        Lost?  Not yet. What leaves was never sent and cannot be had back.

        What to do now
          1. Look at those that are there: sluice dead-letters list --connector source:shop --config /etc/sluice/sluice.yaml
          2. They were no events when they came, so no rule can run on them. Take them out: sluice dead-letters export --raw --connector source:shop --config /etc/sluice/sluice.yaml > mended.json
          3. Mend the file, and who sends such things; send it: sluice dead-letters submit mended.json --source shop --config /etc/sluice/sluice.yaml
          4. To win time: raise `journal.dead_letters.retain` and reload.

        -- 
        sluice 1.2.3 on gate-1, config /etc/sluice/sluice.yaml
        "#);
}

#[test]
fn dead_letters_that_have_left_are_called_lost() {
    let news = News::Grown {
        by: Counts::from([("no-json".to_owned(), 12)]),
        since_ms: 1_777_863_590_000,
    };
    let topic = Topic::ExpiredLetters("source:shop".to_owned());
    let message = written(topic, news, WhenFull::PushBack);
    insta::assert_snapshot!(format!("{}\n\n{}", message.subject, message.body), @r#"
        [sluice] source shop: 12 dead letters are LOST

        12 dead letters of source shop were removed for good: `journal.dead_letters` says how long and how many stay.

        Since   2026-05-04 02:59 UTC
        Reason  12 x no-json
        Lost?   Yes, 12 dead letters, counted as expired.

        What to do now
          1. Look at those that are there: sluice dead-letters list --connector source:shop --config /etc/sluice/sluice.yaml
          2. They were no events when they came, so no rule can run on them. Take them out: sluice dead-letters export --raw --connector source:shop --config /etc/sluice/sluice.yaml > mended.json
          3. Mend the file, and who sends such things; send it: sluice dead-letters submit mended.json --source shop --config /etc/sluice/sluice.yaml
          4. To win time: raise `journal.dead_letters.retain` or `journal.dead_letters.max_size` and reload.

        -- 
        sluice 1.2.3 on gate-1, config /etc/sluice/sluice.yaml
        "#);
}
