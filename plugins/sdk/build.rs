//! Does nothing: `links` in Cargo.toml wants a build script to be there.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
}
