//! The tools for people who write mappings, as they meet them: `test`, `map`, `coverage`, `diff`.

use std::path::Path;
use std::process::Command;

use serde_json::Value;
use sluice::diagnostics::{Files, Format, render};
use sluice::mapping::{Mapping, Options, Reference, load, rule_for};

struct Answer {
    code: i32,
    stdout: String,
    stderr: String,
}

fn ask(folder: &Path, arguments: &[&str]) -> Answer {
    let output = Command::new(env!("CARGO_BIN_EXE_sluice"))
        .args(arguments)
        .current_dir(folder)
        .output()
        .expect("sluice starts");
    Answer {
        code: output.status.code().expect("an exit code"),
        stdout: String::from_utf8(output.stdout).expect("text"),
        stderr: String::from_utf8(output.stderr).expect("text"),
    }
}

fn json(answer: &Answer) -> Value {
    serde_json::from_str(&answer.stdout).expect("JSON alone on stdout")
}

/// A folder with an overlay of its own and a test.
fn folder(overlay: &str, tests: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let mappings = folder.path().join("mappings");
    std::fs::create_dir(&mappings).expect("a folder");
    std::fs::write(mappings.join("ours.yaml"), overlay).expect("written");
    std::fs::write(mappings.join("ours.test.yaml"), tests).expect("written");
    folder
}

const OVERLAY: &str = "\
version: 1
import: [builtin:braze_to_segment]
rules:
  email_opened: { emit: { event: Newsletter Opened, properties: { list: weekly } } }
  email_sent: { skip: too many }
";

const TESTS: &str = "\
version: 1
tests:
  an_open_has_our_name:
    sample: users.messages.email.Open
    expect: { event: Opened } # a comment
";

#[test]
fn a_failed_test_shows_both_sides_and_update_mends_it() {
    let folder = folder(OVERLAY, TESTS);
    let answer = ask(folder.path(), &["test"]);
    assert_eq!(answer.code, 1, "{}", answer.stderr);
    let shown = "\
mappings/ours.test.yaml:3:3  failed: an_open_has_our_name
  event  (line 5, column 22)
    expected  Opened
    found     Newsletter Opened
";
    assert!(answer.stdout.starts_with(shown), "{}", answer.stdout);
    let answer = ask(folder.path(), &["test", "--update"]);
    assert_eq!(answer.code, 0, "{}{}", answer.stdout, answer.stderr);
    let path = folder.path().join("mappings/ours.test.yaml");
    let text = std::fs::read_to_string(path).expect("a file");
    assert_eq!(text, TESTS.replace("Opened }", "Newsletter Opened }"));
    assert_eq!(ask(folder.path(), &["test"]).code, 0);
}

#[test]
fn a_mapping_with_errors_fails_the_tests_and_counts_none() {
    let folder = folder(&OVERLAY.replace("emit:", "emti:"), TESTS);
    let answer = ask(folder.path(), &["test"]);
    assert_eq!(answer.code, 1, "{}", answer.stderr);
    let both = [answer.stdout, answer.stderr].concat();
    assert!(both.contains("error[unknown-key]"), "{both}");
    assert!(both.contains("no case was run"), "{both}");
    assert!(!both.contains("0 passed"), "{both}");
}

#[test]
fn tests_that_are_not_ours_are_said_to_be_so() {
    let ours = folder(OVERLAY, TESTS);
    let answer = ask(ours.path(), &["test"]);
    assert!(!answer.stderr.contains("built-in"), "{}", answer.stderr);
    let nothing = tempfile::tempdir().expect("a folder");
    let answer = ask(nothing.path(), &["test"]);
    assert_eq!(answer.code, 0, "{}", answer.stderr);
    let told = "no folder `mappings` is here: these are the tests of the built-in mappings";
    assert!(answer.stderr.starts_with(told), "{}", answer.stderr);
}

#[test]
fn what_has_no_test_is_listed_and_fails_below_the_wanted_share() {
    let good = TESTS.replace("Opened }", "Newsletter Opened }");
    let folder = folder(OVERLAY, &good);
    let answer = ask(folder.path(), &["test", "--fail-under", "50"]);
    assert_eq!(answer.code, 0, "{}{}", answer.stdout, answer.stderr);
    let answer = ask(folder.path(), &["test", "--fail-under", "100"]);
    assert_eq!(answer.code, 1, "{}", answer.stdout);
    for line in [
        "rules             1 of    2   50.0 %",
        "  rule   email_sent ",
        "  type   users.messages.email.Send ",
        "  field  properties.list ",
    ] {
        assert!(answer.stdout.contains(line), "{line}\n{}", answer.stdout);
    }
    let report = json(&ask(folder.path(), &["test", "--format", "json"]));
    assert_eq!(
        report["coverage"]["rules"]["untested"][0]["name"],
        "email_sent"
    );
    assert_eq!(report["passed"], 1);
}

#[test]
fn a_report_for_ci_systems_is_xml_with_each_failure() {
    let folder = folder(OVERLAY, TESTS);
    let answer = ask(folder.path(), &["test", "--format", "junit"]);
    assert_eq!(answer.code, 1);
    assert!(
        answer
            .stdout
            .contains("<testsuites tests=\"1\" failures=\"1\">"),
        "{}",
        answer.stdout
    );
    assert!(
        answer
            .stdout
            .contains("event: expected Opened, found Newsletter Opened</failure>"),
        "{}",
        answer.stdout
    );
}

#[test]
fn map_explains_each_field_and_why_an_event_is_not_sent() {
    let folder = folder(OVERLAY, TESTS);
    let human = |arguments: &[&str]| {
        let answer = ask(
            folder.path(),
            &[&["map", "--explain", "--format", "human"], arguments].concat(),
        );
        assert_eq!(answer.code, 0, "{}", answer.stderr);
        let words: Vec<&str> = answer.stdout.split_whitespace().collect();
        words.join(" ")
    };
    let open = human(&["--sample", "users.messages.email.Open"]);
    for part in [
        "rule email_opened, mappings/ours.yaml",
        "event Newsletter Opened constant line 4",
        "properties.list weekly constant line 4",
        "template engagement, builtin:braze_to_segment/templates.yaml",
        "timestamp \"2026-09-01T12:00:00.000Z\" $.time as timestamp, was 1788264000 line",
    ] {
        assert!(open.contains(part), "{part}\n{open}");
    }

    let path = folder.path().join("event.json");
    let event = r#"{"event_type":"users.messages.email.Open","id":"1","time":1,"user":{}}"#;
    std::fs::write(&path, event).expect("written");
    let skipped = human(&["event.json"]);
    for part in [
        "is skipped: no external_user_id (rule email_opened)",
        "test_event `when` does not hold builtin:braze_to_segment/00_test_events.yaml",
        "@.user.timezone = nothing",
        "What made it skipped userId $.user.external_user_id as string as non_empty, else skip template engagement",
        "$.user.external_user_id = nothing",
    ] {
        assert!(skipped.contains(part), "{part}\n{skipped}");
    }

    let answer = ask(folder.path(), &["map", "event.json", "--explain"]);
    let line = json(&answer);
    assert_eq!(line["stopped"][0]["field"], "userId");
    assert_eq!(line["rules"][0]["reads"]["@.user.timezone"], Value::Null);
}

#[test]
fn what_a_spread_brought_is_explained_member_by_member() {
    let rules = "\
version: 1
rules:
  r:
    on: x
    emit:
      a: $.p.a
      $copy: { from: $.q, rename: { old: new } }
      $rest: { from: $.p, prefix: p_ }
";
    let folder = folder(rules, "version: 1\ntests: {}\n");
    let event = r#"{"event_type":"x","p":{"a":1,"b":2},"q":{"old":3,"c":4}}"#;
    std::fs::write(folder.path().join("event.json"), event).expect("written");
    let answer = ask(folder.path(), &["map", "event.json", "--explain"]);
    let line = json(&answer);
    let fields: Vec<String> = line["fields"]
        .as_array()
        .expect("fields")
        .iter()
        .map(|field| format!("{} {}", field["field"], field["reads"]))
        .collect();
    assert_eq!(
        fields,
        [
            r#""a" {"$.p.a":1}"#,
            r#""new" {"$.q.old":3}"#,
            r#""c" {"$.q.c":4}"#,
            r#""p_b" {"$.p.b":2}"#,
        ]
    );
}

#[test]
fn map_reads_a_folder_of_recorded_events() {
    let folder = folder(OVERLAY, TESTS);
    let recorded = folder.path().join("recorded/2026");
    std::fs::create_dir_all(&recorded).expect("a folder");
    let event =
        |id: &str| format!("{{\"event_type\":\"users.messages.email.Send\",\"id\":\"{id}\"}}\n");
    std::fs::write(recorded.join("b.ndjson"), event("3")).expect("written");
    std::fs::write(recorded.join("a.jsonl"), event("1") + &event("2")).expect("written");
    let answer = ask(folder.path(), &["map", "recorded"]);
    assert_eq!(answer.code, 0, "{}", answer.stderr);
    let lines: Vec<Value> = answer
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    let ids: Vec<&str> = lines
        .iter()
        .filter_map(|line| line["id"].as_str())
        .collect();
    assert_eq!(ids, ["1", "2", "3"]);
    assert!(lines.iter().all(|line| line["reason"] == "too many"));
}

#[test]
fn diff_counts_what_changes_and_shows_an_example_of_each_kind() {
    let folder = folder(OVERLAY, TESTS);
    let diff = |more: &[&str]| {
        let arguments = [&["diff", "builtin:braze_to_segment", "mappings"], more].concat();
        ask(folder.path(), &arguments)
    };
    let event = |kind: &str, id: &str| {
        format!(
            "{{\"event_type\":\"users.messages.email.{kind}\",\"id\":\"{id}\",\"time\":1,\
             \"user\":{{\"external_user_id\":\"c\"}}}}\n"
        )
    };
    let events: String = ["o-1", "o-2", "o-3"].map(|id| event("Open", id)).concat();
    let events = events + &event("Send", "s-1") + &event("Click", "c-1");
    std::fs::write(folder.path().join("events.ndjson"), events).expect("written");

    let answer = diff(&["--events", "events.ndjson", "--format", "json"]);
    assert_eq!(answer.code, 1, "{}", answer.stderr);
    let all = json(&answer);
    let documents = serde_json::json!({"same": 1, "changed": 3, "new": 0, "gone": 1});
    assert_eq!(all["documents"], documents);
    assert_eq!(all["outcomes"][0]["new"], "skipped: too many");
    assert_eq!(all["outcomes"][0]["example"]["event_id"], "s-1");
    let changes: Vec<String> = all["changes"]
        .as_array()
        .expect("changes")
        .iter()
        .map(|one| {
            let (old, new) = (&one["example"]["old"], &one["example"]["new"]);
            format!("{} {} {old} {new}", one["count"], one["path"])
        })
        .collect();
    assert_eq!(
        changes,
        [
            "3 \"event\" \"Email Opened\" \"Newsletter Opened\"",
            "3 \"properties.list\" null \"weekly\"",
        ]
    );

    let human = diff(&["--events", "events.ndjson"]);
    for part in [
        "5 events mapped by builtin:braze_to_segment and by mappings",
        "Email Opened → Newsletter Opened",
        "for example users.messages.email.Open o-1",
    ] {
        assert!(human.stdout.contains(part), "{part}\n{}", human.stdout);
    }

    std::fs::write(folder.path().join("opens.ndjson"), event("Open", "o-1")).expect("written");
    let ignoring = [
        "--events",
        "opens.ndjson",
        "--ignore",
        "event",
        "--ignore",
        "properties",
    ];
    assert_eq!(diff(&ignoring).code, 0);
    assert_eq!(diff(&["--events", "nowhere"]).code, 2);
    // Without recorded events, the catalogue's samples.
    assert_eq!(json(&diff(&["--format", "json"]))["events"], 106);
}

/// The mapping of this text and what is said about it, but for messages with the code `meant`.
fn load_text(text: &str, meant: &str) -> (Option<Mapping>, String) {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("a.yaml"), text).expect("written");
    let (mut files, mut diagnostics) = (Files::default(), Vec::new());
    let reference = Reference {
        text: "a.yaml".to_owned(),
        base: folder.path().to_owned(),
        span: None,
    };
    let options = Options::default();
    let mapping = load(&[reference], &mut files, None, options, &mut diagnostics);
    diagnostics.retain(|diagnostic| diagnostic.code != meant);
    let said = render(&diagnostics, &files, Format::Human, false);
    (mapping, said)
}

/// Every type of the catalogue gets a rule that has nothing to be said against it, and runs.
fn all_ready_rules_are_valid(head: &str, meant: &str) {
    let nothing = "rules:\n  x: { on: nothing.like.this*, skip: x }\n";
    let (mapping, said) = load_text(&format!("{head}{nothing}"), "");
    let mapping = mapping.unwrap_or_else(|| panic!("{said}"));
    let catalogue = mapping.target().catalogue.expect("a catalogue");
    assert!(catalogue.events.len() > 50);
    let ready: Vec<String> = catalogue
        .events
        .iter()
        .map(|event| rule_for(event, &mapping))
        .collect();
    let (all, said) = load_text(&format!("{head}rules:\n{}", ready.concat()), meant);
    assert_eq!(said, "");
    let all = all.expect("rules");
    for (event, text) in catalogue.events.iter().zip(&ready) {
        let name = text.trim_start().split(':').next().unwrap_or_default();
        let explained = all.map_explained(&event.name, &event.sample());
        let is_run = |rule: &sluice::mapping::LookedAt| rule.ran && rule.rule == name;
        let outcome = &explained.outcome;
        assert!(explained.rules.iter().any(is_run), "{name}: {outcome:?}");
    }
}

#[test]
fn a_rule_to_paste_is_valid_for_every_type_over_the_built_in_set() {
    // They take the place of the imported ones, which is said of each.
    let head = "version: 1\nimport: [builtin:braze_to_segment]\n";
    all_ready_rules_are_valid(head, "unreachable-rule");
}

#[test]
fn a_rule_to_paste_is_valid_where_there_is_nothing_to_learn_from() {
    let head = "version: 1\nfor: { source: braze_webhook, sink: segment }\n";
    all_ready_rules_are_valid(head, "");
}

#[test]
fn coverage_shows_a_rule_to_paste_for_a_type_without_one() {
    let rules = "\
version: 1
for: { source: braze_webhook, sink: segment }
templates:
  base:
    type: track
    userId: { $from: $.user.external_user_id, $missing: { skip: anonymous } }
    messageId: $.id
rules:
  opened:
    on: users.messages.email.Open
    emit: { $extends: base, event: Opened, properties: { campaign_id: $.properties.campaign_id } }
";
    let folder = folder(rules, "version: 1\ntests: {}\n");
    let answer = ask(folder.path(), &["coverage", "--unmapped"]);
    assert_eq!(answer.code, 0, "{}", answer.stderr);
    let wanted = "  users_messages_email_send:
    on: users.messages.email.Send
    emit:
      $extends: base
      event: Email Send
      timestamp: { $from: $.time, $as: timestamp }
      properties:
";
    assert!(answer.stdout.contains(wanted), "{}", answer.stdout);
    assert_eq!(ask(folder.path(), &["coverage", "--strict"]).code, 1);

    let all = json(&ask(folder.path(), &["coverage", "--format", "json"]));
    let of = |name: &str| {
        let types = all["types"].as_array().expect("types");
        types.iter().find(|one| one["type"] == name).cloned()
    };
    let opened = of("users.messages.email.Open").expect("the type");
    assert_eq!(opened["rules"], serde_json::json!(["opened"]));
    assert_eq!(opened["becomes"], "track · Opened");
    let unused = opened["unused_fields"].as_array().expect("fields");
    assert!(unused.iter().any(|field| field == "properties.user_agent"));
    assert!(!unused.iter().any(|field| field == "properties.campaign_id"));
    assert!(of("users.messages.email.Send").expect("the type")["rule_to_paste"].is_string());
}

#[test]
fn the_schema_for_a_sink_takes_what_is_right_and_refuses_what_is_not() {
    let folder = tempfile::tempdir().expect("a folder");
    let arguments = [
        "schema",
        "mapping",
        "--sink",
        "segment",
        "--source",
        "braze_webhook",
    ];
    let schema = json(&ask(folder.path(), &arguments));
    let validator = jsonschema::validator_for(&schema).expect("a schema");
    let rule = |emit: Value| {
        let on = "users.messages.email.Open";
        serde_json::json!({"version": 1, "rules": {"r": {"on": on, "emit": emit}}})
    };
    for good in [
        serde_json::json!({"type": "track", "event": {"$text": "{$.id}"}, "context": "$.context"}),
        serde_json::json!({"type": "$.kind", "context": {"$extends": "email", "own": {"a": [1]}}}),
        serde_json::json!({"properties": {"$rest": {"from": "$.properties"}, "n": 1, "gone": {"$omit": true}}}),
        serde_json::json!({"integrations": {"All": true, "X": "$.x"}, "userId": null}),
    ] {
        assert!(validator.is_valid(&rule(good.clone())), "{good}");
    }
    for bad in [
        serde_json::json!({"evnt": "Opened"}),
        serde_json::json!({"type": "trck"}),
        serde_json::json!({"userId": {"from": "$.id"}}),
        serde_json::json!({"userId": 7}),
        serde_json::json!({"properties": "text"}),
        serde_json::json!({"context": {"device": {"model": 7}}}),
    ] {
        assert!(!validator.is_valid(&rule(bad.clone())), "{bad}");
    }
    let wrong = ask(folder.path(), &["schema", "mapping", "--sink", "segmnt"]);
    assert_eq!(wrong.code, 2);
    assert!(wrong.stderr.contains("segment"), "{}", wrong.stderr);
    assert_eq!(
        ask(folder.path(), &["schema", "test", "--sink", "segment"]).code,
        2
    );
}

#[test]
fn coverage_shows_personal_fields_that_leave_without_a_hash() {
    let rules = "\
version: 1
for: { source: braze_webhook, sink: segment }
rules:
  opened:
    on: users.messages.email.Open
    emit:
      type: track
      event: Opened
      userId: $.user.user_id
      messageId: $.id
      context:
        traits: { email: $.properties.email_address }
      properties:
        hashed: { $from: $.properties.email_address, $as: [trim, lowercase, sha256] }
        known: { $if: '@.properties.email_address', $then: yes }
        text: { $text: 'to {$.properties.email_address}' }
        $rest: { from: $.properties, prefix: rest_ }
  sent:
    on: users.messages.email.Send
    emit:
      type: track
      event: Sent
      userId: $.user.user_id
      messageId: $.id
      properties: { $copy: { from: $.properties, rename: { email_address: to } } }
";
    let folder = folder(rules, "version: 1\ntests: {}\n");
    let paths = |answer: &Answer| -> Vec<(String, String)> {
        let all = json(answer);
        let all = all.as_array().expect("a list").iter();
        all.filter(|one| one["field"] == "properties.email_address")
            .map(|one| {
                let text = |key: &str| one[key].as_str().expect("a text").to_owned();
                (text("path"), text("place"))
            })
            .collect()
    };
    let place = |path: &str, at: &str| (path.to_owned(), format!("mappings/ours.yaml:{at}"));
    let answer = ask(
        folder.path(),
        &["coverage", "--personal", "--format", "json"],
    );
    assert_eq!(answer.code, 0, "{}", answer.stderr);
    let wanted = [
        place("context.traits.email", "12:26"),
        place("properties.text", "16:15"),
        place("properties.to", "25:28"),
    ];
    assert_eq!(paths(&answer), wanted);
    let answer = ask(folder.path(), &["coverage", "--personal"]);
    let wanted = "
opened
  userId                     user.user_id               mappings/ours.yaml:9:15
  context.traits.email       properties.email_address   mappings/ours.yaml:12:26
";
    assert!(
        answer.stdout.starts_with(wanted.trim_start()),
        "{}",
        answer.stdout
    );

    for (policy, is_empty) in [("pass", false), ("hash", true), ("drop", true)] {
        let config = format!(
            "version: 1
sources: {{ in: {{ type: braze_webhook, token: '${{TOKEN}}' }} }}
connectors:
  out:
    source: in
    mappings: mappings
    personal_data: {{ fields: {{ email_address: {policy} }} }}
    sink: {{ type: segment, write_key: '${{KEY}}', region: us }}
"
        );
        std::fs::write(folder.path().join("sluice.yaml"), config).expect("written");
        let arguments = [
            "coverage",
            "--personal",
            "--config",
            "sluice.yaml",
            "--format",
            "json",
        ];
        let answer = ask(folder.path(), &arguments);
        assert_eq!(answer.code, 0, "{}{}", answer.stdout, answer.stderr);
        assert_eq!(paths(&answer).is_empty(), is_empty, "{policy}");
    }
}

/// A source whose events say their type at a place of their own, and rules that only the config names.
fn shop() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| {
        std::fs::write(folder.path().join(name), text).expect("written");
    };
    std::fs::create_dir(folder.path().join("rules")).expect("a folder");
    write(
        "sluice.yaml",
        "\
version: 1
sources:
  shop: { type: http, token: \"${SHOP_TOKEN}\", event_type: meta.kind, id: meta.id }
connectors:
  shop-to-log:
    source: shop
    mappings: rules
    events: { include: [order.paid, order.refunded] }
    sink: { type: stdout }
journal: { path: data }
",
    );
    write(
        "rules/orders.yaml",
        "\
version: 1
rules:
  paid: { on: order.paid, emit: { order: $.meta.id } }
  refunded: { on: order.refunded, opt_in: costs money, emit: { order: $.meta.id } }
  shown: { on: order.shown, emit: { order: $.meta.id } }
",
    );
    write(
        "rules/orders.test.yaml",
        "\
version: 1
tests:
  a_paid_order:
    event: { meta: { kind: order.paid, id: o-1 } }
    expect: { order: o-1 }
  a_refund:
    event: { meta: { kind: order.refunded, id: o-2 } }
    expect: { order: o-2 }
",
    );
    write(
        "events.ndjson",
        "{\"meta\":{\"kind\":\"order.paid\",\"id\":\"o-1\"}}
{\"meta\":{\"kind\":\"order.refunded\",\"id\":\"o-2\"}}
{\"meta\":{\"kind\":\"order.shown\",\"id\":\"o-3\"}}
",
    );
    folder
}

/// Type, id and outcome of each line that `map` wrote.
fn outcomes(answer: &Answer) -> Vec<String> {
    let lines = answer.stdout.lines();
    lines
        .map(|line| {
            let line: Value = serde_json::from_str(line).expect("JSON");
            format!("{} {} {}", line["event_type"], line["id"], line["outcome"]).replace('"', "")
        })
        .collect()
}

#[test]
fn map_follows_the_config_for_rules_selection_and_where_the_type_stands() {
    let folder = shop();
    let answer = ask(folder.path(), &["map", "events.ndjson"]);
    assert_eq!(answer.code, 0, "{}", answer.stderr);
    assert_eq!(
        outcomes(&answer),
        [
            "order.paid o-1 documents",
            "order.refunded o-2 documents",
            "order.shown o-3 not_selected"
        ]
    );
    let told = "follows sluice.yaml: connector shop-to-log, mappings rules\n";
    assert_eq!(answer.stderr, told);

    // Rules that are named are run as they are; the type still stands where the source finds it.
    let answer = ask(folder.path(), &["map", "events.ndjson", "-m", "rules"]);
    assert_eq!(
        outcomes(&answer),
        [
            "order.paid o-1 documents",
            "order.refunded o-2 skipped",
            "order.shown o-3 documents"
        ]
    );
    assert!(answer.stderr.contains("`meta.kind`"), "{}", answer.stderr);

    // From elsewhere the config is named.
    let elsewhere = tempfile::tempdir().expect("a folder");
    let config = folder.path().join("sluice.yaml");
    let events = folder.path().join("events.ndjson");
    let (config, events) = (
        config.to_str().expect("text"),
        events.to_str().expect("text"),
    );
    let answer = ask(elsewhere.path(), &["map", events, "--config", config]);
    assert_eq!(answer.code, 0, "{}", answer.stderr);
    assert_eq!(outcomes(&answer)[0], "order.paid o-1 documents");
    let answer = ask(
        folder.path(),
        &["map", "events.ndjson", "--connector", "shop-to-lag"],
    );
    assert_eq!(answer.code, 2);
    assert!(
        answer.stderr.contains("did you mean `shop-to-log`?"),
        "{}",
        answer.stderr
    );
}

#[test]
fn map_takes_the_type_from_the_command_line() {
    let folder = shop();
    let events = folder.path().join("plain.ndjson");
    std::fs::write(&events, "{\"meta\":{\"id\":\"o-9\"}}\n").expect("written");
    let answer = ask(folder.path(), &["map", "plain.ndjson", "--format", "human"]);
    assert!(
        answer.stdout.contains("it says no type at `meta.kind`"),
        "{}",
        answer.stdout
    );
    let typed = ["map", "plain.ndjson", "--type", "order.paid"];
    let answer = ask(folder.path(), &typed);
    assert_eq!(outcomes(&answer), ["order.paid o-9 documents"]);
}

#[test]
fn test_and_diff_follow_the_config() {
    let folder = shop();
    let answer = ask(folder.path(), &["test"]);
    assert_eq!(answer.code, 0, "{}{}", answer.stdout, answer.stderr);
    assert!(answer.stdout.contains("2 passed"), "{}", answer.stdout);

    std::fs::create_dir(folder.path().join("new")).expect("a folder");
    let rules = std::fs::read_to_string(folder.path().join("rules/orders.yaml")).expect("rules");
    let rules = rules.replace(
        "on: order.paid, emit: {",
        "on: order.paid, emit: { paid: true,",
    );
    std::fs::write(folder.path().join("new/orders.yaml"), rules).expect("written");
    let answer = ask(
        folder.path(),
        &["diff", "rules", "new", "--events", "events.ndjson"],
    );
    assert_eq!(answer.code, 1, "{}", answer.stderr);
    assert!(
        answer.stdout.contains("for example order.paid o-1"),
        "{}",
        answer.stdout
    );
}

#[test]
fn a_config_with_several_connectors_asks_which_one() {
    let folder = shop();
    let path = folder.path().join("sluice.yaml");
    let text = std::fs::read_to_string(&path).expect("a config");
    let second = "  shop-to-file:\n    source: shop\n    mappings: rules\n    sink: { type: stdout }\njournal:";
    std::fs::write(&path, text.replace("journal:", second)).expect("written");
    let answer = ask(folder.path(), &["map", "events.ndjson"]);
    assert_eq!(answer.code, 2, "{}", answer.stdout);
    assert!(
        answer
            .stderr
            .contains("--connector NAME` with one of shop-to-log, shop-to-file"),
        "{}",
        answer.stderr
    );
    let chosen = ["map", "events.ndjson", "--connector", "shop-to-file"];
    let answer = ask(folder.path(), &chosen);
    assert_eq!(outcomes(&answer)[2], "order.shown o-3 documents");
}
