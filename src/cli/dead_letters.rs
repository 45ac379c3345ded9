//! `sluice dead-letters`: what could not be delivered, why, and what becomes of it now.

mod submit;

use std::io::{BufRead, IsTerminal};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Args, Subcommand};
use serde_json::json;

use sluice_sdk::typed;

use super::load_config;
use super::mappings::tell_unknown_types;
use super::output::{self, Shape};
use super::reach::{Admin, Reach};
use super::replay::{self, parse_time};
use crate::config::Config;
use crate::diagnostics::did_you_mean;
use crate::engine::dead_letters::{
    DeadLetter, DropOrder, Dropped, Filter, LetterSummary, Letters, Page, WholeLetter,
    owner_of_source,
};
use crate::engine::replay::{Answer, LettersOrder};
use crate::journal::DeadLetterKey;
use crate::wording::number;

/// Columns of the reason in a list.
const DETAIL_CHARS: usize = 100;
/// Letters asked for at a time.
const PAGE: u64 = 200;

/// List, show, export, replay or drop dead letters; asks the running process, or the data folder.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sluice dead-letters list --connector NAME --since 2d
  sluice dead-letters show NAME/17
  sluice dead-letters export --reason too-large > too-large.ndjson
  sluice dead-letters replay --connector NAME --dry-run   after a rule was mended
  sluice dead-letters drop --reason too-large --yes

What a source set aside was no event, so it cannot be replayed; mended, it can be sent once more:
  sluice dead-letters export --raw --connector source:NAME > mended.json
  sluice dead-letters submit mended.json

A replay sends the events through the connector's rules of now, under the same identities. What is
delivered or knowingly skipped leaves; what fails again stays, with the new reason.
Exit codes: 0 all is well, 1 some failed again or could not be replayed, or the letter to show is not
there, 2 wrong use, such as a connector that nobody knows. A list may be empty.")]
pub struct DeadLettersArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// One line a letter: its name, event type, event id, reason.
    List {
        #[command(flatten)]
        selection: Selection,
        /// human or json.
        #[arg(long, value_enum, default_value = "human")]
        format: Shape,
    },
    /// One letter, whole. It holds personal data: mind where it goes.
    Show {
        /// CONNECTOR/NUMBER, as `list` writes it.
        letter: DeadLetterKey,
        /// The config file.
        #[arg(short, long, default_value = "sluice.yaml", value_name = "FILE")]
        config: PathBuf,
    },
    /// All that fit, one JSON object a line. They hold personal data: mind where they go.
    Export {
        #[command(flatten)]
        selection: Selection,
        /// The event alone, as it came: to mend and `submit` it.
        #[arg(long)]
        raw: bool,
    },
    /// Send events that were mended to a running source, as its upstream would.
    Submit(submit::Submit),
    /// Send them through the connector's rules and sink once more.
    Replay {
        #[command(flatten)]
        selection: Selection,
        #[command(flatten)]
        how: replay::How,
    },
    /// Give them up for good; counted as dropped by their reasons.
    Drop {
        #[command(flatten)]
        selection: Selection,
        /// Do not ask.
        #[arg(short, long)]
        yes: bool,
        /// Say how many there are; drop nothing.
        #[arg(long)]
        dry_run: bool,
        /// human or json.
        #[arg(long, value_enum, default_value = "human")]
        format: Shape,
    },
}

#[derive(Debug, Args)]
struct Selection {
    /// The config file.
    #[arg(short, long, default_value = "sluice.yaml", value_name = "FILE")]
    config: PathBuf,
    /// Only of this connector; `source:NAME` is what a source set aside.
    #[arg(long)]
    connector: Option<String>,
    /// Only events of this type; `*` stands for any characters.
    #[arg(long = "type", value_name = "TYPE")]
    event_type: Option<String>,
    /// Only letters whose reason contains this.
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Only letters put here since then: 2026-05-31, 2026-05-31T12:00:00Z, or 2h for two hours ago.
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    since: Option<jiff::Timestamp>,
    /// Only letters put here before then.
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    until: Option<jiff::Timestamp>,
    /// Only this one: CONNECTOR/NUMBER, or the id of an event. May be given several times.
    #[arg(long, value_name = "ID")]
    id: Vec<String>,
    /// The first so many.
    #[arg(long, value_name = "N")]
    limit: Option<u64>,
}

impl Action {
    /// Which letters of which config, or the config alone.
    fn selected(&self) -> Result<&Selection, &PathBuf> {
        match self {
            Self::List { selection, .. }
            | Self::Export { selection, .. }
            | Self::Replay { selection, .. }
            | Self::Drop { selection, .. } => Ok(selection),
            Self::Show { config, .. } => Err(config),
            Self::Submit(args) => Err(&args.config),
        }
    }
}

impl Selection {
    fn filter(&self) -> Filter {
        Filter {
            connector: self.connector.clone(),
            event_type: self.event_type.clone(),
            reason: self.reason.clone(),
            since: self.since,
            until: self.until,
            id: self.id.clone(),
            limit: self.limit,
        }
    }
}

/// Run the command.
pub fn run(args: &DeadLettersArgs, colour: bool) -> ExitCode {
    let selected = args.action.selected();
    let config_path = match selected {
        Ok(selection) => {
            if let Err(problem) = selection.filter().matcher() {
                return output::wrong_use(&problem);
            }
            &selection.config
        }
        Err(config) => config,
    };
    let Some(config) = load_config(config_path, colour) else {
        return output::problems();
    };
    if let Ok(selection) = selected {
        match unknown_connector(&config, selection) {
            Ok(None) => {}
            Ok(Some(problem)) => return output::wrong_use(&problem),
            Err(problem) => {
                output::tell(&format!("error: {problem}\n"));
                return output::problems();
            }
        }
        tell_unknown_types(selection.event_type.as_slice(), config.catalogues());
    }
    let done = match &args.action {
        Action::List { selection, format } => list(&config, &selection.filter(), *format),
        Action::Show { letter, .. } => show(&config, letter),
        Action::Export { selection, raw } => export(&config, &selection.filter(), *raw),
        Action::Submit(args) => submit::run(args, &config, colour),
        Action::Replay { selection, how } => replay_letters(&config, selection, how, colour),
        Action::Drop {
            selection,
            yes,
            dry_run,
            format,
        } => drop_letters(&config, selection.filter(), *yes, *dry_run, *format),
    };
    done.unwrap_or_else(|problem| {
        output::tell(&format!("error: {problem}\n"));
        output::problems()
    })
}

/// What to say of a connector that the config does not have and no letter is of. One that is gone from
/// the config may have left some.
fn unknown_connector(config: &Config, selection: &Selection) -> Result<Option<String>, String> {
    let Some(name) = &selection.connector else {
        return Ok(None);
    };
    let sources = config.sources.keys().map(|source| owner_of_source(source));
    let known: Vec<String> = config.connectors.keys().cloned().chain(sources).collect();
    if known.contains(name) {
        return Ok(None);
    }
    let filter = Filter {
        connector: Some(name.clone()),
        limit: Some(1),
        ..Filter::default()
    };
    let mut has_letters = false;
    Desk::open(config)?.summaries(&filter, |_| {
        has_letters = true;
        false
    })?;
    let hint = match did_you_mean(name, known.iter().map(String::as_str)) {
        hint if hint.is_empty() => format!("there is `{}`", known.join("`, `")),
        hint => hint,
    };
    let problem = format!(
        "{} has no connector `{name}`, and no dead letter is of it: {hint}",
        selection.config.display()
    );
    Ok((!has_letters).then_some(problem))
}

/// Letters, wherever they are.
enum Desk {
    Running(Admin),
    Folder(Letters),
    Nothing,
}

impl Desk {
    fn open(config: &Config) -> Result<Self, String> {
        Ok(match Reach::find(config)? {
            Reach::Running(admin) => Self::Running(admin),
            Reach::Folder(journal) => Self::Folder(Letters::new(Arc::clone(journal.store()))),
            Reach::Nothing => Self::Nothing,
        })
    }

    fn for_each(
        &self,
        filter: &Filter,
        mut each: impl FnMut(&str, &DeadLetter) -> bool,
    ) -> Result<(), String> {
        match self {
            Self::Nothing => Ok(()),
            Self::Folder(letters) => letters
                .for_each(filter, None, |key, letter| each(&key.to_string(), &letter))
                .map_err(|problem| problem.to_string()),
            Self::Running(admin) => {
                pages::<WholeLetter>(admin, filter, true, |one| each(&one.letter, &one.whole))
            }
        }
    }

    fn summaries(
        &self,
        filter: &Filter,
        mut each: impl FnMut(LetterSummary) -> bool,
    ) -> Result<(), String> {
        match self {
            Self::Nothing => Ok(()),
            Self::Folder(letters) => letters
                .for_each(filter, None, |key, letter| {
                    each(LetterSummary::of(key, &letter))
                })
                .map_err(|problem| problem.to_string()),
            Self::Running(admin) => pages(admin, filter, false, each),
        }
    }

    fn drop_all(&self, order: &DropOrder) -> Result<Dropped, String> {
        match self {
            Self::Nothing => Ok(Dropped::default()),
            Self::Folder(letters) => letters
                .drop_all(order)
                .map_err(|problem| problem.to_string()),
            Self::Running(admin) => {
                let body = serde_json::to_value(order).map_err(|problem| problem.to_string())?;
                admin.json("POST", "/dead-letters/drop", Some(&body))
            }
        }
    }
}

/// All pages of the admin API, letter by letter.
fn pages<T: serde::de::DeserializeOwned>(
    admin: &Admin,
    filter: &Filter,
    whole: bool,
    mut each: impl FnMut(T) -> bool,
) -> Result<(), String> {
    let mut left = filter.limit.unwrap_or(u64::MAX);
    let mut after: Option<String> = None;
    while left > 0 {
        let path = list_path(filter, whole, left.min(PAGE), after.as_deref());
        let page: Page<T> = admin.json("GET", &path, None)?;
        for letter in page.letters {
            left = left.saturating_sub(1);
            if !each(letter) {
                return Ok(());
            }
        }
        match page.next {
            Some(next) => after = Some(next),
            None => return Ok(()),
        }
    }
    Ok(())
}

fn list_path(filter: &Filter, whole: bool, limit: u64, after: Option<&str>) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    let ids = (!filter.id.is_empty()).then(|| filter.id.join(","));
    let pairs = [
        ("connector", filter.connector.clone()),
        ("type", filter.event_type.clone()),
        ("reason", filter.reason.clone()),
        ("since", filter.since.map(|since| since.to_string())),
        ("until", filter.until.map(|until| until.to_string())),
        ("id", ids),
        ("limit", Some(limit.to_string())),
        ("after", after.map(str::to_owned)),
        ("whole", whole.then(|| "true".to_owned())),
    ];
    for (name, value) in pairs {
        if let Some(value) = value {
            query.append_pair(name, &value);
        }
    }
    format!("/dead-letters?{}", query.finish())
}

fn list(config: &Config, filter: &Filter, format: Shape) -> Result<ExitCode, String> {
    let letters = Desk::open(config)?;
    let mut found = Vec::new();
    let mut count = 0;
    letters.summaries(filter, |letter| {
        count += 1;
        if format == Shape::Json {
            found.push(letter);
            return true;
        }
        let detail: String = letter.detail.chars().take(DETAIL_CHARS).collect();
        output::write(&format!(
            "{}  {}  {}  {}: {detail}\n",
            letter.letter, letter.event_type, letter.event_id, letter.reason
        ))
    })?;
    match format {
        Shape::Json => output::print(&output::json(&json!({"letters": found}))),
        Shape::Human => output::tell(&format!("{}\n", number(count, "dead letter"))),
    }
    Ok(output::good())
}

fn export(config: &Config, filter: &Filter, raw: bool) -> Result<ExitCode, String> {
    Desk::open(config)?.for_each(filter, |name, letter| {
        if raw {
            return output::write(&format!("{}\n", letter.event));
        }
        let whole = WholeLetter {
            letter: name.to_owned(),
            whole: letter.clone(),
        };
        let text = serde_json::to_string(&whole).unwrap_or_default();
        output::write(&format!("{text}\n"))
    })?;
    Ok(output::good())
}

fn show(config: &Config, key: &DeadLetterKey) -> Result<ExitCode, String> {
    let filter = Filter {
        connector: Some(key.connector.clone()),
        id: vec![key.to_string()],
        limit: Some(1),
        ..Filter::default()
    };
    let mut is_there = false;
    Desk::open(config)?.for_each(&filter, |_, letter| {
        is_there = true;
        let text = serde_json::to_string_pretty(letter).unwrap_or_default();
        output::write(&format!("{text}\n"))
    })?;
    if is_there {
        return Ok(output::good());
    }
    Err(format!(
        "there is no dead letter `{key}`; {} has them all",
        typed("dead-letters list")
    ))
}

fn replay_letters(
    config: &Config,
    selection: &Selection,
    how: &replay::How,
    colour: bool,
) -> Result<ExitCode, String> {
    let order = LettersOrder {
        filter: selection.filter(),
        rate: how.rate,
        dry_run: how.dry_run,
    };
    let stage = replay::Stage::open(config, &selection.config, colour)?;
    let body = serde_json::to_value(&order).map_err(|problem| problem.to_string())?;
    let answer: Answer = stage.ask("/dead-letters/replay", &body, |replays| {
        replays.replay_letters(order)
    })?;
    if answer.replays.is_empty() && answer.dry_runs.is_empty() && answer.not_replayed.is_empty() {
        output::tell(&format!(
            "no dead letter fits; {} has them all\n",
            typed("dead-letters list")
        ));
    }
    stage.follow(answer, how)
}

fn drop_letters(
    config: &Config,
    filter: Filter,
    yes: bool,
    dry_run: bool,
    format: Shape,
) -> Result<ExitCode, String> {
    let letters = Desk::open(config)?;
    let would = letters.drop_all(&DropOrder {
        filter: filter.clone(),
        dry_run: true,
    })?;
    if dry_run || would.count == 0 {
        show_dropped(&would, format);
        return Ok(output::good());
    }
    if !yes {
        show_dropped(&would, Shape::Human);
        if !is_confirmed() {
            return Ok(output::wrong_use(
                "nothing was dropped; say --yes to drop them for good",
            ));
        }
    }
    let dropped = letters.drop_all(&DropOrder {
        filter,
        dry_run: false,
    })?;
    show_dropped(&dropped, format);
    Ok(output::good())
}

fn is_confirmed() -> bool {
    let input = std::io::stdin();
    if !input.is_terminal() {
        return false;
    }
    output::tell("They cannot be had back. Drop them? Type yes: ");
    let mut line = String::new();
    input.lock().read_line(&mut line).is_ok() && line.trim() == "yes"
}

fn show_dropped(dropped: &Dropped, format: Shape) {
    if format == Shape::Json {
        output::print(&output::json(&json!(dropped)));
        return;
    }
    for (connector, reasons) in &dropped.by_reason {
        for (reason, count) in reasons {
            output::print(&format!("{connector}: {count} {reason}\n"));
        }
    }
    let what = match dropped.dry_run {
        true => "would be dropped",
        false => "dropped",
    };
    output::tell(&format!(
        "{} {what}\n",
        number(dropped.count, "dead letter")
    ));
}
