//! The way to the writer and back: one wake-up for all that a thread has to say, not one for each vote.
//!
//! Waking another thread costs a system call. So every thread that asks has a lane with one task on its runtime. What
//! the thread's other tasks ask for is put in the lane, and the task, whose turn comes after theirs, takes all of it to
//! the writer at once. The writer puts all of a commit's answers for that thread in the lane and wakes the task, which
//! hands them out at home, where waking is cheap.

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

use super::{
    prepared::Prepared,
    queue::{Queue, Work},
};
use crate::{StoreError, VoteResult};

/// An answer on its way to whoever waits for it.
enum Delivery {
    /// By far the most. The votes themselves come home too: their memory is given back where it was taken.
    Votes(oneshot::Sender<VoteAnswers>, VoteAnswers, Prepared),
    Other(Box<dyn FnOnce() + Send>),
}

type VoteAnswers = Result<Vec<VoteResult>, StoreError>;

impl Delivery {
    /// A caller who went away does not want the answer.
    fn hand_over(self) {
        match self {
            Self::Votes(sender, answers, votes) => drop((sender.send(answers), votes)),
            Self::Other(hand_over) => hand_over(),
        }
    }
}

/// The way to the writer and back of one thread.
#[derive(Default)]
pub(super) struct Lane {
    requests: Mutex<Vec<(Arc<Queue>, Work)>>,
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

/// Asks the writer for something when this thread's lane next has its turn.
pub(super) fn ask(queue: &Arc<Queue>, work: Work) {
    let lane = this_lane();
    let mut requests = lane.requests.lock();
    requests.push((Arc::clone(queue), work));
    let is_first = requests.len() == 1;
    drop(requests);
    if is_first {
        lane.waker.wake();
    }
}

/// Takes what the thread asked for to the writers, in order.
fn take_over(requests: Vec<(Arc<Queue>, Work)>) {
    let mut requests = requests.into_iter().peekable();
    while let Some((queue, first)) = requests.next() {
        let mut work = vec![first];
        while let Some((_, next)) = requests.next_if(|(next, _)| Arc::ptr_eq(next, &queue)) {
            work.push(next);
        }
        queue.push_all(work);
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
        take_over(mem::take(&mut *lane.requests.lock()));
        let deliveries = mem::take(&mut *lane.deliveries.lock());
        deliveries.into_iter().for_each(Delivery::hand_over);
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
        self.add(lane, Delivery::Other(Box::new(move || drop(sender.send(answer)))));
    }

    pub(super) fn push_votes(&mut self, to: ReplyTo<Vec<VoteResult>>, answers: VoteAnswers, votes: Prepared) {
        self.add(to.lane, Delivery::Votes(to.sender, answers, votes));
    }

    fn add(&mut self, lane: Arc<Lane>, delivery: Delivery) {
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
                late.into_iter().for_each(Delivery::hand_over);
            } else {
                lane.waker.wake();
            }
        }
    }
}
