#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;

/// Good ids, and reasons of what is set aside.
fn check(body: &[u8], ids: &[&str], reasons: &[&str]) {
    let shown = String::from_utf8_lossy(&body[..body.len().min(200)]).into_owned();
    let submission = split(Bytes::copy_from_slice(body)).unwrap_or_default();
    let careful = carefully(Bytes::copy_from_slice(body)).unwrap_or_default();
    assert_eq!(submission, careful, "{shown}");
    let found: Vec<_> = submission.events.iter().map(|e| e.id.as_str()).collect();
    assert_eq!(found, ids, "{shown}");
    let found: Vec<_> = submission
        .malformed
        .iter()
        .map(|m| m.reason.as_str())
        .collect();
    assert_eq!(found, reasons, "{shown}");
    for reason in found {
        assert!(
            REASONS.iter().any(|(known, _)| *known == reason),
            "{reason}"
        );
    }
    for event in &submission.events {
        let slice = &submission.body[event.start as usize..event.end as usize];
        let value: serde_json::Value = serde_json::from_slice(slice).unwrap();
        assert!(value.is_object());
    }
}

#[test]
fn a_probe_holds_no_events() {
    for body in [
        "",
        " \n",
        "{}",
        r#"{"events":[]}"#,
        r#"{"events":null}"#,
        "[]",
        "[{}]",
    ] {
        assert!(
            split(Bytes::from_static(body.as_bytes())).is_none(),
            "{body}"
        );
    }
}

#[test]
fn another_shape_is_set_aside_whole() {
    for (body, reason) in [
        ("{", "not JSON"),
        ("hello", "not JSON"),
        (r#"{"events":[]} x"#, "not JSON"),
        (r#"{"event":[]}"#, "no `events` list"),
        (r#"{"events":3}"#, "`events` is not a list"),
        ("3", "not an object with an `events` list"),
        ("\"x\"", "not an object with an `events` list"),
    ] {
        check(body.as_bytes(), &[], &[reason]);
    }
    check(b"\xff\xfe", &[], &["not JSON"]);
}

#[test]
fn an_envelope_inside_a_list_is_taken() {
    check(
        br#"[{"events":[{"event_type":"a","id":"1"}]}, 7, {"events":[{"event_type":"a","id":2}]}]"#,
        &["1", "2"],
        &["not an object with an `events` list"],
    );
}

#[test]
fn the_last_of_a_doubled_key_wins() {
    check(
        br#"{"events":[{"event_type":"a","id":"1","id":"2"}]}"#,
        &["2"],
        &[],
    );
}

#[test]
fn seconds_become_milliseconds() {
    for (raw, expected) in [
        ("1788264000", Some(1_788_264_000_000)),
        ("1788264000.5", Some(1_788_264_000_500)),
        ("1e400", None),
        ("99999999999999999999", None),
        ("\"x\"", None),
    ] {
        assert_eq!(time_ms(raw), expected, "{raw}");
    }
}

#[test]
fn no_kind_of_bad_event_harms_its_99_neighbours() {
    let deep = format!(
        r#"{{"event_type":"a","id":"x","p":{}{}}}"#,
        "[".repeat(10_000),
        "]".repeat(10_000)
    );
    let kinds: [(&[u8], &str); 16] = [
        (b"null", "not an object"),
        (b"7", "not an object"),
        (b"\"text\"", "not an object"),
        (b"[]", "not an object"),
        (b"{}", "no event_type"),
        (br#"{"id":"x"}"#, "no event_type"),
        (br#"{"event_type":null,"id":"x"}"#, "no event_type"),
        (br#"{"event_type":7,"id":"x"}"#, "event_type is not a text"),
        (br#"{"event_type":"","id":"x"}"#, "empty event_type"),
        (br#"{"event_type":"a"}"#, "no id"),
        (br#"{"event_type":"a","id":null}"#, "no id"),
        (br#"{"event_type":"a","id":""}"#, "empty id"),
        (br#"{"event_type":"a","id":{}}"#, "id is not a text"),
        (br#"{"event_type":"a","id":"\ud800"}"#, "id is not a text"),
        (
            b"{\"event_type\":\"a\",\"id\":\"x\",\"p\":\"\xff\xc3\"}",
            "not UTF-8",
        ),
        (deep.as_bytes(), "nested too deep"),
    ];
    let ids: Vec<String> = (0..99).map(|n| format!("id-ö-{n}")).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    for (bad, reason) in kinds {
        for at in [0, 50, 99] {
            let mut events: Vec<Vec<u8>> = ids
                .iter()
                .map(|id| format!(r#"{{"event_type":"a","id":"{id}"}}"#).into_bytes())
                .collect();
            events.insert(at, bad.to_vec());
            let body = [
                b"{\"events\":[".to_vec(),
                events.join(&b", "[..]),
                b"]}".to_vec(),
            ];
            let body = body.concat();
            check(&body, &ids, &[reason]);
            let malformed = &split(body.clone().into()).unwrap().malformed[0];
            assert_eq!(&body[malformed.start as usize..malformed.end as usize], bad);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    #[test]
    fn where_the_quick_way_answers_it_says_what_the_careful_one_says(
        seed in 0_usize..4, at in 0_usize..400, byte in any::<u8>(), kind in 0..3
    ) {
        let samples = [
            r#"{"events":[{"event_type":"a","id":"x","time":17},{"id":"y","event_type":"b","p":{"q":[1,{"r":"\u00e9"}]}}]}"#,
            r#" { "other" : 1, "events" : [ { "id":"x" , "event_type":"a", "time" : 1.5 } , {"event_type":"b","id":7} ] } "#,
            r#"{"events":[{"event_type":"a","id":"x","id":"y","time":-3}],"events":null}"#,
            r#"[{"events":[{"event_type":"a","id":"x"}]},{"events":[{"event_type":"b","id":"\u0079"}]}]"#,
        ];
        let mut body = samples[seed].as_bytes().to_vec();
        let at = at % body.len();
        match kind {
            0 => body[at] = byte,
            1 => drop(body.remove(at)),
            _ => body.insert(at, b"{}[],:\"\\"[usize::from(byte % 8)]),
        }
        let body = Bytes::from(body);
        if let Some(quick) = quick::split(&body) {
            prop_assert_eq!(Some(quick), carefully(body));
        }
    }
}

#[test]
fn the_usual_body_goes_the_quick_way() {
    let body = Bytes::from_static(
        br#"{"events":[{"event_type":"a","id":"x","time":17,"p":{"q":"\u00e9"}}]}"#,
    );
    let quick = quick::split(&body).expect("nothing about it is unusual");
    assert_eq!(quick.events[0].time_ms, Some(17_000));
    assert_eq!(quick.events[0].end as usize, body.len() - 2);
}

#[test]
fn an_event_may_be_as_deep_as_later_readers_take() {
    for (levels, ids, reasons) in [
        (DEPTH_MAX as usize - 1, &["x"][..], &[][..]),
        (DEPTH_MAX as usize, &[], &["nested too deep"]),
    ] {
        let (open, close) = ("[".repeat(levels), "]".repeat(levels));
        let event = format!(r#"{{"event_type":"a","id":"x","p":{open}{close}}}"#);
        check(
            format!(r#"{{"events":[{event}]}}"#).as_bytes(),
            ids,
            reasons,
        );
    }
}
