//! `sluice run` where it cannot start: one clear sentence, exit code 1, nothing harmed.

mod support;

use std::path::Path;
use std::process::{Command, Output};

use support::{Sluice, double, write_config};

fn run(config: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_sluice"))
        .args(["run", "--config"])
        .arg(config)
        .env_remove("SLUICE_TEST_NOT_SET")
        .output()
        .expect("the program starts")
}

/// What it said, after a look at the exit code.
fn refusal(config: &Path) -> String {
    let output = run(config);
    assert_eq!(output.status.code(), Some(1));
    String::from_utf8_lossy(&output.stderr).into_owned()
}

async fn config(folder: &Path, change: impl Fn(String) -> String) -> std::path::PathBuf {
    let path = write_config(folder, &*double().await);
    let text = std::fs::read_to_string(&path).expect("just written");
    std::fs::write(&path, change(text)).expect("a writable folder");
    path
}

#[tokio::test]
async fn a_port_in_use_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("bound").to_string();
    let folder = tempfile::tempdir().expect("a folder");
    let path = config(folder.path(), |text| text.replace("127.0.0.1:0", &address)).await;
    let said = refusal(&path);
    assert!(
        said.contains(&address) && said.contains("source `braze`"),
        "{said}"
    );
    assert!(said.contains("set `listen` to another port"), "{said}");
}

#[tokio::test]
async fn a_data_folder_that_another_process_holds_is_left_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = config(folder.path(), |text| text).await;
    let first = Sluice::start(&path);
    let said = refusal(&path);
    assert!(said.contains("in use by another process (pid "), "{said}");
    assert_eq!(first.stop(), Some(0), "the first one went on");
}

#[tokio::test]
async fn a_data_folder_of_a_newer_version_is_refused_untouched() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = config(folder.path(), |text| text).await;
    assert_eq!(Sluice::start(&path).stop(), Some(0));
    let format = folder.path().join("data/FORMAT");
    let newer = std::fs::read_to_string(&format)
        .expect("written")
        .replacen('1', "99", 1);
    std::fs::write(&format, &newer).expect("writable");
    let said = refusal(&path);
    assert!(
        said.contains("has format 99") && said.contains("use a newer sluice"),
        "{said}"
    );
    assert_eq!(
        std::fs::read_to_string(&format).expect("still there"),
        newer
    );
}

#[tokio::test]
async fn a_file_in_the_place_of_the_data_folder_is_told_with_the_setting_to_change() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = config(folder.path(), |text| text).await;
    std::fs::write(folder.path().join("data"), "mine").expect("a writable folder");
    let said = refusal(&path);
    assert!(
        said.contains("a file is where a folder should be"),
        "{said}"
    );
    assert!(said.contains("`journal: { path: … }`"), "{said}");
    let kept = std::fs::read_to_string(folder.path().join("data"));
    assert_eq!(kept.expect("it is left alone"), "mine");
}

#[tokio::test]
async fn a_missing_variable_is_named_with_the_line_that_uses_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = config(folder.path(), |text| {
        text.replace("token: test-token", "token: \"${SLUICE_TEST_NOT_SET}\"")
    })
    .await;
    let said = refusal(&path);
    assert!(
        said.contains("sluice.yaml:3:") && said.contains("error[missing-variable]"),
        "{said}"
    );
    assert!(said.contains("SLUICE_TEST_NOT_SET"), "{said}");
}

/// The events of a connector that starts with `start: now` count from its first start on, not from
/// the one after a restart.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connector_held_from_its_first_start_keeps_what_came_meanwhile() {
    let folder = tempfile::tempdir().expect("a folder");
    let double = double().await;
    let good = write_config(folder.path(), &*double);
    let text = std::fs::read_to_string(&good).expect("just written");
    let now = text.replace("    source: braze\n", "    source: braze\n    start: now\n");
    std::fs::write(
        &good,
        now.replace("0123456789abcdef0123456789abcdef", "short"),
    )
    .expect("writable");
    let held = Sluice::start(&good);
    held.wait_for_line("held at the start");
    let mut event = support::catalogue()
        .event("users.messages.email.Open")
        .expect("known")
        .sample();
    event["id"] = "kept".into();
    held.feeder()
        .send(vec![event.to_string()])
        .await
        .expect("taken");
    held.kill();

    std::fs::write(&good, now).expect("writable");
    let mended = Sluice::start(&good);
    support::eventually("the event is delivered", || {
        double.document("kept").is_some()
    })
    .await;
    assert_eq!(mended.stop(), Some(0));
}
