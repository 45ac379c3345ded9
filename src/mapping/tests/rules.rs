//! Rules together: which run on an event, and what an overlay changes.

use super::*;

fn names(mapped: &Mapped) -> String {
    match mapped {
        Mapped::Documents(all) => all
            .iter()
            .map(|one| {
                format!(
                    "{}/{}={}",
                    one.rule,
                    one.name.as_deref().unwrap_or("-"),
                    one.identity(Some(&SPEC)).as_deref().unwrap_or("-")
                )
            })
            .collect::<Vec<_>>()
            .join(" "),
        Mapped::Skipped { reason, .. } => format!("skipped {reason}"),
        Mapped::Dead { reason, .. } => format!("dead {reason}"),
        other => format!("{other:?}"),
    }
}

#[test]
fn the_first_rule_that_holds_runs_and_continue_lets_the_next_run() {
    let yaml = "version: 1
rules:
  odd: { on: 'mail.*', when: '@.odd', skip: odd one }
  all: { on: '*', when: '@.all', continue: true, emit: { type: track, event: All, person: $.u, messageId: $.id } }
  opted: { on: mail.Click, opt_in: ask first, emit: { type: track, event: C, person: $.u, messageId: $.id } }
  two:
    on: mail.Open
    emit_each:
      track: { type: track, event: O, person: { $from: $.u, $missing: { skip: no user } }, messageId: $.id }
      who: { type: identify, person: { $from: $.v, $missing: { skip: no v }, $as: integer }, messageId: $.id }
";
    let target = Target {
        catalogue: None,
        document: Some(&SPEC),
    };
    let run = |options: Options, event: Value| names(&good(yaml, target, options).map(&event));
    let plain = Options::default;
    assert_eq!(
        run(plain(), json!({"event_type": "mail.Open", "odd": 1})),
        "skipped odd one"
    );
    assert_eq!(
        run(
            plain(),
            json!({"event_type": "mail.Open", "u": "u", "v": 1, "id": "i"})
        ),
        "two/track=i:track two/who=i:who"
    );
    assert_eq!(
        run(
            plain(),
            json!({"event_type": "mail.Open", "u": "u", "id": "i"})
        ),
        "two/track=i:track"
    );
    assert_eq!(
        run(plain(), json!({"event_type": "mail.Open", "id": "i"})),
        "skipped no user"
    );
    assert_eq!(
        run(
            plain(),
            json!({"event_type": "mail.Open", "u": "u", "v": "x", "id": "i"})
        ),
        "dead invalid integer"
    );
    assert_eq!(
        run(
            plain(),
            json!({"event_type": "mail.Open", "all": 1, "u": "u", "v": 1, "id": "i"})
        ),
        "all/-=i two/track=i:track:two two/who=i:who:two"
    );
    assert_eq!(
        run(
            plain(),
            json!({"event_type": "mail.Click", "all": 1, "u": "u", "id": "i"})
        ),
        "all/-=i"
    );
    assert_eq!(
        run(
            plain(),
            json!({"event_type": "mail.Click", "u": "u", "id": "i"})
        ),
        "skipped not opted in: ask first"
    );
    assert_eq!(run(plain(), json!({"event_type": "other"})), "Unmapped");
    assert_eq!(run(plain(), json!([1])), "dead not an object");
    let include = |names: &[&str]| Options {
        include: names.iter().map(|one| (*one).to_owned()).collect(),
        ..Options::default()
    };
    assert_eq!(
        run(
            include(&["mail.Click"]),
            json!({"event_type": "mail.Click", "u": "u", "id": "i"})
        ),
        "opted/-=i"
    );
    assert_eq!(
        run(
            include(&["mail.*"]),
            json!({"event_type": "mail.Click", "u": "u"})
        ),
        "skipped not opted in: ask first"
    );
    assert_eq!(
        run(include(&["mail.Click"]), json!({"event_type": "mail.Open"})),
        "NotSelected"
    );
    let suffix = Options {
        identity_suffix: Some("c".to_owned()),
        ..Options::default()
    };
    assert_eq!(
        run(
            suffix.clone(),
            json!({"event_type": "mail.Open", "u": "u", "id": "i"})
        ),
        "two/track=i:track:c"
    );
    let long = run(
        suffix,
        json!({"event_type": "x", "all": 1, "u": "u", "id": "i".repeat(99)}),
    );
    assert_eq!(long.len(), "all/-=".len() + 64);
    assert_eq!(
        names(&good(yaml, target, plain()).map_bytes("x", b"{")),
        "dead not JSON"
    );
}

#[test]
fn a_rule_that_is_first_comes_before_those_of_an_overlay_until_the_overlay_says_otherwise() {
    let base = "version: 1
rules:
  opened: { on: mail.Open, skip: opened }
  guard: { on: '*', first: true, when: '@.test', skip: test }
";
    let over = "version: 1
import: [../base]
rules:
  ours: { on: mail.Open, continue: true, emit: { type: track, messageId: $.id } }
  second: { on: mail.Open, first: true, when: '@.second', skip: second }
";
    let order = |over: &str, event: Value| {
        let parts = [("base/b.yaml", base), ("over/o.yaml", over)];
        let (mapping, diagnostics, _) =
            load_files(&parts, "over", Target::default(), Options::default());
        assert!(diagnostics.is_empty(), "{diagnostics:?}");
        let mapping = mapping.expect("good");
        let order: Vec<&str> = mapping.rules().iter().map(|rule| &*rule.name).collect();
        (order.join(" "), names(&mapping.map(&event)))
    };
    let test = || json!({"event_type": "mail.Open", "test": 1});
    assert_eq!(
        order(over, test()),
        (
            "second guard ours opened".to_owned(),
            "skipped test".to_owned()
        )
    );
    let given_up = format!("{over}  guard: {{ first: false }}\n");
    assert_eq!(
        order(&given_up, test()),
        ("second ours opened guard".to_owned(), "ours/-=-".to_owned())
    );
}

#[test]
fn what_a_first_rule_always_takes_is_told_and_how_to_come_before_it() {
    let yaml = "version: 1
rules:
  opened: { on: mail.Open, skip: opened }
  all: { on: '*', first: true, skip: all }
";
    let (_, diagnostics, _) = load_files(
        &[("a.yaml", yaml)],
        "a.yaml",
        Target::default(),
        Options::default(),
    );
    let [one] = diagnostics.as_slice() else {
        panic!("{diagnostics:?}");
    };
    assert_eq!(one.code, "unreachable-rule");
    let said = format!("{one:?}");
    assert!(said.contains("say `first: true` here too"), "{said}");
}

#[test]
fn an_overlay_changes_and_adds() {
    let base = "version: 1
templates:
  engagement: { type: track, person: $.u, properties: { a: $.p.a } }
rules:
  opened: { on: mail.Open, emit: { $extends: engagement, event: Opened } }
  clicked: { on: mail.Click, emit: { $extends: engagement, event: Clicked } }
  third: { on: mail.Third, skip: nothing }
";
    let over = "version: 1
import: [../base]
templates:
  engagement: { properties: { $rest: { from: $.p } } }
rules:
  opened: { emit: { event: Newsletter Opened } }
  clicked: { skip: too many }
  third: { emit: { type: track } }
  first: { on: mail.Open, when: '@.first', skip: first }
";
    let parts = [
        ("base/b.yaml", base),
        ("over/o.yaml", over),
        ("base/x.test.yaml", "not: read"),
    ];
    let (mapping, diagnostics, _) =
        load_files(&parts, "over", Target::default(), Options::default());
    assert!(diagnostics.is_empty(), "{diagnostics:?}");
    let mapping = mapping.expect("good");
    let order: Vec<&str> = mapping
        .rules()
        .iter()
        .map(|rule| rule.name.as_str())
        .collect();
    assert_eq!(order, ["first", "opened", "clicked", "third"]);
    assert_eq!(
        body_of(&mapping.map(&json!({"event_type": "mail.Open", "u": "u", "p": {"a": 1, "b": 2}}))),
        r#"{"type":"track","person":"u","properties":{"a":1,"b":2},"event":"Newsletter Opened"}"#
    );
    assert_eq!(
        names(&mapping.map(&json!({"event_type": "mail.Click"}))),
        "skipped too many"
    );
    assert_eq!(
        names(&mapping.map(&json!({"event_type": "mail.Third"}))),
        "third/-=-"
    );
}
