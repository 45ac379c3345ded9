//! Every linked plugin can be understood and tried from what it says about itself. A new plugin is
//! covered by being there.

use std::path::Path;
use std::process::Command;

use serde_json::Value;
use sluice as _;

struct Answer {
    code: Option<i32>,
    said: String,
}

fn sluice(folder: &Path, arguments: &[&str]) -> Answer {
    let output = Command::new(env!("CARGO_BIN_EXE_sluice"))
        .args(arguments)
        .current_dir(folder)
        .output()
        .expect("the program starts");
    Answer {
        code: output.status.code(),
        said: String::from_utf8_lossy(&output.stdout).into_owned()
            + &String::from_utf8_lossy(&output.stderr),
    }
}

fn plugins() -> Vec<Value> {
    let answer = sluice(Path::new("."), &["plugins", "--format", "json"]);
    serde_json::from_str(&answer.said).expect("a list of plugins")
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

#[test]
fn every_setting_says_what_it_is_and_what_holds_without_it() {
    let mut wrong = Vec::new();
    let mut count = 0;
    for plugin in plugins() {
        for setting in plugin["settings"].as_array().into_iter().flatten() {
            count += 1;
            let place = format!(
                "{} {}: {}",
                text(&plugin, "kind"),
                text(&plugin, "name"),
                text(setting, "name")
            );
            let description = text(setting, "description");
            if description.is_empty() {
                wrong.push(format!("{place} has no description"));
            }
            if text(setting, "type").is_empty() {
                wrong.push(format!("{place} has no type"));
            }
            let says_default = !setting["default"].is_null()
                || ["default", "required"]
                    .iter()
                    .any(|word| description.to_lowercase().contains(word));
            if setting["required"] != true && !says_default {
                wrong.push(format!("{place} says no default"));
            }
        }
    }
    assert!(count > 20, "only {count} settings were found");
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// The example as it is shown, with the least that makes a whole config of it.
fn whole_config(kind: &str, example: &str) -> String {
    match kind {
        "source" => format!(
            "version: 1\n{example}connectors:\n  c: {{ source: my-source, mappings: all.yaml, sink: {{ type: stdout }} }}\n"
        ),
        _ => format!(
            "version: 1\nsources: {{ s: {{ type: stdin }} }}\n{}",
            example.replace(
                "    sink:\n",
                "    source: s\n    mappings: all.yaml\n    sink:\n"
            )
        ),
    }
}

#[test]
fn every_example_is_a_config_that_validates() {
    let mut count = 0;
    for plugin in plugins() {
        let Some(example) = plugin["example"].as_str() else {
            let kind = text(&plugin, "kind");
            let has_settings = matches!(kind, "source" | "sink");
            assert!(!has_settings, "{} has no example", plugin["name"]);
            continue;
        };
        let folder = tempfile::tempdir().expect("a folder");
        let write = |name: &str, content: &str| {
            std::fs::write(folder.path().join(name), content).expect("a writable folder");
        };
        // What a sink wants of its documents is not the question here.
        write(
            "all.yaml",
            "version: 1\nrules: { all: { on: \"*\", skip: not needed } }\n",
        );
        write("sluice.yaml", &whole_config(text(&plugin, "kind"), example));
        let answer = sluice(folder.path(), &["validate"]);
        assert_eq!(answer.code, Some(0), "{}\n{}", plugin["name"], answer.said);
        count += 1;
    }
    assert!(count >= 8, "only {count} examples were found");
}

#[test]
fn the_reference_pages_are_what_the_plugins_say_now() {
    let answer = sluice(
        Path::new(env!("CARGO_MANIFEST_DIR")),
        &["plugins", "--check", "docs/plugins"],
    );
    assert_eq!(answer.code, Some(0), "{}", answer.said);
}

#[test]
fn a_page_that_was_changed_or_left_over_is_named_and_brought_up_to_date() {
    let folder = tempfile::tempdir().expect("a folder");
    let run = |arguments: &[&str]| sluice(folder.path(), arguments);
    assert_eq!(run(&["plugins", "--write", "pages"]).code, Some(0));
    let page = folder.path().join("pages/sink-stdout.md");
    let made = std::fs::read_to_string(&page).expect("a page");
    std::fs::write(&page, made.replace("stdout", "sdtout")).expect("writable");
    std::fs::write(folder.path().join("pages/sink-gone.md"), &made).expect("writable");
    std::fs::write(folder.path().join("pages/ours.md"), "# Written by hand\n").expect("writable");

    let answer = run(&["plugins", "--check", "pages"]);
    assert_eq!(answer.code, Some(1));
    for part in [
        "sink-stdout.md is not",
        "sink-gone.md is not",
        "sluice plugins --write pages",
    ] {
        assert!(
            answer.said.contains(part),
            "{part} is not in:\n{}",
            answer.said
        );
    }
    assert!(!answer.said.contains("ours.md"), "{}", answer.said);

    assert_eq!(run(&["plugins", "--write", "pages"]).code, Some(0));
    assert_eq!(run(&["plugins", "--check", "pages"]).code, Some(0));
    assert!(!folder.path().join("pages/sink-gone.md").exists());
    assert!(folder.path().join("pages/ours.md").exists());
}

#[test]
fn one_plugin_is_shown_for_people_for_machines_and_as_a_page() {
    let show = |format: &str| {
        let answer = sluice(
            Path::new("."),
            &["plugins", "show", "segment", "--format", format],
        );
        assert_eq!(answer.code, Some(0), "{}", answer.said);
        answer.said
    };
    assert!(
        show("human").contains("  write_key (secret, required)\n"),
        "{}",
        show("human")
    );
    assert!(show("markdown").contains("### `write_key`\n\n*secret* · required\n"));
    let json: Value = serde_json::from_str(&show("json")).expect("JSON alone");
    let setting = &json[0]["settings"]
        .as_array()
        .and_then(|all| all.iter().find(|it| it["name"] == "oversize.drop"))
        .expect("a setting within a setting");
    assert_eq!(setting["type"], "list of text");
}
