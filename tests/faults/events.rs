//! One bad event in a body of 100 never harms the other 99.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::harness::{BODY, Settings, World, assert_balanced, envelope, post, small, sum};

/// What becomes of an event.
#[derive(Debug, Clone, Copy)]
enum End {
    /// Not even an event: with the source's dead letters, under this reason.
    SetAside(&'static str),
    /// A dead letter of the connector, under this reason.
    Dead(&'static str),
    Skipped(&'static str),
    /// A document under this identity.
    Delivered(&'static str),
}

use End::{Dead, Delivered, SetAside, Skipped};

/// Name, the event as it is sent, what becomes of it.
type Row = (&'static str, Vec<u8>, End);

fn raw(name: &'static str, event: &[u8], end: End) -> Row {
    (name, event.to_vec(), end)
}

/// A good event whose id is the row's name, with this text in the place of a member's value.
fn changed(name: &'static str, member: &str, text: &str, end: End) -> Row {
    let mut event = small(name);
    event[member] = "@".into();
    let event = event.to_string().replace("\"@\"", text);
    (name, event.into_bytes(), end)
}

fn lacking(name: &'static str, member: &str, end: End) -> Row {
    let mut event = small(name);
    event.as_object_mut().expect("an object").remove(member);
    (name, event.to_string().into_bytes(), end)
}

#[rustfmt::skip]
fn table() -> Vec<Row> {
    let deep = |depth: usize| ["[".repeat(depth), "]".repeat(depth)].concat();
    let long = format!("{{\"campaign_name\":\"{}\"}}", "x".repeat(900_000));
    let no_utf8 = [br#"{"id":"u","event_type":""#.as_slice(), b"\xff\xfe", br#""}"#].concat();
    vec![
        raw("a number", b"17", SetAside("not an object")),
        raw("null", b"null", SetAside("not an object")),
        raw("a list", b"[{}]", SetAside("not an object")),
        raw("empty", b"{}", SetAside("no event_type")),
        lacking("no type", "event_type", SetAside("no event_type")),
        changed("type null", "event_type", "null", SetAside("no event_type")),
        changed("empty type", "event_type", "\"\"", SetAside("empty event_type")),
        changed("type a number", "event_type", "7", SetAside("event_type is not a text")),
        lacking("no id", "id", SetAside("no id")),
        changed("empty id", "id", "\"\"", SetAside("empty id")),
        changed("id a list", "id", "[1]", SetAside("id is not a text")),
        changed("id half a character", "id", r#""\ud800""#, SetAside("id is not a text")),
        raw("bytes that are no UTF-8", &no_utf8, SetAside("not UTF-8")),
        changed("nested too deep", "properties", &deep(200), SetAside("nested too deep")),
        changed("nested for ever", "properties", &deep(100_000), SetAside("nested too deep")),
        changed("half a character", "properties", r#"{"campaign_name":"\udc00"}"#, Dead("not JSON")),
        changed("a field of 900 KB", "properties", &long, Dead("too-large")),
        changed("time a text", "time", "\"yesterday\"", Dead("invalid timestamp")),
        lacking("no time", "time", Delivered("no time")),
        changed("time in the year 99999", "time", "3093527980800", Dead("invalid timestamp")),
        changed("time beyond all numbers", "time", "1e400", Dead("invalid timestamp")),
        changed("time before the year 1", "time", "-99999999999", Dead("invalid timestamp")),
        changed("time in the year 1", "time", "-62135596800", Delivered("time in the year 1")),
        changed("unknown type", "event_type", "\"users.messages.hologram.Seen\"", Skipped("unmapped")),
        lacking("no user", "user", Skipped("no external_user_id")),
        changed("user null", "user", "null", Skipped("no external_user_id")),
        changed("user a text", "user", "\"cust-1\"", Skipped("no external_user_id")),
        changed("user's id a list", "user", r#"{"external_user_id":[1]}"#, Dead("invalid string")),
        changed("properties a text", "properties", "\"none\"", Delivered("properties a text")),
        lacking("no properties", "properties", Delivered("no properties")),
        changed("id a number", "id", "4711", Dead("bad-message-id")),
        raw("a doubled id", br#"{"id":"first","id":"second","event_type":"users.messages.email.Open","time":1788264000,"user":{"external_user_id":"c"}}"#, Delivered("second")),
        changed("a number beyond all", "properties", r#"{"campaign_name":1e999,"unknown":123456789012345678901234567890}"#, Delivered("a number beyond all")),
        changed("zero characters", "id", r#""a\u0000b""#, Delivered("a\0b")),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_bad_event_never_harms_the_other_ninety_nine() {
    let world = World::new(Settings::default()).await;
    let sluice = world.start();
    let good_ids = |n: usize| (1..BODY).map(move |i| format!("good-{n}-{i}"));
    let table = table();
    for (n, (name, bad, _)) in table.iter().enumerate() {
        let mut events: Vec<Vec<u8>> = good_ids(n)
            .map(|id| small(&id).to_string().into_bytes())
            .collect();
        events.insert(n * 3 % events.len(), bad.clone());
        let (status, _) = post(&sluice.endpoint, envelope(&events)).await;
        assert_eq!(status, 200, "{name}: the body is taken");
    }
    let good = table.len() as u64 * (BODY - 1);
    let is = |wanted: fn(&End) -> bool| table.iter().filter(|row| wanted(&row.2)).count();
    let delivered = good + is(|end| matches!(end, Delivered(_))) as u64;
    world.arrives(delivered).await;
    for id in (0..table.len()).flat_map(good_ids) {
        assert!(world.double.document(&id).is_some(), "{id}");
    }
    assert_eq!(sluice.stop(), Some(0));

    let status = world.status();
    assert_balanced(&status);
    let letters = world.dead_letters();
    let lost: Vec<_> = table
        .iter()
        .filter(|row| !is_where_it_should_be(row, &world, &letters))
        .map(|(name, event, end)| (name, end, letter_of(event, &letters)))
        .collect();
    assert!(lost.is_empty(), "expected, and the dead letter: {lost:#?}");
    let connector = &status["connectors"]["braze-to-segment"]["events"];
    assert_eq!(connector["waiting"], 0);
    assert_eq!(connector["delivered"], delivered);
    let mut skipped = BTreeMap::<_, u64>::new();
    for row in &table {
        if let Skipped(reason) = row.2 {
            *skipped.entry(reason).or_default() += 1;
        }
    }
    assert_eq!(connector["skipped"], serde_json::json!(skipped));
    assert_eq!(
        sum(&connector["dead"]),
        is(|end| matches!(end, Dead(_))) as u64
    );
    let malformed = &status["sources"]["braze"]["malformed"];
    assert_eq!(sum(malformed), is(|end| matches!(end, SetAside(_))) as u64);
}

fn letter_of<'a>(event: &[u8], letters: &'a [Value]) -> Option<&'a Value> {
    let text = String::from_utf8_lossy(event);
    letters.iter().find(|letter| letter["event"] == *text)
}

fn is_where_it_should_be((_, event, end): &Row, world: &World, letters: &[Value]) -> bool {
    let letter = letter_of(event, letters);
    let is_of = |connector, reason| {
        letter.is_some_and(|letter| letter["connector"] == connector && letter["reason"] == reason)
    };
    match *end {
        SetAside(reason) => is_of("source:braze", reason),
        Dead(reason) => is_of("braze-to-segment", reason),
        Delivered(id) => letter.is_none() && world.double.document(id).is_some(),
        // Compared with the account by reason and count.
        Skipped(_) => letter.is_none(),
    }
}
