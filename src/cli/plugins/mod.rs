//! `sluice plugins`: what is linked into this program, and the reference of its settings.

mod page;
mod reference;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde_json::{Value, json};

use sluice_sdk::typed;

use self::reference::Plugin;
use super::{generated, output};
use crate::diagnostics::did_you_mean;

/// List the linked plugins, or show all settings of one.
#[derive(clap::Args, Debug)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "\
Examples:
  sluice plugins
  sluice plugins show NAME
  sluice plugins show NAME --format json
  sluice plugins --write docs/plugins     a reference page for each, and an index
  sluice plugins --check docs/plugins     exit 1 if they are not up to date"
)]
pub struct Args {
    #[command(subcommand)]
    action: Option<Action>,
    /// How they are shown.
    #[arg(long, default_value = "human")]
    format: Shape,
    /// Write a page for each plugin and an index into this folder.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["check", "format"])]
    write: Option<PathBuf>,
    /// Say whether the pages in this folder are up to date.
    #[arg(long, value_name = "DIR", conflicts_with = "format")]
    check: Option<PathBuf>,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// List them.
    List {
        /// How they are shown.
        #[arg(long, default_value = "human")]
        format: Shape,
    },
    /// Show every setting of one, with an example.
    Show {
        /// The plugin's name.
        name: String,
        /// How it is shown.
        #[arg(long, default_value = "human")]
        format: Shape,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Shape {
    /// For people.
    Human,
    /// For machines.
    Json,
    /// For a page.
    Markdown,
}

/// Run it.
pub fn run(args: &Args) -> ExitCode {
    let plugins = reference::all();
    if let Some(folder) = &args.write {
        return match write_pages(folder, &plugins) {
            Ok(()) => output::good(),
            Err(error) => output::cannot_write(folder, &error),
        };
    }
    if let Some(folder) = &args.check {
        let files = page::files(&plugins);
        let left_over = page::left_over(folder, &files);
        return generated::check(folder, &files, &left_over, "plugins");
    }
    match &args.action {
        None => list(&plugins, args.format),
        Some(Action::List { format }) => list(&plugins, *format),
        Some(Action::Show { name, format }) => show(&plugins, name, *format),
    }
}

fn write_pages(folder: &Path, plugins: &[Plugin]) -> std::io::Result<()> {
    let files = page::files(plugins);
    generated::write(folder, &files)?;
    page::left_over(folder, &files)
        .iter()
        .try_for_each(std::fs::remove_file)
}

fn list(plugins: &[Plugin], format: Shape) -> ExitCode {
    match format {
        Shape::Json => {
            let all: Vec<Value> = plugins.iter().map(Plugin::to_json).collect();
            output::print(&output::json(&json!(all)));
        }
        Shape::Markdown => output::print(&page::index(plugins)),
        Shape::Human => {
            let rows: Vec<Vec<String>> = plugins
                .iter()
                .map(|plugin| {
                    [plugin.name, plugin.kind, plugin.version, plugin.summary]
                        .map(str::to_owned)
                        .to_vec()
                })
                .collect();
            output::print(&output::table(&rows));
            output::print(&format!(
                "\n{} explains every setting.\n",
                typed("plugins show NAME")
            ));
        }
    }
    output::good()
}

fn show(plugins: &[Plugin], name: &str, format: Shape) -> ExitCode {
    // A source and a sink may have the same name.
    let found: Vec<&Plugin> = plugins.iter().filter(|it| it.name == name).collect();
    if found.is_empty() {
        let names = plugins.iter().map(|plugin| plugin.name);
        let hint = did_you_mean(name, names);
        let hint = if hint.is_empty() {
            format!("{} lists them all", typed("plugins"))
        } else {
            hint
        };
        return output::wrong_use(&format!("there is no plugin `{name}`; {hint}"));
    }
    let each = |text: fn(&Plugin) -> String| {
        let texts: Vec<String> = found.iter().map(|plugin| text(plugin)).collect();
        texts.join("\n")
    };
    output::print(&match format {
        Shape::Human => each(human),
        Shape::Markdown => each(page::page),
        Shape::Json => {
            let all: Vec<Value> = found.iter().map(|plugin| plugin.to_json()).collect();
            output::json(&json!(all))
        }
    });
    output::good()
}

fn human(plugin: &Plugin) -> String {
    let name = output::paint("1", plugin.name);
    let mut out = format!("{name} ({}) {}\n", plugin.kind, plugin.version);
    let _ = writeln!(out, "{}", plugin.summary);
    for fact in &plugin.facts {
        let _ = writeln!(out, "{fact}");
    }
    if !plugin.settings.is_empty() {
        let _ = writeln!(out, "\nSettings:");
    }
    for setting in &plugin.settings {
        let indent = "  ".repeat(setting.path.len());
        let last = setting.path.last().map_or("", String::as_str);
        let shown = output::paint("1", last);
        let _ = writeln!(out, "{indent}{shown} ({})", setting.notes().join(", "));
        for line in setting.description.lines() {
            let _ = writeln!(out, "{indent}    {line}");
        }
    }
    if let Some(example) = plugin.example_section() {
        let _ = write!(out, "\nExample:\n{example}");
    }
    out
}
