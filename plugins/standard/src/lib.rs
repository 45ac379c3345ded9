//! The plain ways in and out: files, standard input and output, HTTP, and events made up.
//!
//! | file | what it is |
//! | --- | --- |
//! | `generate` | source: made-up events of a catalogue |
//! | `stdin`, `file_source/` | sources: one JSON event a line |
//! | `stdout`, `file_sink/` | sinks: one JSON document a line |
//! | `http_sink`, `http_config` | sink: documents to any address |
//! | `http_source`, `http_feed` | source: JSON that another system posts |
//! | `place` | where an event says its id, type and time (pure) |
//! | `lines` | groups of lines, handed over together |
//! | `stand_in`, `http_double` | the other sides, for tests |

#![deny(missing_docs)]

mod file_sink;
mod file_source;
mod generate;
mod http_config;
mod http_double;
mod http_feed;
mod http_sink;
mod http_source;
mod lines;
mod place;
mod stand_in;
mod stdin;
mod stdout;

pub use file_sink::{FileSink, FileSinkConfig, Rotate};
pub use file_source::{FileSource, FileSourceConfig};
pub use generate::{Generate, GenerateConfig};
pub use http_config::{AnswersConfig, Format, HttpConfig, Method, Status, Tls};
pub use http_sink::Http;
pub use http_source::{HttpSource, HttpSourceConfig, SignatureConfig, SignatureEncoding};
pub use place::Place;
pub use stdin::{Stdin, StdinConfig};
pub use stdout::{Stdout, StdoutConfig};
