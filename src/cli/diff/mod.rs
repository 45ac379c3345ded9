//! `sluice diff`: what changes for recorded events between two versions of the mappings.

mod compare;
mod report;

use std::borrow::Cow;
use std::process::ExitCode;

use globset::{Glob, GlobSet, GlobSetBuilder};
use indicatif::{ProgressBar, ProgressStyle};
use sluice_sdk::EventPlaces;

use self::compare::Differences;
use super::events::Events;
use super::follow::{FollowArgs, Followed};
use super::mappings::{self, catalogues};
use super::output::{self, Shape};
use crate::diagnostics::{Files, Format, has_errors};
use crate::mapping::{Mapping, Options};

/// Run two versions of mappings over the same events and show what becomes different.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  sluice diff builtin:SET mappings                           with an example event of every type
  sluice diff old/mappings mappings --events recorded.ndjson
  sluice diff old/mappings mappings --events data            the journal of a sluice, also a running one
  sluice diff a b --events recorded/ --ignore timestamp --ignore 'context.*'

To compare with what is committed: `git worktree add /tmp/old main`, then `sluice diff
/tmp/old/mappings mappings --events ...`.

Exit code 0 when all documents are the same, 1 when something differs, 2 when it was used wrongly
or a mapping has errors.")]
pub struct Args {
    /// Mappings as they were: a file, a folder, a glob, or `builtin:SET`.
    #[arg(value_name = "OLD")]
    old: String,
    /// Mappings as they are now.
    #[arg(value_name = "NEW")]
    new: String,
    /// Events: a file (one JSON object a line, lists, bodies), a folder of such files, the data folder
    /// of a sluice, or `-`. Default: the catalogue's example event of every type.
    #[arg(long, value_name = "EVENTS")]
    events: Vec<String>,
    /// Places in documents that may differ: dotted, all below them too; `*` is any characters.
    #[arg(long, value_name = "PATH")]
    ignore: Vec<String>,
    /// Event types or globs to take, as `events.include` of a connector; types named exactly are opted
    /// in.
    #[arg(long, value_name = "TYPE")]
    include: Vec<String>,
    #[command(flatten)]
    follow: FollowArgs,
    /// How it is shown.
    #[arg(long, default_value = "human")]
    format: Shape,
}

/// Run it.
pub fn run(args: &Args) -> ExitCode {
    let (Some(old), Some(new)) = (load(&args.old, args), load(&args.new, args)) else {
        return ExitCode::from(2);
    };
    let ignored = match ignored(&args.ignore) {
        Ok(ignored) => ignored,
        Err(message) => return output::wrong_use(&message),
    };
    let followed = match args.follow.read(&mut Files::default()) {
        Ok(followed) => followed,
        Err(code) => return code,
    };
    let mut differences = Differences::new(&old, &new, ignored);
    if let Err(message) = compare_all(args, followed.as_ref(), &new, &mut differences) {
        return output::wrong_use(&message);
    }
    let text = match args.format {
        Shape::Human => report::human(&differences, &args.old, &args.new),
        Shape::Json => output::json(&report::machine(&differences)),
    };
    output::print(&text);
    if differences.is_same() {
        output::good()
    } else {
        output::problems()
    }
}

fn load(reference: &str, args: &Args) -> Option<Mapping> {
    let mut files = Files::default();
    let mut diagnostics = Vec::new();
    let options = Options {
        include: args.include.clone(),
        ..Options::default()
    };
    let references = [reference.to_owned()];
    let mapping = mappings::load(&references, None, options, &mut files, &mut diagnostics);
    if has_errors(&diagnostics) {
        output::tell(&format!("error: {reference} cannot be run:\n"));
        output::tell(&crate::diagnostics::render(
            &diagnostics,
            &files,
            Format::Human,
            false,
        ));
        return None;
    }
    mapping
}

/// Paths that may differ, each with all below it.
fn ignored(paths: &[String]) -> Result<GlobSet, String> {
    let mut set = GlobSetBuilder::new();
    for path in paths {
        let path = path.trim_start_matches("$.");
        for pattern in [path.to_owned(), format!("{path}.*")] {
            let glob = Glob::new(&pattern).map_err(|error| format!("--ignore {path}: {error}"))?;
            set.add(glob);
        }
    }
    set.build().map_err(|error| error.to_string())
}

fn compare_all(
    args: &Args,
    followed: Option<&Followed>,
    new: &Mapping,
    differences: &mut Differences<'_>,
) -> Result<(), String> {
    mappings::tell_unknown_types(&args.include, new.target().catalogue);
    if args.events.is_empty() {
        let catalogue = new.target().catalogue.or_else(|| catalogues().next());
        let Some(catalogue) = catalogue else {
            return Err("say which events: `--events FILE`".to_owned());
        };
        for event in &catalogue.events {
            let sample = event.sample();
            let id = EventPlaces::default().id_of(&sample).unwrap_or_default();
            differences.add((&event.name, &id), &sample.to_string());
        }
        return Ok(());
    }
    let places = followed.map_or_else(EventPlaces::default, Followed::read_as);
    let all: Vec<Events> = args
        .events
        .iter()
        .map(|one| Events::of(one))
        .collect::<Result<_, _>>()?;
    let bar = progress(all.iter().map(Events::bytes).sum());
    for events in &all {
        events.for_each(&mut |given| {
            let event = || Cow::Owned(serde_json::from_str(given.text).unwrap_or_default());
            let (event_type, id) = given.named(event, &places);
            differences.add((event_type.as_deref().unwrap_or_default(), &id), given.text);
            bar.inc(given.text.len() as u64 + 1);
            true
        })?;
    }
    bar.finish_and_clear();
    match differences.events {
        0 => Err(format!("{} holds no event", args.events.join(", "))),
        _ => Ok(()),
    }
}

/// On a terminal only.
fn progress(bytes: Option<u64>) -> ProgressBar {
    let (bar, template) = match bytes {
        Some(bytes) => (
            ProgressBar::new(bytes),
            "comparing  {bar:40} {bytes}/{total_bytes}  {eta} left",
        ),
        None => (ProgressBar::new_spinner(), "comparing  {bytes}"),
    };
    let style = ProgressStyle::with_template(template);
    bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}
