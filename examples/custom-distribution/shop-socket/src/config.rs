//! Settings of the source.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

/// Where the shop finds us.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ShopSocketConfig {
    /// The socket. Made at the start, removed at the end; one that a crash has left is taken over.
    #[schemars(example = "/run/shop/events.sock")]
    pub path: PathBuf,
    /// Longest line in bytes. Default 65536. A longer one ends its connection without an answer.
    #[serde(default = "line_default")]
    #[schemars(range(min = 1024, max = 16_777_216))]
    pub line_bytes_max: usize,
}

fn line_default() -> usize {
    64 << 10
}
