//! docs/writing-a-plugin.md, executed: its files are written into an empty folder, its commands are
//! run in one shell, and what it shows must come. Its excerpts must stand in this example.
//!
//! Two liberties: `../sluice` is this checkout, and the versions of crates are those of this
//! example's Cargo.lock, so that nothing is built twice.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

/// Printed by the shell after each command, with its exit code.
const DONE: &str = "--- done ---";
/// What is built is built with the profile of the checkout, and into its target folder.
const PROFILE: &str = "[profile.dev]\ndebug = \"line-tables-only\"\n\
    [profile.dev.package.\"*\"]\nopt-level = 1\ndebug = false\n";

struct Block {
    line: usize,
    info: String,
    text: String,
}

impl Block {
    /// The value of `NAME=` behind the language.
    fn tag(&self, name: &str) -> Option<&str> {
        let mut words = self.info.split(' ').skip(1);
        words.find_map(|word| word.strip_prefix(name)?.strip_prefix('='))
    }
}

fn here() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn checkout() -> PathBuf {
    here().join("../..").canonicalize().expect("a checkout")
}

fn blocks() -> Vec<Block> {
    let page = fs::read_to_string(checkout().join("docs/writing-a-plugin.md")).expect("a page");
    let mut found = Vec::new();
    let mut open: Option<Block> = None;
    for (at, line) in page.lines().enumerate() {
        match (&mut open, line.strip_prefix("```")) {
            (None, Some(info)) => {
                let (line, info, text) = (at + 1, info.to_owned(), String::new());
                open = Some(Block { line, info, text });
            }
            (None, None) => {}
            (Some(_), Some(_)) => found.extend(open.take()),
            (Some(block), None) => {
                block.text.push_str(line);
                block.text.push('\n');
            }
        }
    }
    found
}

/// A shell that goes on from command to command, as a person's does.
struct Shell {
    child: Child,
    output: BufReader<ChildStdout>,
}

impl Shell {
    fn start(folder: &Path) -> Self {
        let program = Path::new(env!("CARGO_BIN_EXE_our-sluice"));
        let target = program.ancestors().nth(2).expect("a target folder");
        let mut child = Command::new("bash")
            .current_dir(folder)
            .env("CARGO_TARGET_DIR", target)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("bash starts");
        let output = BufReader::new(child.stdout.take().expect("a pipe"));
        Self { child, output }
    }

    /// Output of both kinds, and the exit code.
    fn run(&mut self, command: &str) -> (Vec<String>, i32) {
        let stdin = self.child.stdin.as_mut().expect("a pipe");
        let ends = if command.ends_with('&') { "" } else { " 2>&1" };
        writeln!(stdin, "{command}{ends}\necho \"{DONE}$?\"").expect("the shell listens");
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            let count = self.output.read_line(&mut line).expect("text");
            assert!(count > 0, "the shell ended at `{command}`: {lines:?}");
            if let Some(code) = line.trim_end().strip_prefix(DONE) {
                return (lines, code.parse().expect("a code"));
            }
            lines.push(line.trim_end().to_owned());
        }
    }
}

impl Drop for Shell {
    /// What still runs in the background ends with it.
    fn drop(&mut self) {
        if let Some(stdin) = self.child.stdin.as_mut() {
            let _ = writeln!(stdin, "kill $(jobs -p) 2>&-\nexit");
        }
        let _ = self.child.wait();
    }
}

/// A line of `…` stands for any lines, a `…` in a line for any text.
fn fits(shown: &[String], came: &[String]) -> bool {
    match shown {
        [] => came.is_empty(),
        [first, rest @ ..] if first == "…" => {
            (0..=came.len()).any(|skipped| fits(rest, &came[skipped..]))
        }
        [first, rest @ ..] => came
            .split_first()
            .is_some_and(|(line, others)| line_fits(first, line) && fits(rest, others)),
    }
}

fn line_fits(shown: &str, came: &str) -> bool {
    let mut left = came;
    let parts: Vec<&str> = shown.split('…').collect();
    for (at, part) in parts.iter().enumerate() {
        let found = if at == 0 {
            left.starts_with(part).then_some(0)
        } else if at + 1 == parts.len() {
            left.ends_with(part).then(|| left.len() - part.len())
        } else {
            left.find(part)
        };
        match found {
            Some(start) => left = &left[start + part.len()..],
            None => return false,
        }
    }
    left.is_empty() || shown.ends_with('…')
}

/// The commands of a block, each with what is shown below it.
fn steps(text: &str) -> Vec<(String, Vec<String>)> {
    let mut steps: Vec<(String, Vec<String>)> = Vec::new();
    for line in text.lines() {
        match (line.strip_prefix("$ "), steps.last_mut()) {
            (Some(command), _) => steps.push((command.to_owned(), Vec::new())),
            (None, Some((_, shown))) => shown.push(line.to_owned()),
            (None, None) => panic!("`{line}` stands before any command"),
        }
    }
    steps
}

#[test]
fn the_tutorial_does_what_it_says() {
    let outside = tempfile::tempdir().expect("a folder");
    let folder = outside.path().join("my-sluice");
    fs::create_dir_all(outside.path().join(".cargo")).expect("writable");
    fs::create_dir_all(&folder).expect("writable");
    fs::write(outside.path().join(".cargo/config.toml"), PROFILE).expect("writable");
    fs::copy(here().join("Cargo.lock"), folder.join("Cargo.lock")).expect("writable");

    let sluice = checkout().display().to_string();
    let mut shell = Shell::start(&folder);
    let (mut files, mut commands) = (0, 0);
    for block in blocks() {
        let text = block.text.replace("../sluice", &sluice);
        if let Some(file) = block.tag("file") {
            fs::write(folder.join(file), text).expect("the folder was made by a step before");
            files += 1;
        } else if block.info.starts_with("console") {
            let steps = steps(&text);
            let last = steps.len() - 1;
            for (at, (command, shown)) in steps.into_iter().enumerate() {
                let (came, code) = shell.run(&command);
                let wanted = block.tag("exit").filter(|_| at == last).unwrap_or("0");
                let place = format!("docs/writing-a-plugin.md:{}: `{command}`", block.line);
                assert_eq!(code.to_string(), wanted, "{place}:\n{}", came.join("\n"));
                assert!(
                    fits(&shown, &came),
                    "{place} shows\n{}\n\nand this came:\n{}",
                    shown.join("\n"),
                    came.join("\n")
                );
                commands += 1;
            }
        }
    }
    assert!(
        files >= 8 && commands >= 14,
        "{files} files, {commands} commands"
    );
}

#[test]
fn the_excerpts_of_the_page_stand_in_this_example() {
    let mut count = 0;
    for block in blocks() {
        let Some(file) = block.tag("excerpt") else {
            continue;
        };
        let text = fs::read_to_string(here().join(file)).expect("a file of the example");
        assert!(
            text.contains(&block.text),
            "docs/writing-a-plugin.md:{}: this is not in {file}:\n{}",
            block.line,
            block.text
        );
        count += 1;
    }
    assert!(count >= 6, "only {count} excerpts");
}

#[test]
fn what_is_shown_is_compared_with_what_comes() {
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    let cases = [
        ("a\nb", "a\nb", true),
        ("a", "a\nb", false),
        ("a\n…", "a\nb\nc", true),
        ("…\nb\n…", "a\nb\nc", true),
        ("…\nd\n…", "a\nb\nc", false),
        ("a …c", "a bc", true),
        ("a …d", "a bc", false),
        ("…b…", "abc", true),
    ];
    for (shown, came, expected) in cases {
        assert_eq!(
            fits(&lines(shown), &lines(came)),
            expected,
            "{shown:?} and {came:?}"
        );
    }
}
