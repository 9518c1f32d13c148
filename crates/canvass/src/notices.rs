//! Webhooks, alarms and erasure by age, on a thread of their own beside the server: none of it is on the way of a vote.

use std::thread::{self, JoinHandle};

use canvass_server::{AlarmNotice, App};
use tokio::{
    runtime::{Builder, Runtime},
    sync::oneshot,
};

use crate::{config::Settings, failure::Failure, post::Post};

/// Whom alarms are told, as the settings say.
pub(crate) struct Told {
    runtime: Runtime,
    post: Post,
}

impl Told {
    /// Reads the settings; nothing is sent yet.
    ///
    /// # Errors
    /// Mail or a topic that is not set up whole.
    pub(crate) fn prepare(settings: &Settings) -> Result<Self, Failure> {
        let runtime = Builder::new_current_thread().enable_all().build().map_err(|error| failed(&error))?;
        let post = runtime.block_on(Post::new(settings))?;
        Ok(Self { runtime, post })
    }
}

fn failed(error: &dyn std::fmt::Display) -> Failure {
    Failure::failed(format!("cannot tell others: {error}"))
}

/// The thread. Dropping it ends what is under way: what was not delivered is delivered after the next start.
pub(crate) struct Notices {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Notices {
    /// Starts telling others.
    ///
    /// # Errors
    /// A thread that cannot be started.
    pub(crate) fn start(Told { runtime, post }: Told, app: App) -> Result<Self, Failure> {
        let (stop, stopped) = oneshot::channel();
        let thread = thread::Builder::new()
            .name("canvass-notify".into())
            .spawn(move || {
                runtime.block_on(async {
                    let tell = |notice: AlarmNotice| post.send(&notice);
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
