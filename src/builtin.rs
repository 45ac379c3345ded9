//! The one list of what is linked into the standard build: plugins, each behind a cargo feature, and
//! the mapping sets of the folder `mappings`.
//!
//! Without the `use … as _` a plugin's crate is left out by the linker and its names are unknown.

use include_dir::{Dir, include_dir};

#[cfg(feature = "braze")]
use sluice_braze as _;
#[cfg(feature = "segment")]
use sluice_segment as _;
#[cfg(feature = "standard")]
use sluice_standard as _;

/// Every folder in it is a set, reached as `builtin:FOLDER`.
pub static MAPPINGS: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/mappings");

/// The config that `sluice demo` runs when none is given.
pub const DEMO: &str = include_str!("../examples/demo.yaml");
