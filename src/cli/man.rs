//! `sluice man`: manual pages, made from the same texts as `--help`.

use std::path::PathBuf;
use std::process::ExitCode;

use super::output;

/// Print the manual page, or write one for every command.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  sluice man | man -l -
  sluice man --write /usr/local/share/man/man1")]
pub struct Args {
    /// Write a page for every command into this folder.
    #[arg(long, value_name = "DIR")]
    write: Option<PathBuf>,
}

/// Run it.
pub fn run(args: &Args) -> ExitCode {
    if let Some(folder) = &args.write {
        let written = std::fs::create_dir_all(folder)
            .and_then(|()| clap_mangen::generate_to(super::command(), folder));
        return match written {
            Ok(()) => output::good(),
            Err(error) => output::cannot_write(folder, &error),
        };
    }
    let mut page = Vec::new();
    match clap_mangen::Man::new(super::command()).render(&mut page) {
        Ok(()) => {
            output::print(&String::from_utf8_lossy(&page));
            output::good()
        }
        Err(error) => {
            output::tell(&format!("error: no manual page: {error}\n"));
            output::problems()
        }
    }
}
