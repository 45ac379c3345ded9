//! As much of a mail server as a sender of plain mail needs.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use crate::support::eventually;

/// A mail as it came: envelope and text.
#[derive(Debug, Clone)]
pub struct Mail {
    pub from: String,
    pub to: Vec<String>,
    pub text: String,
}

impl Mail {
    /// A header's value, on one line.
    pub fn header(&self, name: &str) -> String {
        let head = self.text.split("\r\n\r\n").next().unwrap_or_default();
        let unfolded = head.replace("\r\n ", " ");
        let found = unfolded
            .lines()
            .find_map(|line| line.strip_prefix(&format!("{name}: ")));
        found.unwrap_or_default().to_owned()
    }

    pub fn subject(&self) -> String {
        self.header("Subject")
    }
}

/// As much of RFC 5321 as a sender of plain mail needs.
pub struct MailServer {
    pub port: u16,
    mails: Arc<Mutex<Vec<Mail>>>,
    /// Answer `451` to every sender.
    pub is_unwell: Arc<AtomicBool>,
}

impl MailServer {
    pub fn start() -> Self {
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

    pub fn mails(&self) -> Vec<Mail> {
        self.mails.lock().expect("not poisoned").clone()
    }

    /// Wait for a mail whose subject has this in it.
    pub async fn gets(&self, part: &str) -> Mail {
        let find = || {
            self.mails()
                .into_iter()
                .find(|it| it.subject().contains(part))
        };
        eventually(&format!("a mail with `{part}`"), || find().is_some()).await;
        find().expect("it was there")
    }

    pub fn subjects(&self) -> Vec<String> {
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
