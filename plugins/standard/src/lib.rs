//! The plain ways in and out: files, standard input and output, HTTP, and made-up events.
//!
//! | name | kind | what it is for |
//! | --- | --- | --- |
//! | `generate` | source | events made from a catalogue: load, tries, demonstrations |
//! | `stdin`, `file` | sources | one JSON event a line |
//! | `stdout`, `file` | sinks | one JSON document a line |
//! | `http` | sink | POST to any address |

mod generate;
mod http;
mod lines;
mod write;

pub use generate::{Generate, GenerateConfig};
pub use http::{Http, HttpConfig};
pub use lines::{FileSource, FileSourceConfig, Stdin, StdinConfig};
pub use write::{FileSink, FileSinkConfig, Stdout, StdoutConfig};
