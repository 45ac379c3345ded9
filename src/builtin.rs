//! The one list of what is linked into the standard build: plugins, each behind a cargo feature, and
//! the mapping sets of the folder `mappings`, registered as a plugin registers its own.
//!
//! Without the `use … as _` a plugin's crate is left out by the linker and its names are unknown.

#[cfg(feature = "braze")]
use sluice_braze as _;
#[cfg(feature = "segment")]
use sluice_segment as _;
#[cfg(feature = "standard")]
use sluice_standard as _;

#[cfg(all(feature = "braze", feature = "segment"))]
mod braze_to_segment {
    use include_dir::{Dir, DirEntry, include_dir};

    static FOLDER: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/mappings/braze_to_segment");

    /// With those in the folders below.
    fn files(folder: &'static Dir<'static>) -> Vec<(&'static str, &'static str)> {
        let of_entry = |entry: &'static DirEntry<'static>| match entry {
            DirEntry::Dir(folder) => files(folder),
            DirEntry::File(file) => {
                let path = file.path().to_str();
                path.zip(file.contents_utf8()).into_iter().collect()
            }
        };
        folder.entries().iter().flat_map(of_entry).collect()
    }

    sluice_sdk::register_mappings!("braze_to_segment",
        summary: "Braze Currents to Segment, in the shape of Braze's own connector.",
        files: || files(&FOLDER));

    sluice_sdk::register_demo!("braze_to_segment",
        summary: "Synthetic Currents events of every type to a local Segment.",
        config: include_str!("../examples/demo.yaml"));
}
