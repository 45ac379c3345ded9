//! No room on the disk, and room again: in a small file system of its own where the system lets us
//! make one, and by a limit on the size of files, which every Unix has.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::harness::{
    BODY, Sent, Settings, UNMAPPED, World, assert_balanced, body, count, envelope, event, post, sum,
};
use crate::support::{Sluice, eventually};

/// Bodies after which a full disk must have shown; what is written ahead takes some of them.
const BODIES_MAX: u64 = 400;
/// Bytes of the small file system: the store's files, and some bodies.
const SMALL_DISK: &str = "64m";

async fn send(sluice: &Sluice, n: u64) -> (u16, Option<String>) {
    let first = n * BODY;
    post(
        &sluice.endpoint,
        envelope(&body((first..first + BODY).map(event))),
    )
    .await
}

/// Send until refused while `is_full`; then make room and see all of it arrive.
async fn passes(world: &World, sluice: Sluice, make_room: impl FnOnce(&Sluice)) {
    let mut bodies = 1;
    let (status, after) = loop {
        let answer = send(&sluice, bodies).await;
        if answer.0 != 200 {
            break answer;
        }
        bodies += 1;
        assert!(bodies < BODIES_MAX, "the disk does not become full");
    };
    assert_eq!(
        status, 503,
        "trouble of our own is no fault of the upstream"
    );
    let after = after.expect("Retry-After");
    assert!(
        after.parse::<u64>().is_ok_and(|seconds| seconds > 0),
        "{after}"
    );
    // Again and again, as an upstream does: the process stays up.
    for _ in 0..3 {
        assert_eq!(send(&sluice, bodies).await.0, 503);
    }
    make_room(&sluice);
    let mut tries = 0;
    while send(&sluice, bodies).await.0 != 200 {
        tries += 1;
        assert!(tries < 1_000, "it does not go on by itself");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    bodies += 1;
    let sent = Sent::below(bodies * BODY);
    world.arrives(sent.delivered).await;
    world.ends_with(sluice, &sent);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_that_may_not_grow_push_back_until_they_may() {
    let mut world = World::new(Settings::default()).await;
    // An ignored signal stays ignored in what the shell becomes: writes fail instead of killing.
    world.enter = ["sh", "-c", "trap '' XFSZ; exec \"$@\"", "sh"]
        .map(str::to_owned)
        .to_vec();
    let sluice = world.start();
    assert_eq!(send(&sluice, 0).await.0, 200);
    let limit = |sluice: &Sluice, bytes: &str| {
        let done = Command::new("prlimit")
            .args(["--pid", &sluice.pid().to_string()])
            .arg(format!("--fsize={bytes}"))
            .status();
        assert!(done.expect("prlimit runs").success());
    };
    limit(&sluice, "4096:unlimited");
    passes(&world, sluice, |sluice| limit(sluice, "unlimited")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_pushes_back_and_goes_on_when_there_is_room() {
    let mut world = World::new(Settings::default()).await;
    std::fs::create_dir(world.data()).expect("a writable folder");
    let disk = match SmallDisk::mount(&world.data()) {
        Ok(disk) => disk,
        Err(why) => {
            eprintln!(
                "no file system of our own on this machine ({why}); \
                 `files_that_may_not_grow_push_back_until_they_may` stands for it"
            );
            return;
        }
    };
    world.enter = disk.enter();
    let sluice = world.start();
    assert_eq!(send(&sluice, 0).await.0, 200);
    let filler = disk.seen_from_here(&world.data()).join("filler");
    fill(&filler);
    passes(&world, sluice, |_| {
        std::fs::remove_file(&filler).expect("it is there");
    })
    .await;
}

/// Write until nothing more fits.
fn fill(path: &Path) {
    let mut file = std::fs::File::create(path).expect("a writable folder");
    for size in [1 << 20, 4096, 1] {
        while file.write_all(&vec![0; size]).is_ok() {}
    }
}

/// A small file system, seen only by processes that enter its namespace. Gone when dropped.
struct SmallDisk(Child);

impl SmallDisk {
    fn mount(folder: &Path) -> Result<Self, String> {
        let script =
            format!("mount -t tmpfs -o size={SMALL_DISK} tmpfs \"$0\" && echo ready && cat");
        let mut holder = Command::new("unshare")
            .args(["--user", "--map-root-user", "--mount", "sh", "-c", &script])
            .arg(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| error.to_string())?;
        let mut line = String::new();
        BufReader::new(holder.stdout.take().expect("a pipe"))
            .read_line(&mut line)
            .map_err(|error| error.to_string())?;
        if line == "ready\n" {
            return Ok(Self(holder));
        }
        let ended = holder.wait().map_err(|error| error.to_string())?;
        Err(format!("unshare: {ended}"))
    }

    fn enter(&self) -> Vec<String> {
        let pid = self.0.id().to_string();
        [
            "nsenter",
            "--user",
            "--mount",
            "--preserve-credentials",
            "--target",
            &pid,
        ]
        .map(str::to_owned)
        .to_vec()
    }

    fn seen_from_here(&self, folder: &Path) -> std::path::PathBuf {
        let root = format!("/proc/{}/root", self.0.id());
        Path::new(&root).join(folder.strip_prefix("/").expect("an absolute path"))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_expires_from_a_full_journal_is_counted_and_nothing_else_is_lost() {
    // More than the journal and what a connector has read ahead hold together.
    const BODIES: u64 = 200;
    let world = World::new(Settings {
        journal: "max_size: 4MiB, when_full: expire_oldest",
        ..Settings::default()
    })
    .await;
    world
        .fault(serde_json::json!({"mode": "status", "status": 503, "times": 0}))
        .await;
    let mut sluice = world.start();
    for n in 0..BODIES {
        assert_eq!(send(&sluice, n).await.0, 200, "nobody is pushed back");
    }
    let told = sluice.wait_for_line("the journal is full: the oldest ");
    assert!(told.contains("ERROR"), "{told}");
    world.mend().await;
    let mut stops = 0;
    let status = loop {
        let arrived = || world.double.accepted() + world.duplicates();
        let before = arrived();
        eventually("documents arrive", || arrived() > before).await;
        assert_eq!(sluice.stop(), Some(0));
        let status = world.status();
        if count(&status["connectors"]["braze-to-segment"]["events"]["waiting"]) == 0 {
            break status;
        }
        stops += 1;
        assert!(stops < BODIES, "it is drained in the end");
        sluice = world.start();
    };
    let events = &status["connectors"]["braze-to-segment"]["events"];
    assert_eq!(events["received"], BODIES * BODY, "{events}");
    let (expired, delivered) = (count(&events["expired"]), count(&events["delivered"]));
    assert!(expired > 0 && delivered > 0, "{events}");
    assert_balanced(&status);
    let types = &status["connectors"]["braze-to-segment"]["types"];
    assert!(types.get("(expired)").is_none(), "{types}");
    assert!(count(&types[UNMAPPED]["expired"]) > 0, "{types}");
    assert_eq!(status["sources"]["braze"]["taken"], BODIES * BODY);
    assert_eq!(world.double.accepted(), delivered, "{events}");
    assert_eq!(world.dead_letters().len() as u64, sum(&events["dead"]));
}
