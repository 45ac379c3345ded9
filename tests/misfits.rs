//! Plugins that do not go together must stop a program before it does anything. This test is such a
//! program: started by itself it runs the checks, and for them it starts itself as the program.

use std::process::{Command, ExitCode};

use sluice as _;

/// The argument before those of the program.
const AS_PROGRAM: &str = "as-program";

mod second_stdout {
    use sluice_sdk::{Batch, ConfigError, Delivery, JsonSchema, Limits, Outcome, Sink};

    /// Nothing to set.
    #[derive(Debug, serde::Deserialize, JsonSchema)]
    #[serde(deny_unknown_fields)]
    pub struct Settings {}

    pub struct Nowhere;

    impl Nowhere {
        #[expect(clippy::unnecessary_wraps, reason = "what the register macro takes")]
        pub fn new(_: Settings) -> Result<Self, ConfigError> {
            Ok(Self)
        }
    }

    impl Sink for Nowhere {
        fn limits(&self) -> Limits {
            Limits::default()
        }

        async fn deliver(&self, _: &Batch) -> Delivery {
            Delivery::All(Outcome::Delivered)
        }
    }

    sluice_sdk::register_sink!("stdout", Settings => Nowhere::new,
        summary: "A second one of this name.", example: "{}");
}

sluice_sdk::register_mappings!("braze_to_segment",
    summary: "Another one of this name.", files: Vec::new);
sluice_sdk::register_demo!("braze_to_segment",
    summary: "Another one of this name.", config: "");

mod second_run {
    use std::ffi::OsString;
    use std::process::ExitCode;

    fn run(_: Vec<OsString>) -> ExitCode {
        ExitCode::SUCCESS
    }

    sluice_sdk::register_command!("run", "Has the name of the program's own.", run);
}

fn main() -> ExitCode {
    if std::env::args().any(|argument| argument == AS_PROGRAM) {
        return sluice::main();
    }
    two_of_a_name_stop_every_command_with_a_message_that_names_both();
    ExitCode::SUCCESS
}

fn two_of_a_name_stop_every_command_with_a_message_that_names_both() {
    let program = std::env::current_exe().expect("this program has a path");
    for command in ["run", "plugins", "validate", "--help"] {
        let answer = Command::new(&program)
            .args([AS_PROGRAM, command])
            .output()
            .expect("the program starts");
        let said = String::from_utf8_lossy(&answer.stderr);
        assert_eq!(answer.status.code(), Some(1), "{command}: {said}");
        assert!(answer.stdout.is_empty(), "{command} said more");
        let version = env!("CARGO_PKG_VERSION");
        let twice = "error: the sink `stdout` is registered twice, by ";
        assert!(said.contains(twice), "{command}: {said}");
        for package in ["sluice", "sluice-standard"] {
            assert!(said.contains(&format!("by {package} {version}")), "{said}");
        }
        for twice in ["mapping set", "demo"] {
            let twice = format!("error: the {twice} `braze_to_segment` is registered twice, by ");
            assert!(said.contains(&twice), "{command}: {said}");
        }
        let hidden = format!("error: the command `run` of sluice {version} has the name of");
        assert!(said.contains(&hidden), "{command}: {said}");
    }
}
