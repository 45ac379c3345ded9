//! Who is told, and when: mail and webhook for what needs a person.
//!
//! Beside the engine, not in it: this looks at the engine's status every two seconds ([`observe`]),
//! decides what is news ([`policy`], pure), writes it down for a person ([`message`]) and sends it
//! ([`post`]). Nothing here can keep an event waiting, and nothing the engine does waits for it.

mod message;
mod observe;
mod policy;
mod post;
mod smtp;
mod webhook;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use sluice_sdk::Stop;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tracing::{error, warn};

use message::{Context, compose};
pub use message::{Message, test_message};
use observe::Observer;
use policy::{Memory, Notice, Policy, Topic};
use post::Post;
pub use post::{Channel, Letter};

use crate::config::{AlertsConfig, Config, MailAddress, WhenFull};
use crate::engine::Shared;
use crate::engine::dead_letters::source_of;
use crate::engine::status::Status;

/// How often the status is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// Under which name the memory is kept.
const MEMORY: &str = "alerts";

/// Who hears of what, and how.
#[derive(Debug, Clone)]
pub struct AlertSetup {
    alerts: AlertsConfig,
    /// Connector → its source and its contacts.
    connectors: BTreeMap<String, (String, Vec<MailAddress>)>,
    when_full: WhenFull,
    /// For the commands in messages.
    config: PathBuf,
}

impl AlertSetup {
    /// What a config says. `path` is where it lies.
    pub fn new(config: &Config, path: &std::path::Path) -> Self {
        Self {
            alerts: config.alerts.clone(),
            connectors: contacts_of(config),
            when_full: config.journal.when_full,
            config: std::path::absolute(path).unwrap_or_else(|_| path.to_owned()),
        }
    }

    /// Contacts of the connectors that this concerns; a source concerns all that read it.
    fn contacts(&self, topic: &Topic) -> Vec<MailAddress> {
        let mut contacts: Vec<MailAddress> = self
            .connectors
            .iter()
            .filter(|(name, (source, _))| match topic {
                Topic::Connector(of) | Topic::DeadLetters(of) | Topic::Expired(of) => of == *name,
                Topic::Source(of) | Topic::SetAside(of) | Topic::Lost(of) => of == source,
                Topic::LeavingLetters(of) | Topic::ExpiredLetters(of) => {
                    source_of(of).map_or(of == *name, |of| of == source)
                }
                Topic::Journal | Topic::Disk | Topic::Config => true,
            })
            .flat_map(|(_, (_, contacts))| contacts.clone())
            .collect();
        contacts.sort();
        contacts.dedup();
        contacts
    }
}

/// Connector → its source and its contacts.
fn contacts_of(config: &Config) -> BTreeMap<String, (String, Vec<MailAddress>)> {
    let connectors = config.connectors.iter();
    connectors
        .map(|(name, connector)| {
            let contacts = connector.contacts.clone();
            (name.clone(), (connector.source.clone(), contacts))
        })
        .collect()
}

/// The name of this machine.
pub fn host() -> String {
    lettre::transport::smtp::extension::ClientId::default().to_string()
}

/// Watch and tell until `stop`; by the `alerts` of the config that runs, also after a reload.
pub async fn watch(setup: AlertSetup, shared: Arc<Shared>, stop: Stop) {
    let memory = remembered(&shared).await;
    let mut watcher = Watcher {
        policy: Policy::new(
            setup.alerts.interval,
            memory.clone(),
            shared.clock().now_ms(),
        ),
        ways: Ways::open(&setup.alerts, &shared),
        setup,
        observer: Observer::default(),
        host: host(),
        saved: memory,
    };
    loop {
        tokio::select! {
            () = stop.requested() => break,
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
        let config = shared.config();
        watcher.follow(&config, &shared).await;
        if watcher.setup.alerts.is_reachable() {
            let status = shared.status();
            watcher.look(&status, &config, shared.clock().now_ms());
            watcher.save(&shared, &status).await;
        }
    }
    watcher.ways.close().await;
    // What went out since the last look must not be told again by the next process.
    let status = shared.status();
    watcher.save(&shared, &status).await;
}

/// The channels that are open.
struct Ways {
    /// Whether it is for mail, and where it begins.
    entrances: Vec<(bool, mpsc::Sender<Letter>)>,
    posts: JoinSet<()>,
    stop: Stop,
}

impl Ways {
    fn open(alerts: &AlertsConfig, shared: &Arc<Shared>) -> Self {
        let mut ways = Self {
            entrances: Vec::new(),
            posts: JoinSet::new(),
            stop: Stop::default(),
        };
        for channel in Channel::all(alerts) {
            let is_mail = matches!(channel, Channel::Mail(_));
            let (entrance, post) = Post::new(channel, Arc::clone(shared));
            ways.posts.spawn(post.run(ways.stop.clone()));
            ways.entrances.push((is_mail, entrance));
        }
        ways
    }

    /// A message under way is finished; what waits is not sent.
    async fn close(&mut self) {
        self.stop.request();
        while self.posts.join_next().await.is_some() {}
    }
}

struct Watcher {
    setup: AlertSetup,
    policy: Policy,
    observer: Observer,
    ways: Ways,
    host: String,
    saved: Memory,
}

impl Watcher {
    /// Take what a reload may have brought: other contacts, and other ways to reach them. What is not
    /// sent by the old ways is told again by the new ones.
    async fn follow(&mut self, config: &Config, shared: &Arc<Shared>) {
        self.setup.connectors = contacts_of(config);
        if config.alerts == self.setup.alerts {
            return;
        }
        self.ways.close().await;
        self.save(shared, &shared.status()).await;
        self.setup.alerts = config.alerts.clone();
        shared.clear_alert_channels();
        self.ways = Ways::open(&self.setup.alerts, shared);
        let interval = self.setup.alerts.interval;
        self.policy = Policy::new(interval, self.saved.clone(), shared.clock().now_ms());
    }

    fn look(&mut self, status: &Status, config: &Config, now_ms: i64) {
        let letters = &config.journal.dead_letters;
        let seen = self.observer.observe(status, letters, now_ms);
        let notices = self.policy.look(&seen, now_ms);
        if notices.is_empty() {
            return;
        }
        let context = Context {
            status,
            config: &self.setup.config,
            host: &self.host,
            when_full: self.setup.when_full,
            letters,
            full_in: self.observer.full_in(&status.journal),
            now_ms,
        };
        for (is_mail, entrance) in &self.ways.entrances {
            let letters = if *is_mail {
                self.mails(&notices, &context)
            } else {
                vec![Letter {
                    to: None,
                    message: Arc::new(compose(&notices, &context)),
                }]
            };
            for letter in letters {
                if let Err(refused) = entrance.try_send(letter) {
                    let letter = refused.into_inner();
                    error!(
                        "nobody was told, too many messages wait: {}",
                        letter.message.subject
                    );
                }
            }
        }
    }

    /// One mail a contact, with all that is news for it.
    fn mails(&self, notices: &[Notice], context: &Context<'_>) -> Vec<Letter> {
        let mut news: BTreeMap<MailAddress, Vec<Notice>> = BTreeMap::new();
        for notice in notices {
            for contact in self.setup.contacts(&notice.topic) {
                news.entry(contact).or_default().push(notice.clone());
            }
        }
        news.into_iter()
            .map(|(contact, notices)| Letter {
                to: Some(contact),
                message: Arc::new(compose(&notices, context)),
            })
            .collect()
    }

    /// Only when nothing waits to be sent: what was not sent is told again after a restart.
    async fn save(&mut self, shared: &Arc<Shared>, status: &Status) {
        let memory = self.policy.memory();
        let is_waiting = self
            .ways
            .entrances
            .iter()
            .any(|(_, entrance)| entrance.capacity() < entrance.max_capacity())
            || status.alerts.values().any(|channel| channel.waiting > 0);
        if is_waiting || memory == self.saved {
            return;
        }
        let bytes = serde_json::to_vec(&memory).expect("a memory is plain data");
        let shared = Arc::clone(shared);
        let kept = tokio::task::spawn_blocking(move || shared.keep(MEMORY, bytes)).await;
        match kept {
            Ok(Ok(())) => self.saved = memory,
            Ok(Err(problem)) => {
                warn!("what was told cannot be kept: {problem}; after a restart it is told again");
            }
            Err(_) => {}
        }
    }
}

/// What an earlier process told; nothing when it cannot be read, which tells once too often.
async fn remembered(shared: &Arc<Shared>) -> Memory {
    let shared = Arc::clone(shared);
    let kept = tokio::task::spawn_blocking(move || shared.kept(MEMORY)).await;
    match kept {
        Ok(Ok(Some(bytes))) => serde_json::from_slice(&bytes).unwrap_or_default(),
        Ok(Err(problem)) => {
            warn!("what was told before cannot be read: {problem}; some is told again");
            Memory::default()
        }
        _ => Memory::default(),
    }
}
