//! Webhooks, alarms and erasure by age, on a thread of their own beside the server: none of it is on the way of a vote.

use std::thread::{self, JoinHandle};

use canvass_server::{AlarmNotice, App};
use tokio::{runtime::Builder, sync::oneshot};

use crate::{config::Settings, failure::Failure};

/// The thread. Dropping it ends what is under way: what was not delivered is delivered after the next start.
pub(crate) struct Notices {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Notices {
    /// Starts telling others.
    ///
    /// # Errors
    /// Mail that is not set up whole.
    pub(crate) fn start(settings: &Settings, app: App) -> Result<Self, Failure> {
        let post = mail::Post::new(settings)?;
        let failed = |error: &dyn std::fmt::Display| Failure::failed(format!("cannot tell others: {error}"));
        let runtime = Builder::new_current_thread().enable_all().build().map_err(|error| failed(&error))?;
        let (stop, stopped) = oneshot::channel();
        let thread = thread::Builder::new()
            .name("canvass-notify".into())
            .spawn(move || {
                runtime.block_on(async {
                    let tell = |notice: AlarmNotice| post.send(notice);
                    tokio::select! {
                        _ = stopped => {}
                        () = app.clone().deliver_webhooks() => {}
                        () = app.clone().erase_by_age() => {}
                        () = app.watch_alarms(tell) => {}
                    }
                });
                runtime.shutdown_background();
            })
            .map_err(|error| failed(&error))?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Notices {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread that tells others ended with a panic");
        }
    }
}

#[cfg(feature = "tls")]
mod mail {
    //! Mail on alarms.

    use canvass_notify::{Letter, Mailer};
    use canvass_server::AlarmNotice;

    use crate::{config::Settings, failure::Failure, limits::MAIL_PAUSES};

    /// Where mails are handed over, if anywhere.
    pub(super) struct Post(Option<Mailer>);

    impl Post {
        pub(super) fn new(settings: &Settings) -> Result<Self, Failure> {
            let Some(server) = settings.mail_server.get() else { return Ok(Self(None)) };
            if settings.mail_from.is_empty() || settings.mail_to.is_empty() {
                return Err(Failure::usage("--mail-server needs --mail-from and --mail-to as well"));
            }
            let to: Vec<_> = settings.mail_to.split(',').map(str::to_owned).collect();
            let mailer = Mailer::new(server, &settings.mail_from, &to);
            mailer.map(|mailer| Self(Some(mailer))).map_err(|error| Failure::usage(error.to_string()))
        }

        /// Hands a mail over without waiting for it.
        pub(super) fn send(&self, notice: AlarmNotice) {
            if let Some(mailer) = self.0.clone() {
                tokio::spawn(hand_over(mailer, Letter { subject: notice.subject, text: notice.text }));
            }
        }
    }

    async fn hand_over(mailer: Mailer, letter: Letter) {
        for pause in MAIL_PAUSES {
            match mailer.send(&letter).await {
                Ok(()) => return,
                Err(error) => tracing::warn!(%error, "a mail was not handed over; it is tried again"),
            }
            tokio::time::sleep(pause).await;
        }
        if let Err(error) = mailer.send(&letter).await {
            tracing::error!(%error, subject = letter.subject, "a mail was given up");
        }
    }
}

#[cfg(not(feature = "tls"))]
mod mail {
    //! What is said where mail was left out.

    use canvass_server::AlarmNotice;

    use crate::{config::Settings, failure::Failure};

    pub(super) struct Post;

    impl Post {
        pub(super) fn new(settings: &Settings) -> Result<Self, Failure> {
            match settings.mail_server.get() {
                None => Ok(Self),
                Some(_) => Err(Failure::usage(
                    "this program was built without mail; build it with: cargo build --release --features tls",
                )),
            }
        }

        #[expect(clippy::unused_self, reason = "it stands in for the one that sends")]
        pub(super) fn send(&self, _: AlarmNotice) {}
    }
}
