//! Slips in sluice.yaml, but for its secrets.

use std::path::Path;

use super::{CONFIG, ask_with_token, expect, told, validated, with, write};

#[test]
fn validate_shows_whose_rules_a_connector_runs() {
    let line = "braze-to-segment: braze to segment by builtin:braze_to_segment (";
    validated("version: 1", "version: 1", 0, &[line]);
}

#[test]
fn a_folder_of_rules_that_no_connector_names_is_told() {
    let folder = with("version: 1", "version: 1");
    let rules =
        "version: 1\nimport: [builtin:braze_to_segment]\nrules: { email_sent: { skip: no } }\n";
    write(folder.path(), "mappings/ours.yaml", rules);
    let told = [
        "sluice.yaml:7:15  warning[unread-folder]",
        "no connector names the folder mappings",
        "say `mappings: mappings`",
    ];
    expect(folder.path(), &["validate"], 0, &told);
    let named = CONFIG.replace("builtin:braze_to_segment", "mappings");
    write(folder.path(), "sluice.yaml", &named);
    expect(
        folder.path(),
        &["validate", "--strict"],
        0,
        &["by mappings ("],
    );
}

#[test]
fn the_config_of_the_readme_is_the_one_that_init_writes() {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let readme = std::fs::read_to_string(readme).expect("a page");
    let blocks = readme.split("```yaml\n").skip(1);
    let shown = blocks
        .filter_map(|rest| rest.split_once("```"))
        .map(|(block, _)| block)
        .find(|block| block.contains("\nconnectors:"))
        .expect("a config");
    let folder = tempfile::tempdir().expect("a folder");
    expect(folder.path(), &["init", "."], 0, &["wrote"]);
    let written = std::fs::read_to_string(folder.path().join("sluice.yaml")).expect("a config");
    let read = |text: &str| {
        let mut files = sluice::diagnostics::Files::default();
        let file = files.add("sluice.yaml", None, text.to_owned());
        sluice::diagnostics::parse_yaml(file, &files)
            .expect("YAML")
            .to_json()
    };
    assert_eq!(read(shown), read(&written));
}

#[test]
fn an_address_without_a_scheme_gets_one() {
    let part = "such as http://127.0.0.1:8765";
    validated("region: us", "endpoint: \"127.0.0.1:8765\"", 1, &[part]);
    validated(
        "region: us",
        "endpoint: \"localhost:8765\"",
        1,
        &["such as http://localhost:8765"],
    );
}

#[test]
fn a_key_on_another_level_is_told_where_it_belongs() {
    let too_low = "region: us, unmapped: dead_letter,";
    let part = "it belongs one level up, to connector `braze-to-segment`";
    validated("region: us,", too_low, 1, &["error[unknown-key]", part]);
    let too_high = "source: braze\n    flush_after: 1s";
    validated(
        "source: braze",
        too_high,
        1,
        &["error[unknown-key]", "it belongs under `batch`"],
    );
    let of_the_sink = "source: braze\n    oversize: { drop: [properties.x] }";
    validated(
        "source: braze",
        of_the_sink,
        1,
        &["error[unknown-key]", "it belongs under `sink`"],
    );
}

#[test]
fn a_plugin_that_is_not_there_hides_no_other_problem() {
    let folder = with("type: segment", "type: segmnt");
    let path = folder.path().join("sluice.yaml");
    let text = std::fs::read_to_string(&path).expect("a config");
    let text = text.replace(
        "builtin:braze_to_segment",
        "[rules.yaml, builtin:braze_to_segmen]",
    );
    std::fs::write(path, text).expect("written");
    let rules = "version: 1\nrules: { r: { on: users.messages.email.Open, emit: { a: \"$.properties[\" } } }\n";
    write(folder.path(), "rules.yaml", rules);
    let told = [
        "error[unknown-plugin]",
        "did you mean `segment`?",
        "error[unknown-builtin]",
        "rules.yaml:2:",
    ];
    expect(folder.path(), &["validate"], 1, &told);
}

#[test]
fn a_misspelt_key_of_a_config_is_told_without_its_consequences() {
    for (from, to, place) in [
        ("connectors:", "conectors:", "4:1"),
        ("sources:", "inputs:", "2:1"),
        ("    source:", "    sorce:", "6:5"),
        ("    sink:", "    destination:", "8:5"),
        ("{ type: segment", "{ tpye: segment", "8:13"),
        ("write_key:", "api_key:", "8:40"),
        ("mappings:", "rules:", "7:5"),
        ("{ path: data", "{ folder: data", "9:12"),
    ] {
        let folder = with(from, to);
        let (found, said) = told(folder.path());
        assert_eq!(found, [format!("{place} unknown-key")], "{said}");
        assert!(said.contains("did you mean `"), "{said}");
    }
}

#[test]
fn an_address_that_is_none_is_told_what_to_write() {
    let expected = "expected an IP address and a port from 0 to 65535";
    for (address, meant) in [
        ("localhost:8080", "write `127.0.0.1:8080`"),
        ("127.0.0.1:99999", "99999 is no port: the highest is 65535"),
        (":8080", "`0.0.0.0:8080` for all that reach it"),
        ("127.0.0.1", "the port is missing: `127.0.0.1:8080`"),
    ] {
        let listen = format!("type: braze_webhook, listen: \"{address}\"");
        let place = "sluice.yaml:3:41  error[";
        validated("type: braze_webhook", &listen, 1, &[place, expected, meant]);
        let admin = format!("admin: {{ listen: \"{address}\" }}\njournal:");
        let place = "sluice.yaml:9:18  error[";
        let or_off = format!("{expected}, or `off`");
        validated("journal:", &admin, 1, &[place, &or_off, meant]);
    }
}

#[test]
fn two_listeners_on_one_port_are_told() {
    let admin = "admin: { listen: 127.0.0.1:8080 }\njournal:";
    let told = [
        "sluice.yaml:9:18  error[same-address]: the admin listener and the source `braze` want the same port, 8080",
        "sluice.yaml:3:3: the other one",
    ];
    validated("journal:", admin, 1, &told);
    expect(with("journal:", admin).path(), &["run"], 1, &[told[0]]);

    let second = "  shop: { type: http, token: \"${T}\", listen: \"0.0.0.0:8080\" }\nconnectors:";
    let (found, said) = super::told(with("connectors:", second).path());
    assert_eq!(found, ["4:46 same-address", "4:3 unused-source"], "{said}");
    // Any port that is free is no port in common.
    let free = "  shop: { type: http, token: \"${T}\", listen: \"127.0.0.1:0\" }\nadmin: { listen: 127.0.0.1:0 }\nconnectors:";
    let (found, said) = super::told(with("connectors:", free).path());
    assert_eq!(found, ["4:3 unused-source"], "{said}");
}

#[test]
fn a_size_a_duration_and_a_version_in_another_form_are_told_in_ours() {
    for (setting, column, meant) in [
        (
            "max_size: 10G",
            34,
            "write `10GiB` (of 1024) or `10GB` (of 1000)",
        ),
        ("max_size: 10 gb", 34, "write `10GB`"),
        ("max_size: 10", 34, "expected a size with its unit"),
        ("retain: 7 days", 32, "write `7d`"),
        ("retain: 1w", 32, "write `7d`"),
        ("retain: 168", 32, "a unit is missing: `168s`"),
    ] {
        let place = format!("sluice.yaml:9:{column}  error[");
        let journal = format!("path: data, {setting}");
        validated("path: data", &journal, 1, &[&place, &format!("^ {meant}")]);
    }
    let meant = "write `version: 1`, without the quotes";
    validated(
        "version: 1",
        "version: \"1\"",
        1,
        &["sluice.yaml:1:10  error[", meant],
    );
}

#[test]
fn a_built_in_set_in_another_form_is_told_its_name() {
    let meant = "`builtin:braze_to_segment`";
    for text in [
        "braze_to_segment",
        "[builtin: braze_to_segment]",
        "builtin/braze_to_segment",
    ] {
        validated(
            "builtin:braze_to_segment",
            text,
            1,
            &[meant, "1 error, 0 warnings"],
        );
    }
    let overlay = "did you mean `builtin:braze_to_segment/full`?";
    validated("builtin:braze_to_segment", "builtin:full", 1, &[overlay]);
}

#[test]
fn a_part_of_documents_that_no_rule_makes_is_told() {
    let drop = |paths: &str| format!("region: us, oversize: {{ drop: [{paths}] }}");
    let told = [
        "sluice.yaml:8:75  warning[unknown-output]: no rule of this connector makes `properties.abort_logs`",
        "did you mean `properties.abort_log`?",
        "0 errors, 1 warning",
    ];
    validated(
        "region: us",
        &drop("context.traits, properties.abort_logs"),
        0,
        &told,
    );
    let known = drop("properties.abort_log, context.traits.email, context.device");
    expect(
        with("region: us", &known).path(),
        &["validate", "--strict"],
        0,
        &[],
    );
    // Custom events bring members that nobody knows; they are sent on request only.
    let custom = with("region: us", &drop("properties.of_our_own"));
    expect(
        custom.path(),
        &["validate", "--strict"],
        1,
        &["unknown-output"],
    );
    let path = custom.path().join("sluice.yaml");
    let text = std::fs::read_to_string(&path).expect("a config");
    let include = "source: braze\n    events: { include: [\"*\", users.behaviors.CustomEvent] }\n";
    write(
        custom.path(),
        "sluice.yaml",
        &text.replace("source: braze\n", include),
    );
    expect(custom.path(), &["validate", "--strict"], 0, &[]);
}

#[test]
fn a_file_for_https_that_is_not_there_is_told_at_the_start_at_its_place() {
    let tls = "type: braze_webhook, tls: { certificate: nowhere.pem, key: /nowhere/key.pem }";
    let folder = with("type: braze_webhook", tls);
    expect(folder.path(), &["validate", "--strict"], 0, &[]);
    let (code, said) = ask_with_token(folder.path(), &["run"], "hunter2");
    for part in [
        "sluice.yaml:3:53  error[unreadable-file]: the file nowhere.pem cannot be read",
        "not beside this file",
        "sluice.yaml:3:71  error[unreadable-file]: the file /nowhere/key.pem cannot be read",
    ] {
        assert!(said.contains(part), "{part}\n{said}");
    }
    assert_eq!(code, 1, "{said}");
}

#[cfg(unix)]
#[test]
fn a_folder_of_rules_that_cannot_be_read_is_told_alone() {
    use std::os::unix::fs::PermissionsExt as _;

    let folder = with("builtin:braze_to_segment", "mappings");
    write(folder.path(), "mappings/ours.yaml", "version: 1\n");
    let rules = folder.path().join("mappings");
    let set = |mode| {
        let mode = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(&rules, mode).expect("set");
    };
    set(0o000);
    // Whoever may read everything sees nothing of it.
    if std::fs::read_dir(&rules).is_err() {
        let told = [
            "error[unreadable-file]: the folder `mappings` cannot be read",
            "1 error, 0 warnings",
        ];
        expect(folder.path(), &["validate"], 1, &told);
        expect(folder.path(), &["test"], 1, &told);
    }
    set(0o755);
}
