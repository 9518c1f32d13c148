//! The server's options: one list, from which the flags, the environment variables, the keys of canvass.toml, their
//! documentation and `config print` all come.
//!
//! A flag comes before a variable, a variable before the file, the file before the default.

use std::{
    fmt,
    net::SocketAddr,
    num::{NonZeroU32, NonZeroU64},
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};

use canvass_domain::key::Rate;
use canvass_export::{Destination, Retention, Schedule};
use canvass_server::{AlarmFigure, AlarmRule, Origins, serve::ServeOptions};
use serde::{Deserialize, Serialize};

use crate::{domains::Domains, failure::Failure};

/// The file that is read if it exists and no other is named.
const FILE_DEFAULT: &str = "canvass.toml";

/// Makes everything that knows the options by name from their list: [`Given`], [`File`] and [`Settings`].
macro_rules! options {
    ($(
        #[doc = $doc:literal]
        $(#[arg($($arg:tt)*)])*
        $name:ident: $type:ty = $default:tt, $variable:literal;
    )*) => {
        /// Options as given on the command line and in the environment.
        #[derive(Clone, Debug, Default, clap::Args)]
        pub(crate) struct Given {$(
            #[doc = $doc]
            #[arg(
                long,
                env = $variable,
                hide_env_values = true,
                help = concat!($doc, default_text!($default)).trim(),
                $($($arg)*)*
            )]
            $name: Option<$type>,
        )*}

        /// canvass.toml.
        #[derive(Debug, Default, Deserialize)]
        #[serde(rename_all = "kebab-case", deny_unknown_fields)]
        pub(crate) struct File {
            $($name: Option<$type>,)*
            /// What the client commands read.
            pub(crate) client: Option<ClientFile>,
            /// Alarms; only the file has them.
            #[serde(default)]
            pub(crate) alarm: Vec<AlarmFile>,
        }

        /// What a server runs with.
        #[derive(Clone, Debug, Serialize)]
        #[serde(rename_all = "kebab-case")]
        pub(crate) struct Settings {$(
            #[doc = $doc]
            pub(crate) $name: $type,
        )*
            /// Alarms, from the file.
            #[serde(skip)]
            pub(crate) alarms: Vec<AlarmFile>,
        }

        impl Settings {
            fn merge(given: Given, file: File) -> Self {
                Self {
                    $($name: given.$name.or(file.$name).unwrap_or_else(|| parse_default($default)),)*
                    alarms: file.alarm,
                }
            }

            /// Each option with its documentation, in the list's order.
            pub(crate) fn rows(&self) -> Vec<Row> {
                vec![$(Row {
                    name: stringify!($name).replace('_', "-"),
                    variable: $variable,
                    documentation: $doc.trim(),
                    default: $default,
                    value: serde_json::to_value(&self.$name).unwrap_or_default(),
                },)*]
            }
        }
    };
}

/// What `--help` says of a default; nothing where it is empty.
macro_rules! default_text {
    ("") => {
        ""
    };
    ($default:literal) => {
        concat!(" [default: ", $default, "]")
    };
}

options! {
    /// Where polls and votes are kept: local is the data directory, dynamodb is Amazon DynamoDB
    #[arg(value_name = "STORE")]
    store: StoreKind = "local", "CANVASS_STORE";
    /// What the names of the tables in DynamoDB begin with
    #[arg(value_name = "NAME")]
    table_prefix: String = "canvass", "CANVASS_TABLE_PREFIX";
    /// Where DynamoDB is, if not at Amazon in the region that AWS_REGION names
    #[arg(value_name = "URL")]
    dynamodb_endpoint: String = "", "CANVASS_DYNAMODB_ENDPOINT";
    /// A Redis that servers on DynamoDB share; others can see flags, so use the variable or file if it has a password
    #[arg(value_name = "URL")]
    redis: SecretText = "", "CANVASS_REDIS";
    /// Directory of the data; made if it is missing
    #[arg(value_name = "DIR")]
    data: PathBuf = "./canvass-data", "CANVASS_DATA";
    /// Where a backup is kept up to date while the server runs: a folder, or s3://, gs:// or az:// with BUCKET/PREFIX
    #[arg(value_name = "FOLDER or URL")]
    backup_to: OptionalDestination = "", "CANVASS_BACKUP_TO";
    /// Seconds between looks for something new to back up
    #[arg(value_name = "SECONDS")]
    backup_seconds: NonZeroU64 = "5", "CANVASS_BACKUP_SECONDS";
    /// Where polls are exported to by a schedule: a folder, or s3://, gs:// or az:// with BUCKET/PREFIX
    #[arg(value_name = "FOLDER or URL")]
    export_to: OptionalDestination = "", "CANVASS_EXPORT_TO";
    /// When polls that have changed are exported: five fields of cron, and a zone
    #[arg(value_name = "CRON ZONE")]
    export_schedule: ExportSchedule = "0 * * * * UTC", "CANVASS_EXPORT_SCHEDULE";
    /// How voters are named in these exports: given, pseudonyms or omitted
    #[arg(value_name = "HOW")]
    export_voters: ExportVoters = "given", "CANVASS_EXPORT_VOTERS";
    /// Where the exported files can be fetched from, for the manifest of QuickSight, such as s3://bucket
    #[arg(value_name = "URL")]
    export_url: String = "", "CANVASS_EXPORT_URL";
    /// Minutes after which a snapshot of all results is exported, if something changed; 0 is never
    #[arg(value_name = "MINUTES")]
    snapshot_minutes: u32 = "60", "CANVASS_SNAPSHOT_MINUTES";
    /// Votes after which a snapshot of all results is exported; 0 is never
    #[arg(value_name = "NUMBER")]
    snapshot_votes: u64 = "0", "CANVASS_SNAPSHOT_VOTES";
    /// Days after which an exported file in a folder is compressed; 0 is never
    #[arg(value_name = "DAYS")]
    export_compress_days: u32 = "30", "CANVASS_EXPORT_COMPRESS_DAYS";
    /// Days after which an exported file leaves its folder, if --export-archive-to says where it goes; 0 is never
    #[arg(value_name = "DAYS")]
    export_archive_days: u32 = "90", "CANVASS_EXPORT_ARCHIVE_DAYS";
    /// What becomes of such a file: delete, or the folder that it is moved to; it stays if this is empty
    #[arg(value_name = "FOLDER or delete")]
    export_archive_to: String = "", "CANVASS_EXPORT_ARCHIVE_TO";
    /// Days after a poll's close after which what its votes tell of persons is erased; off is never
    #[arg(value_name = "DAYS")]
    erase_after_days: EraseAfter = "90", "CANVASS_ERASE_AFTER_DAYS";
    /// Address to listen on; port 0 takes a free one
    #[arg(value_name = "ADDRESS:PORT")]
    listen: SocketAddr = "127.0.0.1:8080", "CANVASS_LISTEN";
    /// File with the certificate chain for TLS, in PEM; the server speaks HTTPS then. It may change while it runs
    #[arg(value_name = "FILE")]
    tls_certificate: OptionalPath = "", "CANVASS_TLS_CERTIFICATE";
    /// File with the certificate's private key, in PEM
    #[arg(value_name = "FILE")]
    tls_key: OptionalPath = "", "CANVASS_TLS_KEY";
    /// Domains, with commas between, whose certificate the server gets and renews by ACME; it must be reached at their port 443
    #[arg(value_name = "DOMAINS")]
    tls_acme_domain: Domains = "", "CANVASS_TLS_ACME_DOMAIN";
    /// Whom the authority of ACME may write to
    #[arg(value_name = "ADDRESS")]
    tls_acme_email: String = "", "CANVASS_TLS_ACME_EMAIL";
    /// The authority's directory; to name one is to agree to its terms
    #[arg(value_name = "URL")]
    tls_acme_directory: String = "https://acme-v02.api.letsencrypt.org/directory", "CANVASS_TLS_ACME_DIRECTORY";
    /// File with the certificates, in PEM, by which that directory is believed instead of by the system's
    #[arg(value_name = "FILE")]
    tls_acme_root: OptionalPath = "", "CANVASS_TLS_ACME_ROOT";
    /// The admin key at the first start, made and shown if absent; others can see flags, so use the variable or file
    #[arg(value_name = "SECRET")]
    admin_key: SecretText = "", "CANVASS_ADMIN_KEY";
    /// Whether a vote in a document's dialect opens a poll that nobody created
    #[arg(value_name = "BOOL", num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    implicit_polls: bool = "false", "CANVASS_IMPLICIT_POLLS";
    /// Proxies in front of the server whose X-Forwarded-For is believed; 0 believes none
    #[arg(value_name = "NUMBER")]
    trusted_proxies: usize = "0", "CANVASS_TRUSTED_PROXIES";
    /// Origins of other sites that may show polls in a frame and use the API from their scripts, with commas between
    #[arg(value_name = "ORIGINS")]
    embed_origins: Origins = "", "CANVASS_EMBED_ORIGINS";
    /// Votes a second of one address without a key, and how many at once: RATE:BURST, or none
    #[arg(value_name = "RATE:BURST")]
    address_votes: AddressRate = "20:40", "CANVASS_ADDRESS_VOTES";
    /// Other requests of one address without a key: RATE:BURST, or none
    #[arg(value_name = "RATE:BURST")]
    address_reads: AddressRate = "100:200", "CANVASS_ADDRESS_READS";
    /// Whether webhooks may go to private addresses, such as this machine's or its network's
    #[arg(value_name = "BOOL", num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    webhook_private_addresses: bool = "false", "CANVASS_WEBHOOK_PRIVATE_ADDRESSES";
    /// Server that mails on alarms are handed to, such as smtps://name:password@host; others can see flags
    #[arg(value_name = "URL")]
    mail_server: SecretText = "", "CANVASS_MAIL_SERVER";
    /// Whom these mails come from
    #[arg(value_name = "ADDRESS")]
    mail_from: String = "", "CANVASS_MAIL_FROM";
    /// Whom they go to, with commas between
    #[arg(value_name = "ADDRESSES")]
    mail_to: String = "", "CANVASS_MAIL_TO";
    /// Topic of Amazon SNS that alarms are published to; credentials as Amazon's tools take them
    #[arg(value_name = "ARN")]
    alarm_topic: String = "", "CANVASS_ALARM_TOPIC";
    /// Threads that serve; 0 is one per core
    #[arg(value_name = "NUMBER")]
    workers: usize = "0", "CANVASS_WORKERS";
    /// Connections in all; more are told 503 and closed
    #[arg(value_name = "NUMBER")]
    connections_max: usize = "20000", "CANVASS_CONNECTIONS_MAX";
    /// Seconds to send a request's head
    #[arg(value_name = "SECONDS")]
    head_seconds: NonZeroU64 = "10", "CANVASS_HEAD_SECONDS";
    /// Seconds to send a request's body
    #[arg(value_name = "SECONDS")]
    body_seconds: NonZeroU64 = "10", "CANVASS_BODY_SECONDS";
    /// Seconds that an upload of a batch may go without sending anything
    #[arg(value_name = "SECONDS")]
    batch_seconds: NonZeroU64 = "30", "CANVASS_BATCH_SECONDS";
    /// Seconds that a connection may stay without a request
    #[arg(value_name = "SECONDS")]
    idle_seconds: NonZeroU64 = "75", "CANVASS_IDLE_SECONDS";
    /// Seconds that an answer may wait for a client that does not read
    #[arg(value_name = "SECONDS")]
    write_seconds: NonZeroU64 = "30", "CANVASS_WRITE_SECONDS";
    /// Seconds that requests in flight have to end when the server is told to stop
    #[arg(value_name = "SECONDS")]
    drain_seconds: NonZeroU64 = "10", "CANVASS_DRAIN_SECONDS";
    /// Which log lines are written: error, warn, info, debug or trace, or a filter such as info,canvass_server=debug
    #[arg(value_name = "FILTER")]
    log: String = "info", "CANVASS_LOG";
    /// How log lines are written: json, human, or auto, which is human where standard error is a terminal
    #[arg(value_name = "FORMAT")]
    log_format: LogFormat = "auto", "CANVASS_LOG_FORMAT";
}

/// One option with all that is to be said of it.
#[derive(Debug)]
pub(crate) struct Row {
    /// The flag without its dashes, and the key in the file.
    pub(crate) name: String,
    /// The environment variable.
    pub(crate) variable: &'static str,
    /// What it is for.
    pub(crate) documentation: &'static str,
    /// The default as text; empty if there is none.
    pub(crate) default: &'static str,
    /// What holds now.
    pub(crate) value: serde_json::Value,
}

/// The table `[client]` of canvass.toml.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ClientFile {
    /// The server's address.
    pub(crate) server: Option<String>,
    /// The API key.
    pub(crate) key: Option<String>,
}

fn parse_default<T: FromStr>(text: &str) -> T {
    text.parse().ok().expect("a test parses every default")
}

/// Options of the commands that run or describe a server.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct ServerArgs {
    #[command(flatten)]
    given: Given,
    /// The configuration file [default: canvass.toml, if it exists]
    #[arg(long, env = "CANVASS_CONFIG", value_name = "FILE", hide_env_values = true)]
    config: Option<PathBuf>,
}

impl ServerArgs {
    /// What the server is to run with.
    ///
    /// # Errors
    /// A file that cannot be read, with the line and column at fault.
    pub(crate) fn settings(self) -> Result<Settings, Failure> {
        let file = read_file(self.config.as_deref())?;
        let settings = Settings::merge(self.given, file);
        crate::logging::check(&settings)?;
        settings.alarm_rules()?;
        Ok(settings)
    }
}

/// Reads a configuration file: the one named, which must exist, or canvass.toml, which may be missing.
pub(crate) fn read_file(named: Option<&Path>) -> Result<File, Failure> {
    let path = named.unwrap_or(Path::new(FILE_DEFAULT));
    match std::fs::read_to_string(path) {
        Ok(text) => parse_file(path, &text),
        Err(error) if named.is_none() && error.kind() == std::io::ErrorKind::NotFound => Ok(File::default()),
        Err(error) => Err(Failure::usage(format!("{}: {error}", path.display()))),
    }
}

fn parse_file(path: &Path, text: &str) -> Result<File, Failure> {
    toml::from_str(text).map_err(|error| {
        let place = error.span().map(|span| line_and_column(text, span.start));
        let place = place.map(|(line, column)| format!(":{line}:{column}")).unwrap_or_default();
        Failure::usage(format!("{}{place}: {}", path.display(), error.message().trim().replace('\n', "; ")))
    })
}

/// Both count from 1, the column in characters.
fn line_and_column(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
}

impl Settings {
    /// What the demonstration runs with: the defaults, whatever the environment says.
    pub(crate) fn demo(data: PathBuf, listen: SocketAddr) -> Self {
        let log = Some("warn".to_owned());
        let given = Given { data: Some(data), listen: Some(listen), log, ..Given::default() };
        Self::merge(given, File::default())
    }

    /// The pause between looks for something new to back up.
    pub(crate) fn backup_pause(&self) -> Duration {
        seconds(self.backup_seconds)
    }

    /// What becomes of exported files as they age.
    pub(crate) fn export_retention(&self) -> Retention {
        let Ok(archive) = self.export_archive_to.parse();
        Retention {
            compress_days: self.export_compress_days,
            archive_days: self.export_archive_days,
            archive,
        }
    }

    /// What the connections are held to.
    pub(crate) fn serve_options(&self) -> ServeOptions {
        let usual = ServeOptions::default();
        ServeOptions {
            workers: if self.workers == 0 { usual.workers } else { self.workers },
            connections_max: self.connections_max,
            head_timeout: seconds(self.head_seconds),
            idle_timeout: seconds(self.idle_seconds),
            write_timeout: seconds(self.write_seconds),
            drain_timeout: seconds(self.drain_seconds),
        }
    }

    /// When alarms begin.
    ///
    /// # Errors
    /// An alarm that is not whole, or whose name is taken.
    pub(crate) fn alarm_rules(&self) -> Result<Vec<AlarmRule>, Failure> {
        let mut rules: Vec<AlarmRule> = Vec::new();
        for alarm in &self.alarms {
            let rule = alarm.rule()?;
            if rules.iter().any(|known| known.name == rule.name) {
                return Err(Failure::usage(format!("[[alarm]]: the name {:?} comes twice", rule.name)));
            }
            rules.push(rule);
        }
        Ok(rules)
    }

    /// What the service is held to.
    pub(crate) fn service_settings(&self) -> canvass_server::Settings {
        canvass_server::Settings {
            implicit_polls: self.implicit_polls,
            admin_key: self.admin_key.0.clone(),
            trusted_proxies: self.trusted_proxies,
            embed_origins: self.embed_origins.clone(),
            webhook_private_addresses: self.webhook_private_addresses,
            erase_after_days: self.erase_after_days.0,
            // They were looked at when the settings were read.
            alarms: self.alarm_rules().unwrap_or_default(),
            address_votes: self.address_votes.0,
            address_reads: self.address_reads.0,
            short_polling: false,
            body_wait_max: seconds(self.body_seconds),
            batch_wait_max: seconds(self.batch_seconds),
        }
    }
}

fn seconds(number: NonZeroU64) -> Duration {
    Duration::from_secs(number.get())
}

/// A file or folder, or none where the text is empty.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(from = "String")]
pub(crate) struct OptionalPath(Option<PathBuf>);

impl OptionalPath {
    /// The path, if there is one.
    pub(crate) fn get(&self) -> Option<&Path> {
        self.0.as_deref()
    }
}

impl From<String> for OptionalPath {
    fn from(text: String) -> Self {
        Self((!text.is_empty()).then(|| text.into()))
    }
}

impl FromStr for OptionalPath {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(text.to_owned().into())
    }
}

/// Where exports or backups go, or none where the text is empty.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct OptionalDestination(Option<Destination>);

impl OptionalDestination {
    /// The destination, if there is one.
    pub(crate) fn get(&self) -> Option<&Destination> {
        self.0.as_ref()
    }
}

impl FromStr for OptionalDestination {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Ok(Self(if text.is_empty() { None } else { Some(text.parse()?) }))
    }
}

impl TryFrom<String> for OptionalDestination {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl Serialize for OptionalDestination {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0 {
            Some(destination) => serializer.collect_str(destination),
            None => serializer.serialize_str(""),
        }
    }
}

/// When exports are due.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct ExportSchedule(pub(crate) Schedule);

impl FromStr for ExportSchedule {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

impl TryFrom<String> for ExportSchedule {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl Serialize for ExportSchedule {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

/// Days until votes tell of nobody any more; none is never. Its text is a number or `off`.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(try_from = "toml::Value")]
pub(crate) struct EraseAfter(Option<u32>);

impl FromStr for EraseAfter {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        canvass_server::read_erase_after_days(text).map(Self)
    }
}

impl TryFrom<toml::Value> for EraseAfter {
    type Error = &'static str;

    fn try_from(value: toml::Value) -> Result<Self, Self::Error> {
        value.as_str().map_or_else(|| value.to_string().parse(), str::parse)
    }
}

impl Serialize for EraseAfter {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Some(days) => serializer.serialize_u32(days),
            None => serializer.serialize_str("off"),
        }
    }
}

/// How scheduled exports name voters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ExportVoters {
    /// As they were given.
    Given,
    /// By a keyed hash.
    Pseudonyms,
    /// Not at all.
    Omitted,
}

impl FromStr for ExportVoters {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "given" => Ok(Self::Given),
            "pseudonyms" => Ok(Self::Pseudonyms),
            "omitted" => Ok(Self::Omitted),
            _ => Err("write given, pseudonyms or omitted"),
        }
    }
}

/// One table `[[alarm]]` of canvass.toml.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct AlarmFile {
    name: String,
    figure: Option<AlarmFigure>,
    threshold: Option<NonZeroU64>,
    period_seconds: Option<NonZeroU64>,
    periods: Option<NonZeroU32>,
}

impl AlarmFile {
    /// The usual rule of that name with what is given instead; else all of it must be given.
    fn rule(&self) -> Result<AlarmRule, Failure> {
        let usual = AlarmRule::usual(&self.name);
        let fits = |character: char| character.is_ascii_alphanumeric() || "-_.".contains(character);
        if !(1..=64).contains(&self.name.len()) || !self.name.chars().all(fits) {
            return Err(Failure::usage("[[alarm]]: a name has 1 to 64 of a-z A-Z 0-9 . _ -"));
        }
        let lacks = |what: &str| {
            let usual = AlarmRule::USUAL.join(", ");
            Failure::usage(format!("[[alarm]] {}: {what} is missing; usual alarms are {usual}", self.name))
        };
        let figure = self.figure.or(usual.as_ref().map(|rule| rule.figure)).ok_or_else(|| lacks("figure"))?;
        let threshold = self.threshold.map(NonZeroU64::get).or(usual.as_ref().map(|rule| rule.threshold));
        let period = self.period_seconds.map(seconds).or(usual.as_ref().map(|rule| rule.period));
        let periods = self.periods.map(NonZeroU32::get).or(usual.as_ref().map(|rule| rule.periods));
        Ok(AlarmRule {
            name: self.name.clone(),
            figure,
            threshold: threshold.ok_or_else(|| lacks("threshold"))?,
            period: period.ok_or_else(|| lacks("period-seconds"))?,
            periods: periods.unwrap_or(1),
        })
    }
}

/// A text that is never printed, such as the admin key.
#[derive(Clone, Deserialize)]
#[serde(from = "String")]
pub(crate) struct SecretText(Option<String>);

impl SecretText {
    /// The text, if there is one.
    pub(crate) fn get(&self) -> Option<&str> {
        self.0.as_deref()
    }
}

impl From<String> for SecretText {
    fn from(text: String) -> Self {
        Self((!text.is_empty()).then_some(text))
    }
}

impl FromStr for SecretText {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(text.to_owned().into())
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("SecretText(…)")
    }
}

impl Serialize for SecretText {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(if self.0.is_some() { "(set, not shown)" } else { "" })
    }
}

/// How fast one address may ask; none means no limit. Its text is `RATE:BURST` or `none`.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct AddressRate(Option<Rate>);

impl FromStr for AddressRate {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "none" {
            return Ok(Self(None));
        }
        let numbers =
            text.split_once(':').and_then(|(rate, burst)| rate.parse().ok().zip(burst.parse().ok()));
        match numbers {
            Some((rate @ 1.., burst @ 1..)) => Ok(Self(Some(Rate { rate, burst }))),
            _ => Err("write RATE:BURST with two numbers above zero, such as 20:40, or none"),
        }
    }
}

impl TryFrom<String> for AddressRate {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl Serialize for AddressRate {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Some(Rate { rate, burst }) => serializer.collect_str(&format_args!("{rate}:{burst}")),
            None => serializer.serialize_str("none"),
        }
    }
}

/// Where polls and votes are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum StoreKind {
    /// In the data directory.
    Local,
    /// In tables of DynamoDB.
    DynamoDb,
}

impl FromStr for StoreKind {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "local" => Ok(Self::Local),
            "dynamodb" => Ok(Self::DynamoDb),
            _ => Err("write local or dynamodb"),
        }
    }
}

/// How log lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    /// For people where standard error is a terminal, else JSON.
    Auto,
    /// One JSON object a line.
    Json,
    /// For people.
    Human,
}

impl FromStr for LogFormat {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "auto" => Ok(Self::Auto),
            "json" => Ok(Self::Json),
            "human" => Ok(Self::Human),
            _ => Err("write auto, json or human"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_default_parses() {
        let settings = Settings::merge(Given::default(), File::default());
        assert_eq!(settings.rows().len(), 45);
    }

    #[test]
    fn a_flag_comes_before_the_file() {
        let file = parse_file(Path::new("f"), "workers = 3\ntrusted-proxies = 1").unwrap();
        let given = Given { workers: Some(2), ..Given::default() };
        let settings = Settings::merge(given, file);
        assert_eq!((settings.workers, settings.trusted_proxies), (2, 1));
    }

    fn check(text: &str, expected: &str) {
        let error = parse_file(Path::new("canvass.toml"), text).unwrap_err();
        assert_eq!(error.to_string(), expected);
    }

    fn check_alarms(text: &str, expected: &str) {
        let file = parse_file(Path::new("canvass.toml"), text).unwrap();
        let rules = Settings::merge(Given::default(), file).alarm_rules();
        let told = match rules {
            Err(failure) => failure.to_string(),
            Ok(rules) => {
                let told = rules.iter().map(|rule| {
                    let AlarmRule { name, threshold, period, periods, .. } = rule;
                    format!("{name} {threshold} in {} x{periods}", period.as_secs())
                });
                told.collect::<Vec<_>>().join(", ")
            }
        };
        assert_eq!(told, expected, "{text}");
    }

    #[test]
    fn alarms_are_usual_or_whole() {
        check_alarms("", "");
        check_alarms("[[alarm]]\nname = \"vote-volume\"", "vote-volume 101 in 300 x2");
        check_alarms("[[alarm]]\nname = \"vote-volume\"\nthreshold = 5", "vote-volume 5 in 300 x2");
        let own = "[[alarm]]\nname = \"mine\"\nfigure = \"requests\"\nthreshold = 1\nperiod-seconds = 2";
        check_alarms(own, "mine 1 in 2 x1");
        let usual = "server-errors, server-errors-lasting, client-errors, aggregation-errors, vote-volume, recount-differences, storage-stopped";
        check_alarms(
            "[[alarm]]\nname = \"mine\"",
            &format!("[[alarm]] mine: figure is missing; usual alarms are {usual}"),
        );
        check_alarms(&format!("{own}\n{own}"), "[[alarm]]: the name \"mine\" comes twice");
    }

    #[test]
    fn errors_name_the_place() {
        check("workers = \"two\"", "canvass.toml:1:11: invalid type: string \"two\", expected usize");
        check(
            "# ä\nlog = \"info\"\naddress-votes = \"20\"",
            "canvass.toml:3:17: write RATE:BURST with two numbers above zero, such as 20:40, or none",
        );
        check(
            "[client]\nservr = \"x\"",
            "canvass.toml:2:1: unknown field `servr`, expected `server` or `key`",
        );
    }
}
