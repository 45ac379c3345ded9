//! Events that a command is given: a file, a folder of files, a data folder, or standard input.
//!
//! Read as a stream: what is held is one event, or one request body.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use serde_json::Value;
use serde_json::value::RawValue;
use sluice_sdk::{EventPlaces, typed};

use crate::diagnostics::{FileKind, Files, parse_yaml, read_text};
use crate::journal::{for_each_recorded, is_data_folder, recorded_bytes};

/// Where events come from.
pub enum Events {
    /// `-`
    Stdin,
    /// JSON objects one after the other, lists of them, or `{"events": […]}`.
    Files(Vec<PathBuf>),
    /// What a sluice has in its journal.
    Journal(PathBuf),
}

/// One event.
pub struct Given<'a> {
    /// The JSON text.
    pub text: &'a str,
    /// Where it was found, for messages.
    pub place: &'a str,
    /// The type and the id that its source found, if a source took it.
    named: Option<(&'a str, &'a str)>,
}

impl Given<'_> {
    /// Its type and its id: as the source found them, or where `places` says that they stand in the
    /// `event`, which is asked for only then. The type is `None` and the id empty where it says none.
    pub fn named<'v>(
        &self,
        event: impl FnOnce() -> Cow<'v, Value>,
        places: &EventPlaces,
    ) -> (Option<String>, String) {
        if let Some((event_type, id)) = self.named {
            return (Some(event_type.to_owned()), id.to_owned());
        }
        let event = event();
        let id = places.id_of(&event).unwrap_or_default();
        (places.type_of(&event), id)
    }
}

impl Events {
    /// What an argument means.
    ///
    /// # Errors
    /// A sentence, when nothing is there.
    pub fn of(argument: &str) -> Result<Self, String> {
        let path = Path::new(argument);
        if argument == "-" {
            return Ok(Self::Stdin);
        }
        if is_data_folder(path) {
            return Ok(Self::Journal(path.to_owned()));
        }
        if !path.is_dir() {
            return match path.metadata() {
                Ok(_) => match other_than_events(path) {
                    Some(what) => Err(what),
                    None => Ok(Self::Files(vec![path.to_owned()])),
                },
                Err(error) => Err(format!("{argument} cannot be read: {error}")),
            };
        }
        let files = event_files(path);
        if files.is_empty() {
            return Err(format!(
                "{argument} is neither a data folder nor does it hold files of events \
                 (*.ndjson, *.jsonl, *.json)"
            ));
        }
        Ok(Self::Files(files))
    }

    /// Bytes to read, as far as that is known; for a progress bar.
    pub fn bytes(&self) -> Option<u64> {
        match self {
            Self::Stdin => None,
            Self::Files(files) => files
                .iter()
                .map(|path| path.metadata().ok().map(|about| about.len()))
                .sum(),
            Self::Journal(folder) => Some(recorded_bytes(folder)),
        }
    }

    /// Give each event to `each`, until it says false.
    ///
    /// # Errors
    /// A sentence, when something cannot be read or is not JSON.
    pub fn for_each(&self, each: &mut dyn FnMut(Given<'_>) -> bool) -> Result<(), String> {
        match self {
            Self::Stdin => stream("stdin", io::stdin().lock(), each).map(drop),
            Self::Files(files) => {
                for path in files {
                    let name = path.display().to_string();
                    let file = File::open(path)
                        .map_err(|error| format!("{name} cannot be read: {error}"))?;
                    if !stream(&name, file, each)? {
                        break;
                    }
                }
                Ok(())
            }
            Self::Journal(folder) => journal(folder, each),
        }
    }
}

fn journal(folder: &Path, each: &mut dyn FnMut(Given<'_>) -> bool) -> Result<(), String> {
    let damaged = for_each_recorded(folder, &mut |event| {
        let place = format!("{} {}", event.source, event.sequence);
        // What is no text is no JSON, which whoever maps it says.
        let text = String::from_utf8_lossy(&event.bytes);
        each(Given {
            text: &text,
            place: &place,
            named: Some((event.event_type, event.id)),
        })
    })
    .map_err(|error| error.to_string())?;
    if damaged > 0 {
        super::output::tell(&format!(
            "warning: {damaged} damaged parts of the journal were passed over\n"
        ));
    }
    Ok(())
}

/// What a YAML file is, and how it is named, where events are wanted: a sentence.
fn other_than_events(path: &Path) -> Option<String> {
    let end = path.extension()?;
    if end != "yaml" && end != "yml" {
        return None;
    }
    let name = path.display();
    let (what, way_out) = match file_kind(path) {
        Some(kind @ FileKind::Config) => (
            kind.called(),
            format!("`--config {name}` has the command follow it"),
        ),
        Some(kind @ FileKind::Mapping) => {
            let way = typed(&format!("map --mappings {name} --sample TYPE"));
            (
                kind.called(),
                format!("{way} tries its rules on an example"),
            )
        }
        Some(kind @ FileKind::Tests) => {
            let way = format!("{} runs it", typed(&format!("test {name}")));
            (kind.called(), way)
        }
        None => ("YAML", "name a file with JSON objects in it".to_owned()),
    };
    Some(format!(
        "{name} is {what}, and events are wanted here; {way_out}"
    ))
}

/// What a file is, as far as its keys say it.
pub fn file_kind(path: &Path) -> Option<FileKind> {
    let mut files = Files::default();
    let file = files.add("", None, read_text(path).ok()?);
    FileKind::of(&parse_yaml(file, &files).ok()?)
}

/// Files of events in a folder and below, by name.
fn event_files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() && !path.is_symlink() {
                folders.push(path);
            } else if path
                .extension()
                .is_some_and(|end| end == "ndjson" || end == "jsonl" || end == "json")
            {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// False when nobody wants more.
fn stream(
    name: &str,
    reader: impl Read,
    each: &mut dyn FnMut(Given<'_>) -> bool,
) -> Result<bool, String> {
    let values = serde_json::Deserializer::from_reader(BufReader::with_capacity(1 << 16, reader))
        .into_iter::<Box<RawValue>>();
    let mut number = 0_u64;
    for value in values {
        let value = value.map_err(|error| format!("{name} is not JSON: {error}"))?;
        for text in events_in(value.get()) {
            number += 1;
            let place = format!("{name}, event {number}");
            let wants_more = each(Given {
                text,
                place: &place,
                named: None,
            });
            if !wants_more {
                return Ok(false);
            }
        }
    }
    Ok(true)
}

/// A value as events: itself, the items of a list, or those of a member `events`.
fn events_in(text: &str) -> Vec<&str> {
    #[derive(serde::Deserialize)]
    struct Body<'a> {
        #[serde(borrow)]
        events: Vec<&'a RawValue>,
        event_type: Option<serde::de::IgnoredAny>,
    }
    let list: Option<Vec<&RawValue>> = match text.as_bytes().first() {
        Some(b'[') => serde_json::from_str(text).ok(),
        // An event may have a list of that name as well.
        Some(b'{') if text.contains("\"events\"") => serde_json::from_str::<Body<'_>>(text)
            .ok()
            .filter(|body| body.event_type.is_none())
            .map(|body| body.events),
        _ => None,
    };
    match list {
        Some(list) => list.into_iter().map(RawValue::get).collect(),
        None => vec![text],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<String> {
        let mut found = Vec::new();
        stream("text", text.as_bytes(), &mut |given| {
            found.push(given.text.to_owned());
            true
        })
        .expect("JSON");
        found
    }

    #[test]
    fn events_come_as_lines_lists_and_bodies() {
        let all = ["{\"a\":1}", "{\"b\":2}"];
        assert_eq!(read("{\"a\":1}\n{\"b\":2}\n"), all);
        assert_eq!(read("[{\"a\":1}, {\"b\":2}]"), all);
        assert_eq!(read("{\"x\":0,\"events\":[{\"a\":1},\n{\"b\":2}]}"), all);
        assert_eq!(
            read("{\"event_type\":\"t\",\"events\":[1]}"),
            ["{\"event_type\":\"t\",\"events\":[1]}"]
        );
        assert_eq!(read(""), Vec::<String>::new());
    }

    #[test]
    fn what_is_no_json_is_said_with_its_line() {
        let problem = stream("a.ndjson", "{}\n{]".as_bytes(), &mut |_| true).expect_err("no JSON");
        assert!(
            problem.starts_with("a.ndjson is not JSON: ") && problem.contains("line 2"),
            "{problem}"
        );
    }
}
