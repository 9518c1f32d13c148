//! The way back from the writer: one wake-up for each waiting thread and commit, not one for each answer.
//!
//! Waking a task on another thread's runtime costs a system call. So every thread that asks has a lane: the writer
//! puts all of a commit's answers for that thread in it and wakes one task there, which hands them out at home, where
//! waking is cheap.

use std::{
    cell::RefCell,
    mem,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::Poll,
};

use futures_util::task::AtomicWaker;
use parking_lot::Mutex;
use tokio::{runtime, sync::oneshot};

use crate::StoreError;

/// Something that hands an answer to whoever waits for it.
type Delivery = Box<dyn FnOnce() + Send>;

/// The way back to one thread.
#[derive(Default)]
pub(super) struct Lane {
    deliveries: Mutex<Vec<Delivery>>,
    waker: AtomicWaker,
    is_closed: AtomicBool,
}

thread_local! {
    static LANE: RefCell<Option<(runtime::Id, Arc<Lane>)>> = const { RefCell::new(None) };
}

/// Where one answer goes: dropped without one, it says that the outcome is unknown.
pub(super) struct ReplyTo<T> {
    sender: oneshot::Sender<Result<T, StoreError>>,
    lane: Arc<Lane>,
}

/// An answer that will come.
pub(super) struct Reply<T>(oneshot::Receiver<Result<T, StoreError>>);

/// A place for an answer, and the answer to wait for, on this thread's lane.
pub(super) fn reply<T: Send + 'static>() -> (ReplyTo<T>, Reply<T>) {
    let (sender, receiver) = oneshot::channel();
    (ReplyTo { sender, lane: this_lane() }, Reply(receiver))
}

impl<T> Reply<T> {
    pub(super) async fn wait(self) -> Result<T, StoreError> {
        self.0.await.unwrap_or(Err(StoreError::OutcomeUnknown))
    }
}

fn this_lane() -> Arc<Lane> {
    let runtime = runtime::Handle::current().id();
    LANE.with_borrow_mut(|lane| match lane {
        Some((of, lane)) if *of == runtime && !lane.is_closed.load(Ordering::Acquire) => Arc::clone(lane),
        _ => {
            let made = Arc::new(Lane::default());
            tokio::spawn(hand_out(Arc::clone(&made)));
            *lane = Some((runtime, Arc::clone(&made)));
            made
        }
    })
}

/// Hands out what comes in for as long as the runtime lives.
async fn hand_out(lane: Arc<Lane>) {
    struct Close(Arc<Lane>);
    impl Drop for Close {
        fn drop(&mut self) {
            self.0.is_closed.store(true, Ordering::Release);
        }
    }
    let _close = Close(Arc::clone(&lane));
    std::future::poll_fn::<(), _>(|context| {
        lane.waker.register(context.waker());
        let deliveries = mem::take(&mut *lane.deliveries.lock());
        for delivery in deliveries {
            delivery();
        }
        Poll::Pending
    })
    .await;
}

/// The answers of one commit, sorted by lane.
#[derive(Default)]
pub(super) struct Outbox {
    lanes: Vec<(Arc<Lane>, Vec<Delivery>)>,
}

impl Outbox {
    pub(super) fn push<T: Send + 'static>(&mut self, to: ReplyTo<T>, answer: Result<T, StoreError>) {
        let ReplyTo { sender, lane } = to;
        // A caller who went away does not want the answer.
        let delivery: Delivery = Box::new(move || drop(sender.send(answer)));
        match self.lanes.iter_mut().find(|(known, _)| Arc::ptr_eq(known, &lane)) {
            Some((_, deliveries)) => deliveries.push(delivery),
            None => self.lanes.push((lane, vec![delivery])),
        }
    }

    pub(super) fn send(&mut self) {
        for (lane, deliveries) in self.lanes.drain(..) {
            lane.deliveries.lock().extend(deliveries);
            if lane.is_closed.load(Ordering::Acquire) {
                // The runtime is going; whoever still waits elsewhere must not wait for ever.
                let late = mem::take(&mut *lane.deliveries.lock());
                for delivery in late {
                    delivery();
                }
            } else {
                lane.waker.wake();
            }
        }
    }
}
