//! Who is told of alarms besides webhooks: people by mail, and a topic of Amazon SNS. Each is tried again by itself.

use std::{pin::Pin, sync::Arc};

use canvass_notify::Letter;
use canvass_server::AlarmNotice;

use crate::{config::Settings, failure::Failure, limits::NOTICE_PAUSES};

/// Every way that notices go.
pub(crate) struct Post(Vec<Way>);

impl Post {
    /// The ways that are set up.
    ///
    /// # Errors
    /// One that is not set up whole, or that this program was built without.
    pub(crate) async fn new(settings: &Settings) -> Result<Self, Failure> {
        Ok(Self([mail(settings)?, topic(settings).await?].into_iter().flatten().collect()))
    }

    /// Hands a notice over without waiting for it.
    pub(crate) fn send(&self, notice: &AlarmNotice) {
        for way in &self.0 {
            let letter = Letter { subject: notice.subject.clone(), text: notice.text.clone() };
            tokio::spawn(hand_over(way.clone(), letter));
        }
    }
}

/// One way, and what the log calls it.
#[derive(Clone)]
struct Way {
    name: &'static str,
    hand_over: Arc<dyn Fn(Letter) -> HandingOver + Send + Sync>,
}

/// One try; an error says why it failed, and holds no secret.
type HandingOver = Pin<Box<dyn Future<Output = Result<(), String>> + Send>>;

async fn hand_over(way: Way, letter: Letter) {
    let name = way.name;
    for pause in NOTICE_PAUSES {
        match (way.hand_over)(letter.clone()).await {
            Ok(()) => return,
            Err(error) => tracing::warn!(by = name, error, "a notice was not handed over; it is tried again"),
        }
        tokio::time::sleep(pause).await;
    }
    if let Err(error) = (way.hand_over)(letter.clone()).await {
        tracing::error!(by = name, error, subject = letter.subject, "a notice was given up");
    }
}

#[cfg(feature = "tls")]
fn mail(settings: &Settings) -> Result<Option<Way>, Failure> {
    let Some(server) = settings.mail_server.get() else { return Ok(None) };
    if settings.mail_from.is_empty() || settings.mail_to.is_empty() {
        return Err(Failure::usage("--mail-server needs --mail-from and --mail-to as well"));
    }
    let to: Vec<_> = settings.mail_to.split(',').map(str::to_owned).collect();
    let mailer = canvass_notify::Mailer::new(server, &settings.mail_from, &to);
    let mailer = mailer.map_err(|error| Failure::usage(error.to_string()))?;
    let hand_over = move |letter: Letter| -> HandingOver {
        let mailer = mailer.clone();
        Box::pin(async move { mailer.send(&letter).await.map_err(|error| error.to_string()) })
    };
    Ok(Some(Way { name: "mail", hand_over: Arc::new(hand_over) }))
}

#[cfg(not(feature = "tls"))]
fn mail(settings: &Settings) -> Result<Option<Way>, Failure> {
    match settings.mail_server.get() {
        None => Ok(None),
        Some(_) => Err(Failure::usage(
            "this program was built without mail; build it with: cargo build --release --features tls",
        )),
    }
}

#[cfg(feature = "dynamodb")]
async fn topic(settings: &Settings) -> Result<Option<Way>, Failure> {
    if settings.alarm_topic.is_empty() {
        return Ok(None);
    }
    let topic = canvass_notify::Topic::new(&settings.alarm_topic).await;
    let topic = topic.map_err(|error| Failure::usage(format!("--alarm-topic: {error}")))?;
    let hand_over = move |letter: Letter| -> HandingOver {
        let topic = topic.clone();
        Box::pin(async move { topic.publish(&letter).await.map_err(|error| error.to_string()) })
    };
    Ok(Some(Way { name: "topic", hand_over: Arc::new(hand_over) }))
}

#[cfg(not(feature = "dynamodb"))]
#[expect(clippy::unused_async, reason = "with SNS it waits for credentials to be looked up")]
async fn topic(settings: &Settings) -> Result<Option<Way>, Failure> {
    if settings.alarm_topic.is_empty() {
        return Ok(None);
    }
    Err(Failure::usage(
        "this program was built without Amazon SNS; build it with: cargo build --release --features dynamodb",
    ))
}
