//! Who is told, and when: the real program, a mail server and a webhook on the loopback.

mod support;

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use sluice_sdk::Double;
use support::{Sluice, double, eventually, program};

/// A mail as it came: envelope and text.
#[derive(Debug, Clone)]
struct Mail {
    from: String,
    to: Vec<String>,
    text: String,
}

impl Mail {
    /// A header's value, on one line.
    fn header(&self, name: &str) -> String {
        let head = self.text.split("\r\n\r\n").next().unwrap_or_default();
        let unfolded = head.replace("\r\n ", " ");
        let found = unfolded
            .lines()
            .find_map(|line| line.strip_prefix(&format!("{name}: ")));
        found.unwrap_or_default().to_owned()
    }

    fn subject(&self) -> String {
        self.header("Subject")
    }
}

/// As much of RFC 5321 as a sender of plain mail needs.
struct MailServer {
    port: u16,
    mails: Arc<Mutex<Vec<Mail>>>,
    /// Answer `451` to every sender.
    is_unwell: Arc<AtomicBool>,
}

impl MailServer {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let mails: Arc<Mutex<Vec<Mail>>> = Arc::default();
        let is_unwell = Arc::new(AtomicBool::new(false));
        let (into, unwell) = (Arc::clone(&mails), Arc::clone(&is_unwell));
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                // One that breaks off in the middle has sent no mail.
                let _ = Self::serve(stream, &into, &unwell);
            }
        });
        Self {
            port,
            mails,
            is_unwell,
        }
    }

    fn serve(
        mut stream: TcpStream,
        mails: &Mutex<Vec<Mail>>,
        is_unwell: &AtomicBool,
    ) -> std::io::Result<()> {
        let mut lines = BufReader::new(stream.try_clone()?);
        let mut say = move |text: &str| stream.write_all(format!("{text}\r\n").as_bytes());
        let (mut from, mut to) = (String::new(), Vec::new());
        say("220 mail.example.com ready")?;
        loop {
            let mut line = String::new();
            if lines.read_line(&mut line)? == 0 {
                return Ok(());
            }
            let word = line.get(..4).unwrap_or_default().to_ascii_uppercase();
            match word.as_str() {
                "EHLO" => say("250 mail.example.com")?,
                "MAIL" if is_unwell.load(Ordering::Relaxed) => say("451 try later")?,
                "MAIL" => {
                    from = address(&line);
                    say("250 ok")?;
                }
                "RCPT" => {
                    to.push(address(&line));
                    say("250 ok")?;
                }
                "DATA" => {
                    say("354 go on")?;
                    let mut text = String::new();
                    while !text.ends_with("\r\n.\r\n") {
                        if lines.read_line(&mut text)? == 0 {
                            return Ok(());
                        }
                    }
                    text.truncate(text.len() - 3);
                    if text.contains("Content-Transfer-Encoding: quoted-printable") {
                        text = decoded(&text);
                    }
                    mails.lock().expect("not poisoned").push(Mail {
                        from: std::mem::take(&mut from),
                        to: std::mem::take(&mut to),
                        text,
                    });
                    say("250 taken")?;
                }
                "QUIT" => return say("221 bye"),
                _ => say("250 ok")?,
            }
        }
    }

    fn mails(&self) -> Vec<Mail> {
        self.mails.lock().expect("not poisoned").clone()
    }

    /// Wait for a mail whose subject has this in it.
    async fn gets(&self, part: &str) -> Mail {
        let find = || {
            self.mails()
                .into_iter()
                .find(|it| it.subject().contains(part))
        };
        eventually(&format!("a mail with `{part}`"), || find().is_some()).await;
        find().expect("it was there")
    }

    fn subjects(&self) -> Vec<String> {
        self.mails().iter().map(Mail::subject).collect()
    }
}

/// Quoted-printable (RFC 2045) of ASCII: lines joined, `=XX` turned back.
fn decoded(text: &str) -> String {
    let joined = text.replace("=\r\n", "");
    let mut parts = joined.split('=');
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        match part.get(..2).map(|hex| u8::from_str_radix(hex, 16)) {
            Some(Ok(byte)) => {
                out.push(char::from(byte));
                out.push_str(&part[2..]);
            }
            _ => {
                out.push('=');
                out.push_str(part);
            }
        }
    }
    out
}

/// What stands between `<` and `>`.
fn address(line: &str) -> String {
    let inside = line.split_once('<').map_or("", |(_, rest)| rest);
    inside.split('>').next().unwrap_or_default().to_owned()
}

struct World {
    folder: tempfile::TempDir,
    double: Box<dyn Double>,
    mail: MailServer,
    config: PathBuf,
}

impl World {
    /// `more` is YAML of `alerts:`.
    async fn new(more: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let double = double().await;
        let mail = MailServer::start();
        let config = write(folder.path(), &*double, mail.port, more);
        Self {
            folder,
            double,
            mail,
            config,
        }
    }

    fn endpoint(&self) -> String {
        let settings = self.double.settings();
        settings["endpoint"]
            .as_str()
            .expect("an endpoint")
            .to_owned()
    }

    async fn refuse(&self) {
        let fault = json!({"mode": "status", "status": 401, "times": 0}).to_string();
        let url = format!("{}/_sandbox/faults", self.endpoint());
        let sent = reqwest::Client::new().post(url).body(fault).send().await;
        assert_eq!(sent.expect("the double answers").status(), 204);
    }

    async fn mend(&self) {
        let url = format!("{}/_sandbox/faults", self.endpoint());
        let sent = reqwest::Client::new().delete(url).send().await;
        assert_eq!(sent.expect("the double answers").status(), 204);
    }
}

fn write(folder: &Path, double: &dyn Double, port: u16, more: &str) -> PathBuf {
    let settings = double.settings();
    let endpoint = settings["endpoint"].as_str().expect("an endpoint");
    let text = format!(
        "version: 1
sources:
  braze: {{ type: braze_webhook, listen: \"127.0.0.1:0\", token: secret-token }}
connectors:
  braze-to-segment:
    contact: [data-team@example.com, on-call@example.com]
    source: braze
    mappings: builtin:braze_to_segment
    batch: {{ flush_after: 50ms }}
    sink: {{ type: segment, endpoint: \"{endpoint}\", write_key: 0123456789abcdef0123456789abcdef }}
journal: {{ path: data }}
admin: {{ listen: \"off\" }}
alerts:
  smtp: {{ host: 127.0.0.1, port: {port}, from: Sluice <sluice@example.com>, tls: none }}
  {more}
"
    );
    let path = folder.join("sluice.yaml");
    std::fs::write(&path, text).expect("a writable folder");
    path
}

/// An event that the built-in rules send, of somebody with an address; `fill` makes it too large.
fn event(id: &str, fill: usize) -> String {
    json!({
        "id": id,
        "event_type": "users.messages.email.Click",
        "time": 1_777_777_777,
        "user": {"user_id": "braze-1", "external_user_id": "cust-1"},
        "properties": {"email_address": "jo.private@example.com", "url": "x".repeat(fill)},
    })
    .to_string()
}

async fn feed(sluice: &Sluice, events: Vec<String>) {
    let settings = json!({"token": "secret-token"});
    let feeder = support::source("braze_webhook").feed.expect("a feeder");
    let feeder = feeder(sluice.endpoint.clone(), settings);
    feeder.send(events).await.expect("taken");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_contact_hears_of_a_hold_of_its_end_and_of_dead_letters() {
    let world = World::new("interval: 1s").await;
    world.refuse().await;
    let sluice = Sluice::start(&world.config);
    feed(&sluice, vec![event("a", 1), event("b", 1)]).await;
    let held = world.mail.gets("braze-to-segment: held").await;
    assert_eq!(held.from, "sluice@example.com");
    assert_eq!(held.header("From"), "Sluice <sluice@example.com>");
    assert_eq!(held.header("To"), held.to[0]);
    assert!(held.header("Date").ends_with("+0000"), "{held:?}");
    assert!(!held.header("Message-ID").is_empty(), "{held:?}");
    for part in [
        "401",
        "2 events, safe on disk",
        "Lost?    No.",
        &format!("sluice status --config {}", world.config.display()),
    ] {
        assert!(held.text.contains(part), "{part}: {}", held.text);
    }
    eventually("both contacts have it", || {
        let mails = world.mail.mails();
        ["data-team@example.com", "on-call@example.com"]
            .iter()
            .all(|to| mails.iter().any(|mail| mail.to == [*to]))
    })
    .await;

    world.mend().await;
    let well = world.mail.gets("braze-to-segment: delivering again").await;
    assert!(well.text.contains("Lost?"), "{}", well.text);

    feed(&sluice, vec![event("c", 40_000)]).await;
    let dead = world.mail.gets("1 new dead letters").await;
    assert!(dead.text.contains("1 x too-large"), "{}", dead.text);
    let command = "sluice dead-letters list --connector braze-to-segment --config ";
    assert!(dead.text.contains(command), "{}", dead.text);

    for mail in world.mail.mails() {
        for secret in ["secret-token", "0123456789abcdef", "jo.private", "cust-1"] {
            assert!(!mail.text.contains(secret), "{secret}: {}", mail.text);
        }
    }
    assert_eq!(sluice.stop(), Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_does_not_tell_the_same_hold_again() {
    let world = World::new("interval: 1h").await;
    world.refuse().await;
    let sluice = Sluice::start(&world.config);
    feed(&sluice, vec![event("a", 1)]).await;
    world.mail.gets("braze-to-segment: held").await;
    eventually("both contacts have it", || world.mail.mails().len() == 2).await;
    // Its own end shows that the look after the last mail is over.
    feed(&sluice, vec![event("b", 40_000)]).await;
    world.mail.gets("new dead letters").await;
    eventually("both contacts have it", || world.mail.mails().len() == 4).await;
    // A second kind of news makes it certain that the first was kept: nothing waits at its end.
    assert_eq!(sluice.stop(), Some(0));

    let sluice = Sluice::start(&world.config);
    sluice.wait_for_line("held: ");
    feed(&sluice, vec!["{\"no\":\"event\"}".to_owned()]).await;
    world.mail.gets("source braze: 1 new dead letters").await;
    eventually("both contacts have it", || world.mail.mails().len() == 6).await;
    let holds = world.mail.subjects();
    let holds = holds.iter().filter(|subject| subject.contains("held"));
    assert_eq!(holds.count(), 2, "{:?}", world.mail.subjects());
    assert_eq!(sluice.stop(), Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mail_server_that_is_unwell_delays_the_mail_and_nothing_else() {
    let world = World::new("interval: 1h").await;
    world.mail.is_unwell.store(true, Ordering::Relaxed);
    let sluice = Sluice::start(&world.config);
    feed(&sluice, vec![event("a", 40_000)]).await;
    let line = sluice.wait_for_line("nobody was told yet");
    let line: Value = serde_json::from_str(&line).expect("a line is JSON");
    assert_eq!(line["level"], "ERROR");
    assert!(line["message"].to_string().contains("451"), "{line}");
    feed(&sluice, vec![event("b", 1)]).await;
    eventually("delivery goes on", || world.double.accepted() == 1).await;
    assert_eq!(world.mail.mails().len(), 0);
    world.mail.is_unwell.store(false, Ordering::Relaxed);
    world.mail.gets("1 new dead letters").await;
    assert_eq!(sluice.stop(), Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_webhook_gets_text_for_people_and_fields_for_programs() {
    let (posts_in, mut posts) = tokio::sync::mpsc::channel::<Value>(8);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await;
    let listener = listener.expect("a port");
    let address = listener.local_addr().expect("an address");
    let take = move |body: axum::Json<Value>| async move {
        let _ = posts_in.send(body.0).await;
    };
    let router = axum::Router::new().route("/hook/hunter2", axum::routing::post(take));
    tokio::spawn(async move { axum::serve(listener, router).await });

    let world = World::new(&format!("webhook: http://{address}/hook/hunter2")).await;
    let sluice = Sluice::start(&world.config);
    feed(&sluice, vec![event("a", 40_000)]).await;
    let post = tokio::time::timeout(support::PATIENCE, posts.recv()).await;
    let post = post.expect("in time").expect("a post");
    let text = post["text"].as_str().expect("a text");
    assert!(
        text.contains("braze-to-segment: 1 new dead letters"),
        "{text}"
    );
    let notice = &post["notices"][0];
    assert_eq!(
        notice["topic"],
        json!({"of": "dead_letters", "name": "braze-to-segment"})
    );
    assert_eq!(notice["by"], json!({"too-large": 1}));
    assert!(!post.to_string().contains("hunter2"), "{post}");
    assert_eq!(sluice.stop(), Some(0));
    drop(world.folder);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_test_message_says_by_its_exit_code_whether_it_went() {
    let world = World::new("interval: 1h").await;
    let test = |more: &[&str]| {
        let mut command = program();
        command
            .args(["alerts", "test", "--config"])
            .arg(&world.config);
        let output = command.args(more).output().expect("the program starts");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        (
            output.status.code(),
            text + &String::from_utf8_lossy(&output.stderr),
        )
    };
    let (code, said) = test(&[]);
    assert_eq!(code, Some(0), "{said}");
    assert!(
        said.contains("sent      mail data-team@example.com"),
        "{said}"
    );
    assert_eq!(
        world.mail.subjects(),
        ["[sluice] test message for braze-to-segment"; 2]
    );
    let (code, said) = test(&["--connector", "braze-to-segmen"]);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("did you mean `braze-to-segment`?"), "{said}");
    world.mail.is_unwell.store(true, Ordering::Relaxed);
    let (code, said) = test(&["--connector", "braze-to-segment"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(
        said.contains("not sent  mail data-team@example.com"),
        "{said}"
    );
    assert!(said.contains("451"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_config_that_nobody_was_answered_about_is_told_with_its_place_and_its_end() {
    let world = World::new("interval: 1s").await;
    let sluice = Sluice::start(&world.config);
    let hang_up = || {
        let sent = std::process::Command::new("kill")
            .args(["-HUP", &sluice.pid().to_string()])
            .status();
        assert!(sent.expect("kill runs").success());
    };
    let good = std::fs::read_to_string(&world.config).expect("a config");
    let wrong = good.replace("source: braze\n", "source: braz\n");
    std::fs::write(&world.config, wrong).expect("a writable folder");
    hang_up();
    let told = world.mail.gets("config: the new one is wrong").await;
    assert!(told.text.contains("sluice.yaml:7:13"), "{}", told.text);
    assert!(told.text.contains("config 1, as before"), "{}", told.text);
    assert!(!told.text.contains("secret-token"), "{}", told.text);

    std::fs::write(&world.config, good).expect("a writable folder");
    hang_up();
    let well = world.mail.gets("config: the files are taken again").await;
    assert!(well.text.contains("runs as config 2"), "{}", well.text);
    assert_eq!(sluice.stop(), Some(0));
}
