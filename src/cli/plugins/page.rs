//! The reference pages: one for each plugin and an index, in Markdown.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde_json::Value;

use sluice_sdk::typed;

use super::reference::{Plugin, Setting, plain};
use crate::cli::generated::Generated;

/// First line of every page; tells pages that are made from others in the folder.
const MARK: &str =
    "<!-- Made by `sluice plugins --write`; change the doc comments of the plugin. -->";
/// The index's name.
const INDEX: &str = "README.md";

/// The page of one plugin.
pub fn page(plugin: &Plugin) -> String {
    let mut out = format!(
        "# `{}` {}\n\n{}\n",
        plugin.name, plugin.kind, plugin.summary
    );
    for fact in &plugin.facts {
        let _ = writeln!(out, "\n{fact}");
    }
    if let Some(example) = plugin.example_section() {
        let _ = write!(out, "\n```yaml\n{example}```\n");
    }
    let (always, optional): (Vec<&Setting>, Vec<&Setting>) = plugin
        .settings
        .iter()
        .partition(|setting| setting.is_required && setting.path.len() == 1);
    let (needed, optional) = with_parts(always, optional);
    section(&mut out, "Required settings", &needed);
    section(&mut out, "Optional settings", &optional);
    if !plugin.types.is_empty() {
        out.push_str("\n## How values are written\n\n");
        for (name, description) in &plugin.types {
            let _ = writeln!(out, "- *{name}*: {}", paragraphs(description).join(" "));
        }
    }
    out
}

/// The parts of a required setting stay with it.
fn with_parts<'a>(
    needed: Vec<&'a Setting>,
    optional: Vec<&'a Setting>,
) -> (Vec<&'a Setting>, Vec<&'a Setting>) {
    let roots: HashSet<&str> = needed
        .iter()
        .map(|setting| setting.path[0].as_str())
        .collect();
    let (mut parts, optional): (Vec<_>, Vec<_>) = optional
        .into_iter()
        .partition(|setting| roots.contains(setting.path[0].as_str()));
    let mut together = Vec::new();
    for setting in needed {
        together.push(setting);
        let (mine, others) = parts
            .into_iter()
            .partition(|part: &&Setting| part.path[0] == setting.path[0]);
        let mine: Vec<&Setting> = mine;
        parts = others;
        together.extend(mine);
    }
    (together, optional)
}

fn section(out: &mut String, title: &str, settings: &[&Setting]) {
    if settings.is_empty() {
        return;
    }
    let _ = writeln!(out, "\n## {title}");
    for setting in settings {
        let _ = writeln!(out, "\n### `{}`\n\n{}", setting.name(), notes(setting));
        for paragraph in paragraphs(&setting.description) {
            let _ = writeln!(out, "\n{paragraph}");
        }
        if setting.choices.iter().any(|(_, text)| !text.is_empty()) {
            out.push('\n');
            for (value, description) in &setting.choices {
                let description = paragraphs(description).join(" ");
                let _ = writeln!(out, "- `{value}`: {description}");
            }
        }
        if let Some(example) = &setting.example
            && setting.default.as_ref() != Some(example)
        {
            let _ = writeln!(out, "\nExample: `{}`", in_yaml(&setting.path, example));
        }
    }
}

fn notes(setting: &Setting) -> String {
    let kind = setting.kind.replace('|', "or");
    let mut notes = vec![format!("*{kind}*")];
    if setting.is_required {
        notes.push("required".to_owned());
    }
    if let Some(default) = setting.shown_default() {
        notes.push(format!("default `{}`", plain(default)));
    }
    notes.join(" · ")
}

/// A setting on one line: `tls: { key: key.pem }`.
fn in_yaml(path: &[String], value: &Value) -> String {
    match path {
        [] => plain(value),
        [last] => format!("{last}: {}", plain(value)),
        [first, inside @ ..] => format!("{first}: {{ {} }}", in_yaml(inside, value)),
    }
}

/// Doc comments are broken into lines for their file, not for the page.
fn paragraphs(text: &str) -> Vec<String> {
    text.split("\n\n")
        .map(|paragraph| paragraph.lines().collect::<Vec<_>>().join(" "))
        .filter(|paragraph| !paragraph.is_empty())
        .collect()
}

/// The list of all plugins with links to their pages.
pub fn index(plugins: &[Plugin]) -> String {
    let mut out = format!(
        "# Plugins\n\nWhat is linked into this program. {} says the same in a terminal.\n",
        typed("plugins show NAME")
    );
    for (kind, title) in [
        ("source", "Sources"),
        ("sink", "Sinks"),
        ("command", "Commands"),
        ("mappings", "Mapping sets"),
        ("demo", "Demos"),
    ] {
        let rows: Vec<&Plugin> = plugins.iter().filter(|it| it.kind == kind).collect();
        if rows.is_empty() {
            continue;
        }
        let _ = writeln!(out, "\n## {title}\n\n| name | what it is |\n| --- | --- |");
        for plugin in rows {
            let _ = writeln!(
                out,
                "| [`{}`]({}) | {} |",
                plugin.name,
                file_name(plugin),
                plugin.summary.replace('|', "\\|"),
            );
        }
    }
    out
}

fn file_name(plugin: &Plugin) -> String {
    format!("{}-{}.md", plugin.kind, plugin.name)
}

/// All pages of a folder.
pub fn files(plugins: &[Plugin]) -> Vec<Generated> {
    let marked = |name: String, text: String| Generated {
        name,
        text: format!("{MARK}\n\n{text}"),
    };
    plugins
        .iter()
        .map(|plugin| marked(file_name(plugin), page(plugin)))
        .chain([marked(INDEX.to_owned(), index(plugins))])
        .collect()
}

/// Pages that were made once, of plugins that are no longer there.
pub fn left_over(folder: &Path, files: &[Generated]) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| {
            let is_current = files.iter().any(|file| path.ends_with(&file.name));
            let is_made = || std::fs::read_to_string(path).is_ok_and(|text| text.starts_with(MARK));
            !is_current && is_made()
        })
        .collect();
    found.sort();
    found
}
