//! Texts that suggest commands of this program, in a program that has another name.

use sluice_sdk::program_name;

/// The name that texts of this code base have.
const WRITTEN: &str = "sluice ";

/// The text with this program's name in every command that it suggests.
pub fn here(text: &str) -> String {
    let commands = super::command();
    let names: Vec<&str> = commands
        .get_subcommands()
        .map(clap::Command::get_name)
        .collect();
    renamed(text, program_name(), &names)
}

/// The help of all commands, likewise.
pub fn help(command: clap::Command) -> clap::Command {
    let program = program_name();
    let command = command.name(program);
    if program == WRITTEN.trim_end() {
        return command;
    }
    let names: Vec<String> = command
        .get_subcommands()
        .map(|command| command.get_name().to_owned())
        .collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    below(command, &|text| renamed(text, program, &names))
}

fn below(command: clap::Command, rename: &dyn Fn(&str) -> String) -> clap::Command {
    let texts = [
        command.get_about(),
        command.get_long_about(),
        command.get_after_help(),
    ];
    let [about, long_about, after_help] =
        texts.map(|text| text.map(|text| rename(&text.to_string())));
    let mut command = command;
    if let Some(text) = about {
        command = command.about(text);
    }
    if let Some(text) = long_about {
        command = command.long_about(text);
    }
    if let Some(text) = after_help {
        command = command.after_help(text);
    }
    command
        .mut_args(|mut argument| {
            let texts = [argument.get_help(), argument.get_long_help()];
            let [help, long_help] = texts.map(|text| text.map(|text| rename(&text.to_string())));
            if let Some(text) = help {
                argument = argument.help(text);
            }
            if let Some(text) = long_help {
                argument = argument.long_help(text);
            }
            argument
        })
        .mut_subcommands(|command| below(command, rename))
}

/// `sluice WORD` becomes `PROGRAM WORD` where WORD is a command.
fn renamed(text: &str, program: &str, commands: &[&str]) -> String {
    let mut parts = text.split(WRITTEN);
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let end = part.find(|c: char| !c.is_ascii_alphanumeric() && c != '-');
        let word = &part[..end.unwrap_or(part.len())];
        if commands.contains(&word) {
            out.push_str(program);
            out.push(' ');
        } else {
            out.push_str(WRITTEN);
        }
        out.push_str(part);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::renamed;

    #[test]
    fn only_commands_are_renamed() {
        let text = "  sluice map - | jq\nnot in sluice.yaml: `sluice dead-letters list`, a sluice that runs";
        assert_eq!(
            renamed(text, "ours", &["map", "dead-letters"]),
            "  ours map - | jq\nnot in sluice.yaml: `ours dead-letters list`, a sluice that runs"
        );
    }
}
