//! Broken configs, each with the exact places and codes of what is told.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use sluice_sdk::{
    Batch, ConfigError, Delivery, DocumentSpec, Intake, Limits, Outcome, Secret, Sink, Source,
    SourceError, Stop, register_sink, register_source,
};

use super::*;
use crate::diagnostics::{Diagnostic, Files, Format, render};

/// Settings of a source that does nothing.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(crate = "sluice_sdk::schemars")]
#[allow(dead_code, reason = "only their checks matter")]
struct TestSourceConfig {
    /// Where to listen.
    #[serde(default)]
    #[schemars(extend("examples" = ["127.0.0.1:8080"]))]
    listen: Option<std::net::SocketAddr>,
    /// The token.
    token: Secret,
    /// Most requests at once.
    #[schemars(range(min = 1, max = 100))]
    requests_max: Option<u32>,
}

struct TestSource;

impl Source for TestSource {
    async fn run(self: Box<Self>, _: Intake, _: Stop) -> Result<(), SourceError> {
        Ok(())
    }
}

register_source!("config_test_in", TestSourceConfig => |_: TestSourceConfig| Ok(TestSource),
    summary: "Nothing in.", example: "token: ${TOKEN}");

/// Settings of a sink that does nothing.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(crate = "sluice_sdk::schemars")]
#[allow(dead_code, reason = "only their checks matter")]
struct TestSinkConfig {
    /// The region.
    region: Option<Region>,
    /// Another address.
    endpoint: Option<String>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(crate = "sluice_sdk::schemars")]
enum Region {
    /// Europe.
    Eu,
    /// America.
    Us,
}

struct TestSink;

impl Sink for TestSink {
    fn limits(&self) -> Limits {
        Limits::default()
    }

    async fn deliver(&self, _: &Batch) -> Delivery {
        Delivery::All(Outcome::Delivered)
    }
}

fn sink(config: TestSinkConfig) -> Result<TestSink, ConfigError> {
    if config.region.is_some() && config.endpoint.is_some() {
        return Err(ConfigError::at(
            "endpoint",
            "either `region` or `endpoint`, not both",
        ));
    }
    Ok(TestSink)
}

static DOCUMENT: DocumentSpec = DocumentSpec {
    identity: Some("id"),
    identity_chars_max: 99,
    title: &["type"],
    schema: || serde_json::json!({}),
    kinds: &[],
    kind_member: "type",
};

register_sink!("config_test_out", TestSinkConfig => sink,
    summary: "Nothing out.", example: "region: eu", document: &DOCUMENT);

const GOOD: &str = "\
version: 1
sources:
  in:
    type: config_test_in
    token: ${TOKEN}
connectors:
  a-to-b:
    source: in
    mappings: mappings/a
    sink: { type: config_test_out, region: eu }
";

fn read(text: &str, mode: Mode, env: &[(&str, &str)]) -> (Option<Config>, Vec<Diagnostic>, Files) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("sluice.yaml");
    std::fs::write(&path, text).expect("written");
    let mut files = Files::default();
    let mut diagnostics = Vec::new();
    let env = |name: &str| {
        env.iter()
            .find(|(key, _)| *key == name)
            .map(|(_, value)| (*value).to_owned())
    };
    let config = load(&path, mode, &env, &mut files, &mut diagnostics);
    (config, diagnostics, files)
}

/// `line:column code`, in the order of places.
fn problems(text: &str, mode: Mode, env: &[(&str, &str)]) -> Vec<String> {
    let (config, mut diagnostics, files) = read(text, mode, env);
    assert_eq!(
        config.is_none(),
        crate::diagnostics::has_errors(&diagnostics),
        "a config is given exactly when there is no error"
    );
    diagnostics.sort_by_key(|one| one.span);
    diagnostics
        .iter()
        .map(|one| {
            let span = one.span.expect("a place");
            let (line, column) = files.position(span.file, span.start);
            format!("{line}:{column} {}", one.code)
        })
        .collect()
}

fn check(change: (&str, &str), expected: &[&str]) {
    let (from, to) = change;
    assert!(GOOD.contains(from), "{from}");
    let text = GOOD.replacen(from, to, 1);
    assert_eq!(problems(&text, Mode::Validate, &[]), expected, "{text}");
}

#[test]
fn a_good_config_is_read_with_its_defaults() {
    let (config, diagnostics, files) = read(GOOD, Mode::Run, &[("TOKEN", "t")]);
    assert!(
        diagnostics.is_empty(),
        "{}",
        render(&diagnostics, &files, Format::Human, false)
    );
    let config = config.expect("a config");
    let source = &config.sources["in"];
    assert_eq!(source.plugin.name, "config_test_in");
    assert_eq!(source.settings, serde_json::json!({"token": "t"}));
    assert_eq!(source.deduplicate, Some(Duration::from_secs(7 * 86_400)));
    let connector = &config.connectors["a-to-b"];
    assert_eq!(connector.sink.settings, serde_json::json!({"region": "eu"}));
    assert_eq!(connector.batch.flush_after, Duration::from_secs(1));
    assert_eq!(connector.mappings[0].0, "mappings/a");
    assert_eq!(config.journal.path, config.folder.join("data"));
    assert_eq!(config.journal.max_size, 10 << 30);
    assert!(config.admin.listen.is_some());
}

#[test]
fn every_mistake_is_told_at_its_place() {
    check(("version: 1", "version: [1"), &["1:10 yaml-syntax"]);
    check(
        ("version: 1", "version: 1\nversion: 1"),
        &["2:1 duplicate-key"],
    );
    check(("version: 1", "version: 2"), &["1:10 invalid-value"]);
    check(("version: 1\n", ""), &["1:1 missing-key"]);
    check(
        ("config_test_in", "config_tset_in"),
        &["4:11 unknown-plugin"],
    );
    check(
        ("config_test_out", "config_tset_out"),
        &["10:19 unknown-plugin"],
    );
    check(("mappings:", "mapings:"), &["9:5 unknown-key"]);
    check(("source: in", "source: on"), &["8:13 unknown-source"]);
    check(("a-to-b", "A to B"), &["7:3 bad-name"]);
    check(("region: eu", "region: ue"), &["10:44 invalid-value"]);
    check(("region: eu", "regoin: eu"), &["10:36 unknown-key"]);
    check(
        ("region: eu", "region: eu, endpoint: x"),
        &["10:58 invalid-setting"],
    );
    check(
        ("token: ${TOKEN}", "token: ${TOKEN"),
        &["5:12 bad-placeholder"],
    );
    check(("token: ${TOKEN}", "tokn: ${TOKEN}"), &["5:5 unknown-key"]);
    check(("token: ${TOKEN}", "token: 12"), &["5:12 wrong-type"]);
    check(
        ("token: ${TOKEN}", "token: ${TOKEN}\n    requests_max: many"),
        &["6:19 wrong-type"],
    );
    check(
        ("token: ${TOKEN}", "token: ${TOKEN}\n    requests_max: 0"),
        &["6:19 invalid-value"],
    );
    check(
        (
            "token: ${TOKEN}",
            "token: ${TOKEN}\n    expect_every: 1 hour",
        ),
        &["6:19 invalid-value"],
    );
    check(
        ("token: ${TOKEN}", "token: ${TOKEN}\n    listen: nowhere"),
        &["6:13 invalid-setting"],
    );
    check(
        (
            "version: 1",
            "version: 1\njournal: { retain: 7dd, max_size: 10Gib }",
        ),
        &["2:20 invalid-value", "2:35 invalid-value"],
    );
    check(
        (
            "version: 1",
            "version: 1\nadmin: { listen: 127.0.0.1:99999 }",
        ),
        &["2:18 invalid-setting"],
    );
    check(
        ("source: in", "source: in\n    contact: me@example.com"),
        &["9:14 contact-without-alerts"],
    );
    check(
        (
            "source: in",
            "source: in\n    contact: [me@example.com, me]",
        ),
        &["9:14 contact-without-alerts", "9:31 invalid-value"],
    );
    let with_alerts = |alerts: &str| format!("version: 1\nalerts: {{ smtp: {{ {alerts} }} }}");
    let smtp = with_alerts("host: mail.example.com, from: a@example.com");
    check(("version: 1", &smtp), &["8:3 alerts-without-contact"]);
    let smtp = with_alerts("host: mail.example.com, from: nobody");
    check(("version: 1", &smtp), &["2:49 invalid-value"]);
    let smtp = with_alerts("host: mail.example.com, from: a@example.com, username: a");
    check(
        ("version: 1", &smtp),
        &["2:11 incomplete-login", "8:3 alerts-without-contact"],
    );
    let smtp =
        with_alerts("host: m, from: a@example.com, username: a, password: \"${P}\", tls: none");
    check(("version: 1", &smtp), &["2:11 password-in-the-clear"]);
    check(
        ("    mappings: mappings/a", "    mappings: []"),
        &["9:15 invalid-value"],
    );
    check(
        (
            "connectors:",
            "  other: { type: config_test_in, token: \"${TOKEN}\" }\nconnectors:",
        ),
        &["6:3 unused-source"],
    );
    let without = GOOD.split("  a-to-b").next().expect("text");
    assert_eq!(
        problems(
            &without.replace("connectors:", "connectors: {}"),
            Mode::Validate,
            &[]
        ),
        ["6:1 no-connectors"]
    );
}

#[test]
fn all_mistakes_are_told_at_once() {
    let text = GOOD
        .replace("${TOKEN}", "${}")
        .replace("source: in", "source: inn")
        .replace("region: eu", "region: mars")
        .replace("version: 1", "version: 1\nadmn: {}");
    assert_eq!(
        problems(&text, Mode::Validate, &[]),
        [
            "2:1 unknown-key",
            "6:12 bad-placeholder",
            "9:13 unknown-source",
            "11:44 invalid-value"
        ]
    );
}

#[test]
fn a_missing_variable_is_an_error_of_run_only_and_names_its_line() {
    assert_eq!(problems(GOOD, Mode::Validate, &[]), [""; 0]);
    assert_eq!(problems(GOOD, Mode::Run, &[]), ["5:12 missing-variable"]);
    let (_, diagnostics, _) = read(GOOD, Mode::Run, &[]);
    assert!(diagnostics[0].message.contains("`TOKEN`"));
    assert_eq!(
        problems(GOOD, Mode::Run, &[("TOKEN", "")]),
        ["5:12 empty-secret"]
    );
}

#[test]
fn a_variable_stands_for_a_value_of_the_right_type() {
    let text = GOOD.replace(
        "token: ${TOKEN}",
        "token: ${TOKEN}\n    requests_max: ${MANY}\n    listen: ${LISTEN}\n    expect_every: ${OFTEN:-1h}",
    );
    assert_eq!(problems(&text, Mode::Validate, &[]), [""; 0]);
    let env = [("TOKEN", "1"), ("MANY", "7"), ("LISTEN", "127.0.0.1:1")];
    let (config, _, _) = read(&text, Mode::Run, &env);
    let source = &config.expect("a config").sources["in"];
    assert_eq!(source.settings["token"], "1");
    assert_eq!(source.settings["requests_max"], 7);
    assert_eq!(source.expect_every, Some(Duration::from_secs(3600)));
    let wrong = [("TOKEN", "1"), ("MANY", "no"), ("LISTEN", "127.0.0.1:1")];
    assert_eq!(problems(&text, Mode::Run, &wrong), ["6:19 wrong-type"]);
}

#[test]
fn an_escaped_placeholder_is_plain_text() {
    let text = GOOD.replace("token: ${TOKEN}", "token: a$${b}");
    let (config, _, _) = read(&text, Mode::Run, &[]);
    assert_eq!(
        config.expect("a config").sources["in"].settings["token"],
        "a${b}"
    );
}

#[test]
fn two_connectors_of_one_identity_are_refused() {
    let second = |more: &str| {
        format!(
            "{GOOD}  b-to-c:\n    source: in\n    mappings: m\n    sink: {{ type: config_test_out }}\n{more}"
        )
    };
    assert_eq!(
        problems(&second(""), Mode::Validate, &[]),
        ["11:3 same-identity"]
    );
    let other = second("    message_id: connector\n");
    assert_eq!(problems(&other, Mode::Validate, &[]), [""; 0]);
    let apart = second("    events: { include: [b.*] }\n").replace(
        "mappings: mappings/a",
        "mappings: mappings/a\n    events: { exclude: [b.*] }",
    );
    assert_eq!(problems(&apart, Mode::Validate, &[]), [""; 0]);
}

#[test]
fn the_composed_schema_takes_a_config_with_variables_and_refuses_a_typo() {
    let schema = config_schema();
    let validator = jsonschema::validator_for(&schema).expect("a valid schema");
    let to_json = |text: &str| serde_yaml::from_str::<serde_json::Value>(text).expect("YAML");
    let good = GOOD.replace("token: ${TOKEN}", "token: x\n    requests_max: ${MANY}");
    let errors: Vec<String> = validator
        .iter_errors(&to_json(&good))
        .map(|error| error.to_string())
        .collect();
    assert!(errors.is_empty(), "{errors:?}");
    for (from, to) in [
        ("region: eu", "regoin: eu"),
        ("region: eu", "region: mars"),
        ("config_test_in", "config_tset_in"),
        ("requests_max: ${MANY}", "requests_max: many"),
        ("mappings: mappings/a", "mappings: {}"),
    ] {
        let bad = to_json(&good.replace(from, to));
        assert!(!validator.is_valid(&bad), "{to} must be refused");
    }
}

#[test]
fn a_secret_that_is_written_out_is_in_no_message() {
    for (from, to) in [
        ("token: ${TOKEN}", "tokn: hunter2"),
        ("token: ${TOKEN}", "token: hunter2\n    token: hunter2"),
        ("token: ${TOKEN}", "token: 'hunter2"),
        ("token: ${TOKEN}", "token: [hunter2, [1]]"),
        ("token: ${TOKEN}", "token: &t hunter2\n    tokn: *t"),
        ("sources:", "sorces: { a: { token: hunter2 } }\nsources:"),
        (
            "type: config_test_in\n    token: ${TOKEN}",
            "{ type: config_tset_in, token: hunter2 }",
        ),
        (
            "version: 1",
            "version: 1\nalerts: { webhook: hunter2, smtp: { password: hunter2, prot: 1 } }",
        ),
    ] {
        let text = GOOD
            .replacen(from, to, 1)
            .replacen("in:\n    {", "in: {", 1);
        let (_, diagnostics, files) = read(&text, Mode::Validate, &[]);
        assert!(!diagnostics.is_empty(), "{text}");
        for format in [Format::Human, Format::Json, Format::Github] {
            let shown = render(&diagnostics, &files, format, false);
            assert!(!shown.contains("hunter2"), "{text}\n{shown}");
        }
    }
}

#[test]
fn no_default_is_proposed_for_a_secret() {
    let text = GOOD.replacen("region: eu", "region: \"${REGION}\"", 1);
    let (_, diagnostics, _) = read(&text, Mode::Run, &[]);
    let labels: Vec<&str> = diagnostics.iter().map(|one| one.label.as_str()).collect();
    assert_eq!(
        labels,
        [
            "set it in the environment",
            "set it in the environment, or give a default: `${REGION:-default}`"
        ]
    );
}
