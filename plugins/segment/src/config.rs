//! Settings of the sink. The comments on the fields are the user's reference.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use sluice_sdk::{ConfigError, PathStep, Secret};
use url::{Host, Url};

/// Where and how documents go to Segment.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SegmentConfig {
    /// The region of the Segment workspace: `us` (api.segment.io) or `eu` (events.eu1.segmentapis.com).
    /// No default, because Segment says nothing when it is wrong: the data is simply not there. Give
    /// either this or `endpoint`.
    #[serde(default)]
    #[schemars(example = &"us")]
    pub region: Option<Region>,
    /// Base address of a proxy, a custom domain or a compatible API, instead of `region`. With or
    /// without `/v1` at the end. Default: what `region` says.
    #[serde(default)]
    #[schemars(example = &"https://segment-proxy.example.com")]
    pub endpoint: Option<String>,
    /// The write key of the Segment source (32 letters and digits). Segment does not check it when it
    /// answers, so look into the source's Debugger once after the first delivery.
    #[schemars(example = &"${SEGMENT_WRITE_KEY}")]
    pub write_key: Secret,
    /// Base address at which the key is looked up, `https://cdn.segment.com`: where Segment's own clients
    /// for web and phones get the settings of their source. A key that is not known there holds the
    /// connector: at the start, and later within an hour. Unverified: Segment promises this address to
    /// nobody else, and there are reports of good keys that it does not know, so try it with a good one
    /// first. Whether it knows the keys of EU workspaces is not known. Default: keys are not looked up.
    #[serde(default)]
    #[schemars(example = &"https://cdn.segment.com")]
    pub look_up_key_at: Option<String>,
    /// Compress requests above 1 KB. Default: true. If the other side refuses compressed requests and
    /// takes the same one plain, this is switched off for the rest of the run, with a warning.
    #[serde(default = "yes")]
    pub gzip: bool,
    /// Requests at the same time. Default: 10; fewer while Segment does not take them. Segment takes about
    /// 1,000 events a second and workspace.
    #[serde(default = "default_concurrency")]
    #[schemars(range(min = 1, max = 64), example = 10)]
    pub concurrency: usize,
    /// Seconds to wait for one answer, connection included. Default: 10, as Segment's own clients.
    #[serde(default = "default_timeout")]
    #[schemars(range(min = 1, max = 300), example = 10)]
    pub timeout: u64,
    /// What to leave out of documents above Segment's limit of 32,000 bytes. Default: nothing; such a
    /// document goes to the dead letters.
    #[serde(default)]
    pub oversize: Oversize,
}

/// A Segment region.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Region {
    /// Oregon: `https://api.segment.io`.
    Us,
    /// Dublin: `https://events.eu1.segmentapis.com`.
    Eu,
}

/// How documents above the limit are made to fit.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Oversize {
    /// Dotted paths, left out one after the other until the document fits. Only below `properties`,
    /// `traits` and `context`. What was left out is listed in `context.sluice.dropped`.
    #[serde(default)]
    #[schemars(example = ["properties.abort_log"], extend("format" = "document-paths"))]
    pub drop: Vec<String>,
}

fn yes() -> bool {
    true
}

fn default_concurrency() -> usize {
    10
}

fn default_timeout() -> u64 {
    10
}

impl Region {
    /// The base address for tracking calls.
    pub fn base(self) -> &'static str {
        match self {
            Self::Us => "https://api.segment.io",
            Self::Eu => "https://events.eu1.segmentapis.com",
        }
    }
}

impl SegmentConfig {
    /// The address of the batch call.
    ///
    /// # Errors
    /// When neither or both of `region` and `endpoint` are given, or `endpoint` is no plain web address.
    pub fn batch_url(&self) -> Result<Url, ConfigError> {
        match (self.region, &self.endpoint) {
            (None, None) => Err(ConfigError {
                path: Vec::new(),
                message: "region is missing: give `region: us` or `region: eu` (where the Segment \
                          workspace is), or `endpoint:` for a proxy"
                    .to_owned(),
            }),
            (Some(_), Some(_)) => Err(ConfigError::at(
                "endpoint",
                "give either region or endpoint, not both: endpoint replaces the region's address",
            )),
            (Some(region), None) => endpoint_url(region.base()),
            (None, Some(endpoint)) => endpoint_url(endpoint),
        }
    }

    /// The address under which keys are looked up, without the key.
    ///
    /// # Errors
    /// When it is no plain web address.
    pub fn look_up_url(&self) -> Result<Option<Url>, ConfigError> {
        let base = self.look_up_key_at.as_deref();
        base.map(|text| web_address("look_up_key_at", text))
            .transpose()
    }

    /// Check the values that have no type of their own.
    ///
    /// # Errors
    /// At the key of the first value that is out of range.
    pub fn validate(&self) -> Result<(), ConfigError> {
        if !(1..=64).contains(&self.concurrency) {
            return Err(ConfigError::at("concurrency", "expected 1 to 64 requests"));
        }
        if !(1..=300).contains(&self.timeout) {
            return Err(ConfigError::at("timeout", "expected 1 to 300 seconds"));
        }
        for (index, path) in self.oversize.drop.iter().enumerate() {
            let mut steps = path.split('.');
            let is_allowed = matches!(steps.next(), Some("properties" | "traits" | "context"));
            let is_complete = path.contains('.') && path.split('.').all(|step| !step.is_empty());
            if !is_allowed || !is_complete {
                return Err(ConfigError {
                    path: vec![
                        PathStep::Key("oversize".to_owned()),
                        PathStep::Key("drop".to_owned()),
                        PathStep::Index(index),
                    ],
                    message: "expected a dotted path below properties, traits or context, such as \
                              properties.abort_log"
                        .to_owned(),
                });
            }
        }
        Ok(())
    }

    /// [`SegmentConfig::timeout`] as a duration.
    pub fn request_timeout(&self) -> Duration {
        Duration::from_secs(self.timeout)
    }
}

fn endpoint_url(text: &str) -> Result<Url, ConfigError> {
    let mut url = web_address("endpoint", text)?;
    let path = url.path().trim_end_matches('/').to_owned();
    let path = match path {
        path if path.ends_with("/v1/batch") => path,
        path if path.ends_with("/v1") => format!("{path}/batch"),
        path => format!("{path}/v1/batch"),
    };
    url.set_path(&path);
    Ok(url)
}

/// A web address without secrets and parameters.
fn web_address(key: &str, text: &str) -> Result<Url, ConfigError> {
    let wrong = |message: &str| ConfigError::at(key, message);
    let text = text.trim();
    let url = Url::parse(text);
    if url
        .as_ref()
        .map_or(!text.contains("://"), |url| !url.has_host())
    {
        let with_scheme = format!("http://{text}");
        let example = match Url::parse(&with_scheme) {
            Ok(_) => with_scheme,
            Err(_) => "https://events.example.com".to_owned(),
        };
        return Err(wrong(&format!(
            "expected an address that begins with https:// or http://, such as {example}"
        )));
    }
    let url = url.map_err(|error| {
        wrong(&format!(
            "expected a web address such as https://host: {error}"
        ))
    })?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(wrong(
            "expected an address that begins with https:// or http://",
        ));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(wrong(
            "leave user and password out of the address; the key goes to write_key",
        ));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(wrong("expected an address without ? and #"));
    }
    Ok(url)
}

/// Whether this address stays on this machine: no proxy is asked for it then.
pub(crate) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}
